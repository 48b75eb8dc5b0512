"""Random search: whole trainings of random configurations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.quality.interface import Job, Objective
from benchmarks.quality.peers.plain import Plain, params
from spaces.tree import Tree


def random_params(tree: Tree, rng: np.random.Generator) -> dict[str, Any]:
    """A random configuration: evenly over each active parameter, on its own scale."""

    def draw(name: str, entry: Plain) -> Any:
        if entry.kind == "log":
            return math.exp(rng.uniform(math.log(entry.low), math.log(entry.high)))
        if entry.kind == "float":
            return rng.uniform(entry.low, entry.high)
        return rng.integers(int(entry.low), int(entry.high), endpoint=True)

    return params(tree, draw)


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
