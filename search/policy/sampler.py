"""What to try next: an Optuna sampler over a search space, with a study that tells the truth."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from search.trials import Metric, Outcome, TrialRecord
from spaces.tree import Tree

MOST_DRAWS = 1000
"""For a suggestion that may be tried."""
OF_TPE = 100
"""Of these, the first so many are TPE's. The others are random, which takes a tenth of the time: where one
recipe in a hundred may be tried, the search does not end by bad luck."""

optuna.logging.set_verbosity(optuna.logging.WARNING)
# Known and chosen: the grouped TPE and named metrics are "experimental" in Optuna's terms.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class NothingFitsError(Exception):
    """A space gives hardly any recipe that may be tried."""


class Sampler:
    """Asks TPE for parameters, and keeps the study that it learns from.

    TPE (Bergstra et al. 2011) in the multivariate, grouped form (Falkner et al. 2018): parameters that
    occur together are modelled together, so a conditional space is not taken apart. The sampler is made
    anew for each trial, seeded with the search's seed and the trial's number: a suggestion depends on
    these and on the study alone, and a resumed search goes on as if it had never stopped. A suggestion that
    does not fit is drawn again, up to `MOST_DRAWS` times, from another seed, and in the end at random; TPE
    never learns of it.

    What the study is told: the score after every epoch as an intermediate value; COMPLETE, with the last
    score, only at full length; PRUNED for a trial that was stopped; FAIL for one that says nothing
    about its recipe (crash, time-out, memory). A diverged trial is PRUNED without any value, which TPE
    ranks behind every other trial. A given recipe that is not in the space is not shown to it at all.

    Args:
        fits: Whether what these parameters give may be tried.
    """

    def __init__(
        self,
        tree: Tree,
        metric: Metric,
        *,
        seed: int,
        fits: Callable[[Mapping[str, Any]], bool] = lambda params: True,
    ) -> None:
        self.tree, self.metric, self.seed, self._fits = tree, metric, seed, fits
        self.study = optuna.create_study(direction="maximize" if metric.mode == "max" else "minimize")
        self._trials: dict[int, optuna.Trial] = {}

    def ask(self, number: int) -> dict[str, Any]:
        """Parameters to try as trial `number`.

        Raises:
            NothingFitsError: None of the recipes that were drawn may be tried.
        """
        for draw in range(MOST_DRAWS):
            self.study.sampler = _optuna_sampler(self.seed, number, draw)
            trial = self.study.ask()
            self.tree.draw(trial)
            # TPE notes all that it drew, for branches too that this trial did not take, and would count them
            # as tried while the trial runs. Only what was taken is recorded, and only that should be learnt
            # from.
            for name in list(trial.storage.get_trial_system_attrs(trial._trial_id)):
                trial.storage.set_trial_system_attr(trial._trial_id, name, "")
            if self._fits(trial.params):
                self._trials[number] = trial
                return trial.params
            self.study.tell(trial, state=TrialState.FAIL)  # which TPE passes over
        raise NothingFitsError(
            f"none of {MOST_DRAWS} recipes drawn for trial {number} from space {self.tree.name} is within "
            "the limits"
        )

    def restore(self, record: TrialRecord) -> None:
        """Puts a recorded trial into the study, if it belongs there; `tell` its end after that."""
        if not record.trial.in_space:
            return
        params = record.trial.params
        self.study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING, params=params, distributions=self.tree.distributions(params)
            )
        )
        frozen = self.study.get_trials(deepcopy=False)[-1]
        self._trials[record.number] = optuna.Trial(self.study, frozen._trial_id)

    def tell(self, record: TrialRecord) -> None:
        """Takes in a trial's end, with all that it reported."""
        if not record.trial.in_space:
            return
        trial, outcome = self._trials[record.number], record.outcome
        trial.set_user_attr("trial", record.number)
        trial.set_user_attr("outcome", str(outcome))
        if outcome is not Outcome.DIVERGED:
            for epoch in record.history:
                kept = record.kept(epoch.epoch)
                trial.report(kept.metrics.get(self.metric.name, math.nan), epoch.epoch)
        score = record.score(self.metric)
        if outcome is Outcome.COMPLETE and score is not None:
            self.study.tell(trial, score)
        elif outcome in (Outcome.STOPPED, Outcome.DIVERGED):
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, state=TrialState.FAIL)

    def frozen(self, record: TrialRecord) -> FrozenTrial | None:
        """What the study holds of a trial; None of one that it was not shown."""
        trial = self._trials.get(record.number)
        return None if trial is None else self.study.get_trials(deepcopy=False)[trial.number]


def _optuna_sampler(seed: int, number: int, draw: int) -> BaseSampler:
    own_seed = int(np.random.SeedSequence([seed, number, draw]).generate_state(1)[0])
    if draw >= OF_TPE:
        return RandomSampler(seed=own_seed)
    # With constant_liar, trials that still run count as bad ones: parallel suggestions keep apart.
    return TPESampler(seed=own_seed, multivariate=True, group=True, constant_liar=True)


def write_study(path: Path, name: str, sampler: Sampler, records: Iterable[TrialRecord]) -> None:
    """Writes a copy of a sampler's study as the SQLite file that `optuna-dashboard sqlite:///PATH` opens.

    Args:
        records: Of the trials, by number: a study that was rebuilt does not know when they ran. Those that
            the sampler was not shown are left out.
    """
    dated = [_dated(trial, record) for record in records if (trial := sampler.frozen(record))]
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{partial}", study_name=name, direction=sampler.study.direction
    )
    study.add_trials(dated)
    study.set_metric_names([sampler.metric.name])
    study._storage.remove_session()  # closes the connection before the file moves
    partial.replace(path)


def _dated(trial: FrozenTrial, record: TrialRecord) -> FrozenTrial:
    dated = copy.copy(trial)
    dated.datetime_start = datetime.fromtimestamp(record.started)
    dated.datetime_complete = None if record.ended is None else datetime.fromtimestamp(record.ended)
    return dated
