"""A former search as a later one learns from it, be it on other data or of a space that only overlaps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeVar

import numpy as np

from search.policy.forecaster import FEWEST, Forecaster
from search.policy.rungs import Rungs
from search.policy.trend import Trend
from search.trials.trials import Epoch, Metric, Outcome, TrialRecord
from spaces.tree import Tree

FIRST, ALIKE = 5, 2
"""So many of the best recipes of former searches are tried first, and so many of one network."""
BEST = 5
"""Points of a former search beside which a later one looks for better ones in every branch."""
NEGLIGIBLE = 1e-3
"""A former search whose trials differ by less, in the units of its model, says nothing of which are good."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Former:
    """What counts of a former search: plain values, so that it can be kept in a file."""

    source: str
    """Its folder, as it was named."""
    of: int
    """Trials of it that scored or diverged, whatever their recipes."""
    max_passes: int
    reduction: int
    """Of its rungs, see `Rungs`."""
    params: dict[int, dict[str, Any]]
    """By number, the trials in the space of the later search, with their parameters there."""
    reports: list[tuple[int, float, float | None]]
    """Those that came to a rung, in order: trial, passes over the training part, and its score then, where
    more is better; None: it was not finite, as where the trial diverged."""

    @property
    def scored(self) -> int:
        """How many of the trials have a score at a rung."""
        return len({trial for trial, _, gain in self.reports if gain is not None})

    @property
    def can_forecast(self) -> bool:
        """Whether its trials are enough to learn from which others are good."""
        diverged = {trial for trial, _, gain in self.reports if gain is None}
        return len({trial for trial, _, gain in self.reports} - diverged) >= FEWEST


def former_search(
    source: str,
    params: Mapping[int, Mapping[str, Any]],
    records: Mapping[int, TrialRecord],
    order: Iterable[Epoch],
    metric: Metric,
    *,
    of: int,
    max_passes: int,
    reduction: int,
) -> Former:
    """What counts of a search with these records.

    Args:
        params: By number, of the trials in the space of the later search.
        order: Its epochs in the order in which they arrived.
        metric: Of the later search.
        of, max_passes, reduction: See `Former`.
    """
    rungs, reports = Rungs(max_passes, reduction=reduction), []
    for epoch in order:
        if epoch.trial not in params:
            continue
        record = records[epoch.trial]
        gain = metric.gain(record.kept(epoch.epoch).metrics.get(metric.name, math.nan))
        if record.outcome is Outcome.DIVERGED and epoch.epoch == record.epochs_done:
            gain = math.nan
        rungs.enter(epoch.trial, epoch.passes, gain)
        if rungs.latest(epoch.trial).entries:
            reports.append((epoch.trial, epoch.passes, gain if math.isfinite(gain) else None))
    found = {number: dict(given) for number, given in params.items()}
    return Former(source, of, max_passes, reduction, found, reports)


def trends_of(formers: Sequence[Former], tree: Tree, *, seed: int) -> list[Trend]:
    """What each of these searches leads to expect in a space, by a model of its own; those that say nothing
    are left out.

    Raises:
        ValueError: Parameters are not of this space.
    """
    return [found for former in formers if (found := _trend(former, tree, seed))]


def _trend(former: Former, tree: Tree, seed: int) -> Trend | None:
    reached = Rungs(former.max_passes, reduction=former.reduction)
    forecaster = Forecaster(tree, reached, seed=seed)
    for number, params in former.params.items():
        forecaster.add(number, params)
    for trial, passes, gain in former.reports:
        reached.enter(trial, passes, math.nan if gain is None else gain)
    known = forecaster.forecasts()
    if known is None:
        return None
    # Not `known.final`, which knows of each trial how it came out, but what its recipe leads to expect.
    expected = known.model.mean(known.features)
    best = known.at[np.argsort(-known.final)[:BEST]]
    spread = float(expected.std())
    return Trend(known.model, float(expected.mean()), spread, best) if spread > NEGLIGIBLE else None


def tried_first(
    ranked: Sequence[Sequence[Item]],
    network: Callable[[Item], object],
    recipe: Callable[[Item], object] = lambda item: item,
) -> list[Item]:
    """Of the recipes of each search, best first, those that are tried first: by turns among the searches,
    each once, at most `FIRST` in all and `ALIKE` of a network."""
    chosen: list[Item] = []
    for item in (item for turn in zip_longest(*ranked) for item in turn if item is not None):
        is_new = all(recipe(item) != recipe(other) for other in chosen)
        if is_new and sum(network(item) == network(other) for other in chosen) < ALIKE:
            chosen.append(item)
    return chosen[:FIRST]
