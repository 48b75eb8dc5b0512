"""What the benchmark's three sides agree on: objectives, methods, and the simulator between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from spaces.tree import Tree

Config = Mapping[str, Any]
"""Values by the names that the space file gives them: those that are drawn or fixed under the conditions that
hold, and those of its `base`."""


@dataclass(frozen=True)
class Objective:
    """Learning curves over a search space. Higher scores are better."""

    name: str
    space: Tree
    max_epochs: int
    evaluate: Callable[[Config, int], tuple[np.ndarray, np.ndarray, float]]
    """Of a configuration and a seed: the scores that a method is shown, by epoch, float (E,); what they would
    be without noise, float (E,); both NaN from where the training diverges. And the seconds an epoch takes.
    The same for the same arguments."""


@dataclass(frozen=True)
class Job:
    """What a free worker shall do: train a trial on, from where it stands, to the end of an epoch."""

    trial: int
    """Counted from 0; one that is known goes on from its checkpoint."""
    params: Mapping[str, Any]
    """As an Optuna trial has them in `trial.params` after `Tree.draw`; `Tree.drawn` makes a config of it."""
    until_epoch: int
    """At most the objective's `max_epochs`."""


class Method(Protocol):
    """A search method. The simulator calls it as the workers' events happen, in the order of their times."""

    def ask(self) -> Job | None:
        """A worker is free. None: nothing until another worker has reported."""

    def report(self, trial: int, epoch: int, score: float) -> bool:
        """An epoch has ended; NaN where it diverged, which also ends the trial. Whether the trial goes on
        (beyond the job's last epoch it does not in any case)."""


class MakeMethod(Protocol):
    """Makes a method for one run."""

    def __call__(self, objective: Objective, *, seed: int, workers: int) -> Method:
        """All randomness of the method comes from the seed."""
