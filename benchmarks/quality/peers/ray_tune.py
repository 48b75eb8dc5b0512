"""Ray Tune's ASHA, over random configurations and over those of its OptunaSearch.

The objects of Ray are called as its controller (`ray.tune.execution.tune_controller`) calls them, without
Ray running: a result goes to the scheduler and, unless that stops the trial, to the searcher; a trial's end
goes to both. A training that diverges ends by itself.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.quality.interface import Job, Objective
from benchmarks.quality.random_params import random_params

EPOCH, SCORE = "training_iteration", "score"


class RandomAsha:
    """`tune.Tuner` with ASHA alone: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning".

    The stopping variant, which is the only one that Ray has. Its brackets come from numpy's global
    generator, which is seeded: each search has a process of its own.
    """

    def __init__(self, objective: Objective, *, seed: int, workers: int) -> None:
        np.random.seed(seed)
        self._objective, self._rng = objective, np.random.default_rng(seed)
        self._trials: list[SimpleNamespace] = []
        self._scheduler = AsyncHyperBandScheduler(
            time_attr=EPOCH,
            metric=SCORE,
            mode="max",
            max_t=objective.max_epochs,
            grace_period=1,
            reduction_factor=3,
        )

    def ask(self) -> Job:
        trial = SimpleNamespace(trial_id=str(len(self._trials)))
        self._trials.append(trial)
        params = self.suggested(trial.trial_id)
        self._scheduler.on_trial_add(None, trial)
        return Job(len(self._trials) - 1, params, self._objective.max_epochs)

    def report(self, trial: int, epoch: int, score: float) -> bool:
        known, result = self._trials[trial], {EPOCH: epoch, SCORE: score}
        goes_on = self._scheduler.on_trial_result(None, known, result) != TrialScheduler.STOP
        if goes_on:
            self.heard(known.trial_id, result)
        if not goes_on or math.isnan(score):
            self._scheduler.on_trial_complete(None, known, result)
            self.ended(known.trial_id, result)
        return goes_on

    def suggested(self, trial_id: str) -> dict[str, Any]:
        """Parameters for a new trial."""
        return random_params(self._objective.space, self._rng)

    def heard(self, trial_id: str, result: dict[str, Any]) -> None:
        """A result, for the searcher."""

    def ended(self, trial_id: str, result: dict[str, Any]) -> None:
        """A trial's last result, for the searcher."""


class OptunaAsha(RandomAsha):
    """`OptunaSearch` with ASHA, as docs.ray.io ("Running Tune experiments with Optuna") has it.

    The conditional space as a define-by-run function; Optuna's default sampler, TPE; suggestions when a
    worker is free, as with the `ConcurrencyLimiter` of that page.
    """

    def __init__(self, objective: Objective, *, seed: int, workers: int) -> None:
        super().__init__(objective, seed=seed, workers=workers)

        def space(trial: Any) -> None:
            objective.space.draw(trial)

        self._searcher = OptunaSearch(space=space, metric=SCORE, mode="max", seed=seed)

    def suggested(self, trial_id: str) -> dict[str, Any]:
        suggested = self._searcher.suggest(trial_id)
        assert suggested is not None
        return suggested

    def heard(self, trial_id: str, result: dict[str, Any]) -> None:
        self._searcher.on_trial_result(trial_id, result)

    def ended(self, trial_id: str, result: dict[str, Any]) -> None:
        self._searcher.on_trial_complete(trial_id, result)
