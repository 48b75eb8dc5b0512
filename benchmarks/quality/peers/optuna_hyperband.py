"""Optuna's own sampler and pruner, without Ray."""

from __future__ import annotations

import math
import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from benchmarks.quality.interface import Job, Objective


class OptunaHyperband:
    """TPE with Hyperband, which Optuna's documents ("Efficient Optimization Algorithms") find best together.

    TPE models conditional parameters jointly within their groups and keeps away from what is running, as
    the documents of `TPESampler` advise for conditional spaces and for parallel workers. A diverged trial
    has failed, which is what Optuna makes of an objective that returns NaN; the pruner may drop it before.
    """

    def __init__(self, objective: Objective, *, seed: int, workers: int) -> None:
        self._objective = objective
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
        self._study = optuna.create_study(
            study_name=f"seed {seed}",  # the pruner draws a trial's bracket from it
            direction="maximize",
            sampler=sampler,
            pruner=optuna.pruners.HyperbandPruner(
                min_resource=1, max_resource=objective.max_epochs, reduction_factor=3
            ),
        )
        self._trials: list[optuna.Trial] = []

    def ask(self) -> Job:
        trial = self._study.ask()
        self._objective.space.draw(trial)
        self._trials.append(trial)
        return Job(trial.number, trial.params, self._objective.max_epochs)

    def report(self, trial: int, epoch: int, score: float) -> bool:
        known = self._trials[trial]
        known.report(score, step=epoch)
        if known.should_prune():
            self._study.tell(known, state=TrialState.PRUNED)
            return False
        if math.isnan(score):
            self._study.tell(known, state=TrialState.FAIL)
        elif epoch == self._objective.max_epochs:
            self._study.tell(known, score)
        return True
