"""How sure scores are: intervals, and scores of resampled pictures."""
