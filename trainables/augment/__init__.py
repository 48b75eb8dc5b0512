"""Augmentation: one batched pipeline on the trial's device, with a draw of its own for every sample.

`draw` chooses all parameters on the CPU, so that every device gets the same ones. `pipeline` then applies
them to the batch: geometry as one sampling grid and one interpolation (`homography`, `gaussian`), then the
surroundings (`background`), colour as one matrix (`colour`), and what changes some samples only by index
(`gaussian`, `pixel`, `trivial`). `mix` blends samples with each other, targets alike.
"""
