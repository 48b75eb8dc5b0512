"""How one recipe is trained: data, augmentation, models, the loop, checkpoints, export and prediction.

Nothing here imports Ray but `worker`, which is the Ray Train side of a trial.
"""
