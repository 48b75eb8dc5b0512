"""How good the best trial was after how much time, and after how many passes."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from search.compare.entry import Entry
from search.report import facts
from search.report.facts.curves import worked


class Step(NamedTuple):
    """The moment at which a trial ended that is better than all before."""

    seconds: float
    """Since the start of the search, without the time between sessions."""
    passes: float
    """Over the training part, by all trials until then."""
    trial: int
    score: float


class Progress(NamedTuple):
    """The best score of a search as it went on."""

    number: int
    """Of the search."""
    steps: list[Step]
    end_s: float
    """When its last trial ended, or was last heard of."""
    end_passes: float


def progress(entry: Entry) -> Progress:
    """The steps of a search, by its metric without costs; none as long as no trial has a score."""
    view = replace(entry.view, metric=entry.metric)
    start = min((record.started for record in view.records), default=0.0)
    came = sorted(
        (worked(epoch.time, start, view.sessions), epoch.passes - before)
        for record in view.records
        for epoch, before in zip(
            record.history, [0.0, *(epoch.passes for epoch in record.history)], strict=False
        )
    )
    moments, sums = [seconds for seconds, _ in came], [0.0, *accumulate(passes for _, passes in came)]
    steps: list[Step] = []
    for point in facts.best_over_time(view):
        if not steps or point.best != steps[-1].score:
            passes = sums[bisect_right(moments, point.seconds)]
            steps.append(Step(point.seconds, passes, point.trial, point.best))
    ends = [worked(record.ended, start, view.sessions) for record in view.records if record.ended is not None]
    return Progress(entry.number, steps, max([*moments, *ends], default=0.0), sums[-1])
