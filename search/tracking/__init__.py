"""A search shown in TensorBoard, MLflow and Weights & Biases: derived from its records, like all else.

`follow` reads the records as they grow and keeps a tracker's runs level with them: one run for the search
(`runs.search_run`), one below it for each trial (`runs.trial_run`). Nothing else in the search knows of it.
"""
