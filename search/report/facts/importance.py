"""Which settings made the difference between the best trials and the rest."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.report.facts.drawn import even_sample
from search.report.facts.settings import is_log, is_numeric, is_repeated, path_of
from search.report.facts.view import SearchView
from search.trials.trials import Outcome, TrialRecord, ranked

MIN_TRIALS = 15
"""Fewer than this say nothing: the method wants five trials among the best, and others to compare with."""
MIN_TRIALS_OF_SETTING = 8
"""A setting that fewer trials had is not judged."""
MOST_JUDGED = 1000
"""Of more trials an even sample of the ranking is judged: it has the same shape, and takes less time."""
SHUFFLES = 20
"""How often the ranking is shuffled to see what importance chance alone gives."""


class Importance(NamedTuple):
    """How much one setting matters for reaching the top of the table."""

    path: str
    trials: int
    """How many of the judged trials had it."""
    share: float | None
    """Share of the importance of all settings, 0 to 1; None: too few trials had it."""
    chance: float | None
    """What it reaches, on the same scale, when the ranking is shuffled: the 90th percentile over shuffles,
    which can be over 1. A setting that stays below it has not been shown to matter."""

    @property
    def shown(self) -> bool:
        """Whether it is more than chance alone gives."""
        return self.share is not None and self.chance is not None and self.share > self.chance


def importances(view: SearchView) -> list[Importance]:
    """The settings by importance, the most important first; empty with too few trials to say anything.

    Method: conditional PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255, in Optuna's version for
    conditional spaces, arXiv 2601.20800). It compares, for each setting, how its values are spread among
    the best trials with how they are spread among all. A conditional setting is evaluated only among the
    trials that had it, and each of several ranges of one path by itself; what comes out is weighted by how
    often those trials are among the best, so that bars can be compared.

    The trials are ordered as in the ranked table, diverged ones last. The sampler's own trials are judged
    (a given recipe is no draw from the space), those that ended with a score or diverged; of more than
    `MOST_JUDGED` an even sample.
    """
    judged = [
        record
        for record in ranked(view.records, view.metric)
        if record.trial.origin == "sampled"
        and record.outcome is not None
        and (record.outcome is Outcome.DIVERGED or record.score(view.metric) is not None)
    ]
    if len(judged) < MIN_TRIALS:
        return []
    if len(judged) > MOST_JUDGED:
        judged = even_sample(judged, MOST_JUDGED)
    study = _study(judged, view)
    counts: dict[str, int] = {}
    for trial in study.trials:
        for path in trial.params:
            counts[path] = counts.get(path, 0) + 1
    enough = [path for path, count in counts.items() if count >= MIN_TRIALS_OF_SETTING]
    rng = np.random.default_rng(0)
    values = _evaluate(study, enough, np.arange(len(judged)))
    total = sum(values.values())
    shuffled = [_evaluate(study, enough, rng.permutation(len(judged))) for _ in range(SHUFFLES)]
    found = [
        Importance(path, count, None, None)
        if path not in values or total == 0
        else Importance(
            path,
            count,
            values[path] / total,
            float(np.quantile([result[path] for result in shuffled], 0.9)) / total,
        )
        for path, count in counts.items()
    ]
    return sorted(found, key=lambda item: (item.share is None, -(item.share or 0.0), item.path))


def _study(judged: list[TrialRecord], view: SearchView) -> optuna.Study:
    """The judged trials as a study in memory: the trial's number there is its place in the ranking."""
    values: dict[str, list[Any]] = {}
    for record in judged:
        for key, value in record.trial.params.items():
            values.setdefault(key, []).append(_plain(value))
    paths: dict[str, list[str]] = {}
    for key in values:
        paths.setdefault(path_of(key), []).append(key)
    domains: dict[str, BaseDistribution] = {}
    for path, keys in paths.items():
        together = [value for key in keys for value in values[key]]
        numeric = is_numeric(together) and not is_repeated(together)
        for key in keys:
            # Ranges of numbers stay apart; an optuna study knows only one set of choices a name.
            log = numeric and is_log(path, values[key], view)
            domains[key] = _numbers(values[key], log) if numeric else _choices(together)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study()
    finally:
        optuna.logging.set_verbosity(verbosity)
    study.add_trials(
        optuna.create_trial(
            params={path_of(key): _plain(value) for key, value in record.trial.params.items()},
            distributions={path_of(key): domains[key] for key in record.trial.params},
            value=float(place),
        )
        for place, record in enumerate(judged)
    )
    return study


def _plain(value: Any) -> Any:
    """The value as a domain can hold it."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _choices(values: list[Any]) -> BaseDistribution:
    unique = {(type(value).__name__, str(value)): value for value in values}
    return CategoricalDistribution([unique[key] for key in sorted(unique)])


def _numbers(values: list[Any], log: bool) -> BaseDistribution:
    """The smallest range that holds the values: the records keep values, not the space's ranges."""
    if all(isinstance(value, int) for value in values):
        return IntDistribution(min(values), max(values), log=log)
    return FloatDistribution(float(min(values)), float(max(values)), log=log)


def _evaluate(study: optuna.Study, paths: list[str], places: np.ndarray) -> dict[str, float]:
    """Divergences by path when trial i of the study holds place `places[i]`, an int array (trials,)."""
    if not paths:
        return {}
    quantile = max(0.1, 5 / len(places))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.importance.get_param_importances(
            study,
            evaluator=optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile),
            params=paths,
            target=lambda trial: float(places[trial.number]),
            normalize=False,
        )
