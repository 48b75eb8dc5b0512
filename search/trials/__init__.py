"""What a trial is, and what became of it: plain values, and the records they come from."""
