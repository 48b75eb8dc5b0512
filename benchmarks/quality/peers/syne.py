"""Syne Tune's asynchronous methods.

Its spaces have no conditions: all parameters are always drawn, and those that are inactive are ignored.
Its schedulers are called as its `Tuner` calls them. A training that diverges is a failed job, which its
`Tuner` reports by `on_trial_error` (with `max_failures` lifted): the scores before it diverged stay known.
"""

from __future__ import annotations

import datetime
import logging
import math
from typing import Any

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, loguniform, randint, uniform
from syne_tune.optimizer.baselines import ASHA, BOHB
from syne_tune.optimizer.scheduler import SchedulerDecision

from benchmarks.quality.interface import Job, Objective
from benchmarks.quality.peers.plain import Plain, params, varied

EPOCH, SCORE = "epoch", "score"


class SyneAsha:
    """ASHA: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning".

    The stopping variant: Syne Tune dropped the promoting one with 0.15. Some of its draws
    come from numpy's global generator, which is seeded: each search has a process of its own.
    """

    baseline: type[ASHA] | type[BOHB] = ASHA

    def __init__(self, objective: Objective, *, seed: int, workers: int) -> None:
        np.random.seed(seed)
        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        self._objective = objective
        self._scheduler = self.baseline(
            {name: _domain(entry) for name, entry in varied(objective.space).items()},
            metric=SCORE,
            do_minimize=False,
            time_attr=EPOCH,
            max_t=objective.max_epochs,
            grace_period=1,
            reduction_factor=3,
            random_seed=seed,
        )
        self._trials: list[Trial] = []

    def ask(self) -> Job:
        config = self._scheduler.suggest().config
        trial = Trial(len(self._trials), config, datetime.datetime.min)
        self._trials.append(trial)
        self._scheduler.on_trial_add(trial)
        return Job(
            trial.trial_id,
            params(self._objective.space, lambda name, entry: config.get(name, entry.low)),
            self._objective.max_epochs,
        )

    def report(self, trial: int, epoch: int, score: float) -> bool:
        known = self._trials[trial]
        if math.isnan(score):
            self._scheduler.on_trial_error(known)
            return False
        if self._scheduler.on_trial_result(known, {EPOCH: epoch, SCORE: score}) == SchedulerDecision.STOP:
            self._scheduler.on_trial_remove(known)
            return False
        return True


class SyneBohb(SyneAsha):
    """Falkner et al. 2018, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", over ASHA."""

    baseline = BOHB


def _domain(entry: Plain) -> Any:
    match entry.kind:
        case "float":
            return uniform(entry.low, entry.high)
        case "log":
            return loguniform(entry.low, entry.high)
        case "int":
            return randint(int(entry.low), int(entry.high))
        case "choice":
            return choice(list(range(int(entry.high) + 1)))
