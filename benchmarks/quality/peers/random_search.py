"""Random search: whole trainings of random configurations."""

from __future__ import annotations

import numpy as np

from benchmarks.quality.interface import Job, Objective
from benchmarks.quality.random_params import random_params


class RandomSearch:
    """Bergstra and Bengio 2012, "Random Search for Hyper-Parameter Optimization" (JMLR 13)."""

    def __init__(self, objective: Objective, *, seed: int, workers: int) -> None:
        self._objective, self._rng = objective, np.random.default_rng(seed)
        self._started = 0

    def ask(self) -> Job:
        self._started += 1
        return Job(
            self._started - 1, random_params(self._objective.space, self._rng), self._objective.max_epochs
        )

    def report(self, trial: int, epoch: int, score: float) -> bool:
        return True
