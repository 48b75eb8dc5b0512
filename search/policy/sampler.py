"""What to try next: a sampler over a search space, and trials that are told the truth about."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.policy.forecaster import Forecaster
from search.policy.history import History, Turn
from search.policy.optuna_samplers import suggest
from search.policy.unit_cube import count_of, value_at
from search.trials.trials import Metric, Outcome, TrialRecord
from spaces.domains import Fixed
from spaces.tree import Tree

MOST_DRAWS = 1000
"""For a suggestion that may be tried."""
OF_SAMPLER = {"gp": 3, "forecast": 10}
OF_OTHERS = 100
"""Of these, the first so many are the sampler's. The others are random, which takes a tenth of the time:
where one recipe in a hundred may be tried, the search does not end by bad luck. Optuna's Gaussian process
takes seconds, and mostly finds the same again; a forecast has so many next best ones."""

optuna.logging.set_verbosity(optuna.logging.WARNING)
# Known and chosen: the grouped TPE and named metrics are "experimental" in Optuna's terms.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class NothingFitsError(Exception):
    """A space gives hardly any recipe that may be tried, or none that has not been tried."""


class Sampler:
    """Suggests parameters, and keeps the trials that suggestions learn from.

    A suggestion depends on the search's seed, the trial's number and these trials alone, `forecast` also on
    what the forecaster knows: a resumed search goes on as if it had never stopped. What has the parameters of
    another trial, running or ended, or may not be tried, is drawn again, up to `MOST_DRAWS` times, from
    another seed, and in the end at random; nothing is learnt from it.

    What a trial is said to be worth: after every epoch, as an intermediate value, the score of the weights
    that it would come out with if it ended there. The recipe's `keep` says which: the last ones, or those of
    the lowest validation loss (`TrialRecord.kept`). With EMA they are the averaged ones, which are what is
    validated. COMPLETE, with the last of these values, is only a trial of full length; PRUNED one that was
    stopped; FAIL one that says nothing about its recipe (crash, time-out, memory). A diverged trial is
    PRUNED without any value, which ranks behind every other. A given recipe that is not in the space is not
    taken in.

    Args:
        name: One of `search.policy.sampler_names.SAMPLERS`.
        fits: Whether what these parameters give may be tried.
        forecaster: Is told of all trials in the space; `forecast` goes by it.
    """

    def __init__(
        self,
        tree: Tree,
        metric: Metric,
        *,
        seed: int,
        name: str = "tpe",
        fits: Callable[[Mapping[str, Any]], bool] = lambda params: True,
        forecaster: Forecaster | None = None,
    ) -> None:
        self.tree, self.metric, self.seed, self.name, self._fits = tree, metric, seed, name, fits
        self.history = History(tree, mode=metric.mode, forecaster=forecaster)
        self._tried: set[frozenset[tuple[str, Any]]] = set()

    def ask(self, number: int) -> dict[str, Any]:
        """Parameters to try as trial `number`; no other trial has the same.

        Raises:
            NothingFitsError: None of the recipes that were drawn may be tried, or all have been.
        """
        drawn = tried = 0
        for params in self._candidates(number):
            drawn += 1
            if frozenset(params.items()) in self._tried:
                tried += 1
            elif self._fits(params):
                self._put(number, TrialState.RUNNING, params)
                return params
        if tried == drawn:
            raise NothingFitsError(f"every recipe of space {self.tree.name} has been tried")
        raise NothingFitsError(
            f"none of {drawn} recipes drawn for trial {number} from space {self.tree.name} is "
            f"{'new and ' if tried else ''}within the limits"
        )

    def _candidates(self, number: int) -> Iterator[dict[str, Any]]:
        own = OF_SAMPLER.get(self.name, OF_OTHERS)
        for draw in range(MOST_DRAWS):
            name = self.name if draw < own else "random"
            yield suggest(name, self.history, Turn(self.seed, number, draw))
        # Whether a recipe is left that nobody has drawn is not a matter of luck.
        yield from islice(_every(self.history), len(self._tried) + MOST_DRAWS)

    def keep_for_later(self, params: Mapping[str, Any]) -> None:
        """Never suggests these parameters: somebody else will have them tried."""
        self._tried.add(frozenset(params.items()))

    def restore(self, record: TrialRecord) -> None:
        """Takes in a recorded trial, if it belongs to the space; `tell` its end after that."""
        if record.trial.in_space:
            self._put(record.number, TrialState.RUNNING, record.trial.params)

    def tell(self, record: TrialRecord) -> None:
        """Takes in a trial's end, with all that it reported."""
        if not record.trial.in_space:
            return
        outcome, score = record.outcome, record.score(self.metric)
        values = {}
        if outcome is not Outcome.DIVERGED:
            for epoch in record.history:
                kept = record.kept(epoch.epoch)
                values[epoch.epoch] = kept.metrics.get(self.metric.name, math.nan)
        complete = outcome is Outcome.COMPLETE and score is not None
        pruned = outcome is Outcome.DIVERGED or (outcome is Outcome.STOPPED and bool(values))
        self._put(
            record.number,
            TrialState.COMPLETE if complete else TrialState.PRUNED if pruned else TrialState.FAIL,
            record.trial.params,
            value=score if complete else None,
            intermediate_values=values,
            user_attrs={"trial": record.number, "outcome": str(outcome)},
        )

    def _put(self, number: int, state: TrialState, params: Mapping[str, Any], **known: Any) -> None:
        trial = create_trial(
            state=state, params=dict(params), distributions=self.tree.distributions(params), **known
        )
        trial.number = number
        self.history.put(trial)
        self._tried.add(frozenset(params.items()))
        if self.history.forecaster:
            self.history.forecaster.add(number, params)


def _every(history: History) -> Iterator[dict[str, Any]]:
    """All that can be drawn from a tree, one after the other; nothing where values cannot be counted."""
    tree, space = history.tree, history.space
    counts = {name: count for name, entry in space.items() if (count := count_of(entry)) is not None}
    if counts.keys() != space.keys():
        return

    def further(place: int, values: dict[str, Any], params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if place == len(tree.parameters):
            yield params
            return
        parameter = tree.parameters[place]
        name, path = parameter.name, parameter.path
        if not parameter.active(values):
            yield from further(place + 1, values, params)
        elif isinstance(parameter.domain, Fixed):
            yield from further(place + 1, {**values, path: parameter.domain.value}, params)
        else:
            for step in range(counts[name]):
                value = value_at(space[name], (step + 0.5) / counts[name])
                yield from further(place + 1, {**values, path: value}, {**params, name: value})

    yield from further(0, dict(tree.defaults), {})


def write_study(path: Path, name: str, sampler: Sampler, records: Iterable[TrialRecord]) -> None:
    """Writes what a sampler knows as a study, the SQLite file that `optuna-dashboard sqlite:///PATH` opens.

    Args:
        records: Of the trials, by number: a study that was rebuilt does not know when they ran. Those that
            the sampler was not shown are left out.
    """
    dated = [_dated(trial, record) for record in records if (trial := sampler.history.get(record.number))]
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{partial}",
        study_name=name,
        direction="maximize" if sampler.metric.mode == "max" else "minimize",
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
