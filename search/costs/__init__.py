"""What trainings cost: time, memory, parameters; measured, and expected."""
