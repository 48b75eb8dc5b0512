"""Settings: what the search varied, which trial had which value, and what came of it."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from typing import Any, NamedTuple

from search.report.facts.view import SearchView, outcome_name
from search.trials.trials import TrialRecord, ranked

FAMILY = "model.name"
"""The path that tells families of networks apart."""

MOST_CHOICES = 8
"""Repeated numbers are choices up to so many different ones."""

LOG_RATIO = 20
"""Numbers on a log scale span at least this factor."""


def path_of(key: str) -> str:
    """The recipe path of a parameter: `optim.lr@1`, one of several ranges of `optim.lr`, is `optim.lr`."""
    return key.rsplit("@", 1)[0]


def family(record: TrialRecord) -> str:
    """The trial's network, by its name in the registry."""
    return str(record.trial.recipe.get("model", {}).get("name", "?"))


def families(records: list[TrialRecord]) -> list[str]:
    """Every family, in the order of its first trial: the order that its colour comes from."""
    return list(dict.fromkeys(family(record) for record in sorted(records, key=lambda r: r.number)))


def varied_paths(records: list[TrialRecord]) -> list[str]:
    """The paths that the sampler chose in any trial, the family first, then by first appearance."""
    found = dict.fromkeys(path_of(key) for record in records for key in record.trial.params)
    return sorted(found, key=lambda path: path != FAMILY)


def setting_values(record: TrialRecord, paths: list[str]) -> dict[str, Any]:
    """The trial's values by path, without the paths that do not exist for it.

    A sampled trial has the parameters that the sampler chose: a path may stand in its recipe with a
    default and still not have been varied. A trial without any parameters was given as a whole recipe,
    so its recipe is read.
    """
    if record.trial.params:
        chosen = {path_of(key): value for key, value in record.trial.params.items()}
        return {path: chosen[path] for path in paths if path in chosen}
    found = ((path, _at(record.trial.recipe, path)) for path in paths)
    return {path: values[0] for path, values in found if values}


def _at(recipe: dict[str, Any], path: str) -> tuple[Any, ...]:
    """The value at a dotted path, in a tuple of one; an empty tuple where the path leads nowhere."""
    value: Any = recipe
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return ()
        value = value[key]
    return (value,)


class Setting(NamedTuple):
    """One setting and what became of the trials that had it; all lists run over the same trials."""

    path: str
    values: list[Any]
    scores: list[float]
    trials: list[int]
    families: list[str]
    outcomes: list[str]
    numeric: bool
    """The values are numbers from a range, to be shown on a scale; a few numbers that come again and
    again are choices."""
    log: bool
    """The numbers are to be shown on a log scale."""

    def among(self, trials: Collection[int]) -> Setting:
        """The same setting, of these trials alone."""
        kept = [place for place, trial in enumerate(self.trials) if trial in trials]
        return self._replace(
            values=[self.values[place] for place in kept],
            scores=[self.scores[place] for place in kept],
            trials=[self.trials[place] for place in kept],
            families=[self.families[place] for place in kept],
            outcomes=[self.outcomes[place] for place in kept],
        )


def settings_against_score(view: SearchView) -> list[Setting]:
    """For every varied path, the values and scores of the scored trials that had it, best trial first.

    A trial that was stopped early is in, with its score at that point and its outcome beside it.
    """
    paths = varied_paths(view.records)
    rows: dict[str, list[tuple[Any, float, int, str, str]]] = {path: [] for path in paths}
    for record in ranked(view.records, view.metric):
        score = record.score(view.metric)
        if score is None:
            continue
        for path, value in setting_values(record, paths).items():
            name = outcome_name(record, view.state)
            rows[path].append((value, score, record.number, family(record), name))
    return [_setting(path, found, view) for path, found in rows.items()]


def _setting(path: str, found: list[tuple[Any, float, int, str, str]], view: SearchView) -> Setting:
    values = [row[0] for row in found]
    numeric = is_numeric(values) and not is_repeated(values)
    return Setting(
        path,
        values,
        scores=[row[1] for row in found],
        trials=[row[2] for row in found],
        families=[row[3] for row in found],
        outcomes=[row[4] for row in found],
        numeric=numeric,
        log=numeric and is_log(path, values, view),
    )


def is_numeric(values: list[Any]) -> bool:
    """Whether there are values and all are numbers; true and false are choices."""
    return bool(values) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def is_repeated(values: list[Any]) -> bool:
    """Whether the values are a few that come again and again, as those of a choice do."""
    return len(set(values)) <= min(MOST_CHOICES, len(values) // 2)


def is_log(path: str, values: list[Any], view: SearchView) -> bool:
    """Whether a log scale suits a setting's numbers: where the space draws them on one, or did in one of its
    ranges. Where the space does not have the setting, the numbers themselves tell."""
    ranges = view.space.get("parameters", {}).get(path)
    if ranges is None:
        return _spreads_as_log(values)
    return min(values) > 0 and any("log" in one for one in (ranges if isinstance(ranges, list) else [ranges]))


def _spreads_as_log(values: list[Any]) -> bool:
    """Whether numbers span much, and half of them lie at the low end.

    The second tells a range that was drawn from on a log scale from an even one that begins near zero.
    """
    low, high = min(values), max(values)
    return low > 0 and high > LOG_RATIO * low and statistics.median(values) < (low + high) / 4
