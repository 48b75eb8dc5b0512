"""The rungs of the stopping rule, and what became of the trials that came to each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from search.policy.rungs import Rungs
from search.report.facts.settings import family
from search.report.facts.view import SearchView
from search.trials.trials import Metric, Outcome, TrialRecord

WENT_ON, STOPPED, CONTROL, OTHERWISE = "went on", "stopped", "ran on as a control", "neither"


class Arrival(NamedTuple):
    """A trial at a rung that it came to."""

    trial: int
    family: str
    rung: float
    """Passes over the training part."""
    score: float
    """Of the weights that it would have come out with there."""
    fate: str
    """`WENT_ON`, `STOPPED` there, `CONTROL` (it would have been stopped there), or `OTHERWISE`: it has not
    gone on, because it runs, failed, or the budget ended it."""


def levels(view: SearchView) -> list[float]:
    """The passes at which the rule stops trials; none where the search's lengths are not known."""
    length, reduction = view.settings.get("max_epochs"), view.settings.get("reduction")
    return [] if length is None or reduction is None else Rungs(length, reduction=reduction).levels[:-1]


def rung_of(rungs: Sequence[float], passes: float) -> float | None:
    """The highest rung that a trial of so many passes has reached."""
    return max((level for level in rungs if level <= passes), default=None)


def score_at(record: TrialRecord, rung: float, metric: Metric) -> float | None:
    """A trial's score when it came to a rung; None where it came less far, or had none: it diverged there."""
    epoch = next((epoch.epoch for epoch in record.history if epoch.passes >= rung), None)
    if epoch is None or (epoch == record.epochs_done and record.outcome is Outcome.DIVERGED):
        return None
    score = record.kept(epoch).metrics.get(metric.name, math.nan)
    return score if math.isfinite(score) else None


def arrivals(view: SearchView) -> list[Arrival]:
    """Every trial with a score at every rung that it came to: rung by rung, by number."""
    rungs = levels(view)
    return [
        Arrival(record.number, family(record), rung, score, _fate(record, rung, rungs))
        for rung in rungs
        for record in view.records
        if (score := score_at(record, rung, view.metric)) is not None
    ]


def _fate(record: TrialRecord, rung: float, rungs: Sequence[float]) -> str:
    if record.ended_by_rule and rung == rung_of(rungs, record.passes):
        return STOPPED
    if record.control is not None and rung == rung_of(rungs, record.control):
        return CONTROL
    reached = next(epoch.epoch for epoch in record.history if epoch.passes >= rung)
    return WENT_ON if record.epochs_done > reached else OTHERWISE


def fates(found: Sequence[Arrival]) -> dict[float, dict[str, int]]:
    """How many trials met each fate at each rung."""
    counts = {arrival.rung: dict.fromkeys((WENT_ON, STOPPED, CONTROL, OTHERWISE), 0) for arrival in found}
    for arrival in found:
        counts[arrival.rung][arrival.fate] += 1
    return counts
