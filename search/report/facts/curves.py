"""How the trials went: learning curves over passes, and the best score over time."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from search.report.facts.rungs import levels, rung_of
from search.report.facts.settings import family
from search.report.facts.view import SearchView, outcome_name
from search.trials.trials import Outcome, TrialRecord, ranked


class Curve(NamedTuple):
    """One trial's epochs; `passes` and every list in `values` have one entry an epoch."""

    trial: int
    rank: int
    family: str
    outcome: str
    rung: float | None
    """In passes, where the stopping rule stopped it; None where it did not."""
    passes: list[float]
    values: dict[str, list[float]]
    """By metric; NaN where an epoch did not report it or it was not finite, and where the trial diverged:
    the accuracy of a broken network is no result."""


def learning_curves(view: SearchView, metrics: Sequence[str]) -> list[Curve]:
    """A curve for every trial that reported at least once, best trial first."""
    rungs = levels(view)
    return [
        Curve(
            record.number,
            rank,
            family(record),
            outcome_name(record, view.state),
            rung_of(rungs, record.passes) if record.ended_by_rule else None,
            [epoch.passes for epoch in record.history],
            {name: _values(record, name) for name in metrics},
        )
        for rank, record in enumerate(ranked(view.records, view.metric), start=1)
        if record.history
    ]


def _values(record: TrialRecord, metric: str) -> list[float]:
    found = [epoch.metrics.get(metric, math.nan) for epoch in record.history]
    if record.outcome is Outcome.DIVERGED:
        found[-1] = math.nan
    return [value if math.isfinite(value) else math.nan for value in found]


class BestSoFar(NamedTuple):
    """One trial with a score, at the moment of its last sign of life."""

    seconds: float
    """Since the start of the search, without the time between sessions."""
    trial: int
    family: str
    outcome: str
    score: float
    best: float
    """The best score up to now."""


def best_over_time(view: SearchView) -> list[BestSoFar]:
    """The scored trials in the order in which they ended, each with the best score so far."""
    scored = [(_last_sign(r), r, s) for r in view.records if (s := r.score(view.metric)) is not None]
    start = min((record.started for record in view.records), default=0.0)
    best = view.metric.worst
    points = []
    for moment, record, score in sorted(scored, key=lambda item: (item[0], item[1].number)):
        best = max(best, score, key=view.metric.gain)
        seconds = worked(moment, start, view.sessions)
        name = outcome_name(record, view.state)
        points.append(BestSoFar(seconds, record.number, family(record), name, score, best))
    return points


def best_to_draw(found: Sequence[BestSoFar], trials: Collection[int]) -> list[BestSoFar]:
    """Of all points those of these trials, the steps of the best score, and the last one."""
    before = [None, *(point.best for point in found)]
    return [
        point
        for point, best in zip(found, before, strict=False)
        if point.trial in trials or point.best != best or point is found[-1]
    ]


def _last_sign(record: TrialRecord) -> float:
    return record.ended if record.ended is not None else record.history[-1].time


def worked(moment: float, start: float, sessions: Sequence[tuple[float, float]]) -> float:
    """Seconds of driver time up to a moment; wall-clock time since `start` without known sessions."""
    if not sessions:
        return moment - start
    return sum(max(0.0, min(moment, last) - first) for first, last in sessions)
