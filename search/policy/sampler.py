"""What to try next: an Optuna sampler over a search space, with a study that tells the truth."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from search.trials import Metric, Outcome, TrialRecord
from spaces.recipe import Recipe
from spaces.space import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)
# Known and chosen: the grouped TPE and named metrics are "experimental" in Optuna's terms.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class Sampler:
    """Asks TPE for recipes, and keeps the study that it learns from.

    TPE (Bergstra et al. 2011) in the multivariate, grouped form (Falkner et al. 2018): parameters that
    occur together are modelled together, so a conditional space is not taken apart. The sampler is made
    anew for each trial, seeded with the search's seed and the trial's number: a suggestion depends on
    these and on the study alone, and a resumed search goes on as if it had never stopped.

    What the study is told: every epoch's score as an intermediate value; COMPLETE, with the score at the
    last epoch, only at full length; PRUNED for a trial that was stopped; FAIL for one that says nothing
    about its recipe (crash, time-out, memory). A diverged trial is PRUNED without any value, which TPE
    ranks behind every other trial.
    """

    def __init__(self, space: Space, metric: Metric, *, seed: int) -> None:
        self.space, self.metric, self.seed = space, metric, seed
        self.study = optuna.create_study(direction="maximize" if metric.mode == "max" else "minimize")
        self._trials: dict[int, optuna.Trial] = {}

    def ask(self, number: int, *, epochs: int) -> tuple[Recipe, dict[str, Any]]:
        """A recipe to try as trial `number`, and the parameters that were chosen for it."""
        self.study.sampler = _tpe(self.seed, number)
        trial = self.study.ask()
        recipe = self.space.suggest(trial, epochs=epochs)
        # TPE notes all that it drew, for branches too that this trial did not take, and would count them as
        # tried while the trial runs. Only what was taken is recorded, and only that should be learnt from.
        for name in list(trial.storage.get_trial_system_attrs(trial._trial_id)):
            trial.storage.set_trial_system_attr(trial._trial_id, name, "")
        self._trials[number] = trial
        return recipe, trial.params

    def restore(self, record: TrialRecord) -> None:
        """Puts a recorded trial back into the study; `tell` its end after that, if it has one."""
        params = record.trial.params
        self.study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING, params=params, distributions=self.space.distributions(params)
            )
        )
        frozen = self.study.get_trials(deepcopy=False)[-1]
        self._trials[record.number] = optuna.Trial(self.study, frozen._trial_id)

    def tell(self, record: TrialRecord) -> None:
        """Takes in a trial's end, with all that it reported."""
        trial, outcome = self._trials[record.number], record.outcome
        trial.set_user_attr("trial", record.number)
        trial.set_user_attr("outcome", str(outcome))
        if outcome is not Outcome.DIVERGED:
            for epoch in record.history:
                trial.report(epoch.metrics.get(self.metric.name, math.nan), epoch.epoch)
        score = record.score(self.metric)
        if outcome is Outcome.COMPLETE and score is not None:
            self.study.tell(trial, score)
        elif outcome in (Outcome.STOPPED, Outcome.DIVERGED):
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, state=TrialState.FAIL)


def _tpe(seed: int, number: int) -> TPESampler:
    own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    # With constant_liar, trials that still run count as bad ones: parallel suggestions keep apart.
    return TPESampler(seed=own_seed, multivariate=True, group=True, constant_liar=True)


def write_study(
    path: Path, name: str, trials: Iterable[FrozenTrial], records: Iterable[TrialRecord], metric: Metric
) -> None:
    """Writes a copy of a study as the SQLite file that `optuna-dashboard sqlite:///PATH` opens.

    Args:
        trials: Of the study, by number.
        records: Of the same trials: a study that was rebuilt does not know when they ran.
    """
    dated = [_dated(trial, record) for trial, record in zip(trials, records, strict=True)]
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{partial}",
        study_name=name,
        direction="maximize" if metric.mode == "max" else "minimize",
    )
    study.add_trials(dated)
    study.set_metric_names([metric.name])
    study._storage.remove_session()  # closes the connection before the file moves
    partial.replace(path)


def _dated(trial: FrozenTrial, record: TrialRecord) -> FrozenTrial:
    dated = copy.copy(trial)
    dated.datetime_start = datetime.fromtimestamp(record.started)
    dated.datetime_complete = None if record.ended is None else datetime.fromtimestamp(record.ended)
    return dated
