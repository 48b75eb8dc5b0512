"""One family of networks, no differences of cost, no noise: a fair stopping rule has nothing to win there.

    python benchmarks/search_quality.py --objective benchmarks/quality/one_family.py
        --methods ours-random syne-asha --seeds 20

Both methods draw configurations at random, so that only their rules differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.quality.finetuning import MAX_EPOCHS as EPOCHS
from benchmarks.quality.finetuning import finetuning

TASK = 7
MAX_EPOCHS = EPOCHS
SPACE = """
base:
  model: {name: resnet18}
  geometry: {size_px: 224, fit: resize}
  schedule: {name: cosine}
  loss: {name: cross_entropy}
  augment: {mixup: 0.0}
parameters:
  optim.name: {choice: [adamw, sgd]}
  optim.lr:
    - {log: [3e-5, 1e-2], when: {optim.name: adamw}}
    - {log: [1e-3, 1.0], when: {optim.name: sgd}}
  optim.weight_decay:
    - {log: [1e-4, 3e-1], when: {optim.name: adamw}}
    - {log: [1e-6, 1e-2], when: {optim.name: sgd}}
  optim.backbone_lr_mult: {log: [0.03, 1.0]}
  optim.batch_size: {choice: [16, 32, 64, 128]}
  freeze.epoch: {share: [0.0, 0.5]}
  model.drop_rate: {float: [0.0, 0.5]}
  augment.strength: {float: [0.0, 1.0]}
  loss.label_smoothing: {float: [0.0, 0.2]}
"""


def evaluate(config: dict[str, Any], seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """As `Objective.evaluate`."""
    _, noiseless, epoch_s = finetuning(TASK).evaluate(config, 0)
    return noiseless, noiseless, epoch_s
