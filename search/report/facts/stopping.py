"""What stopping cost, as the controls of its audit measure it, and how well each rung foretells the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from search import text
from search.report.facts.rungs import levels, rung_of, score_at
from search.report.facts.view import SearchView
from search.statistics.intervals import wilson
from search.trials.trials import Metric, Outcome, TrialRecord

FEWEST_TO_CORRELATE = 3
ENDS = (Outcome.COMPLETE, Outcome.DIVERGED)
"""Outcomes that are a recipe's own. What a failure or the budget ended might have gone either way."""


class RungFacts(NamedTuple):
    """One rung of the stopping rule."""

    passes: float
    """Over the training part."""
    stopped: int
    """Trials that were stopped there."""
    controls: int
    """Trials that would have been, and ran on."""
    trials: int
    """Complete trials that reported there and went on."""
    correlation: float | None
    """Between the scores of these trials there and at their ends, by ranks (Spearman); None where there are
    fewer than three of them, or all scores are the same."""


class Stopping(NamedTuple):
    """What the stopping rule did, and what it cost."""

    stopped: int
    controls: int
    unended: int
    """Controls that still run or were cut off."""
    ended: int
    """Controls that came to their own ends, diverged ones among them."""
    better: int
    """Of these, the ones that ended better than the best of the trials that are no controls."""
    interval: tuple[float, float] | None
    """Of the share of the stopped trials that would have ended so, with a probability of 95%."""
    best_control: float | None
    """The highest score among the controls that ended."""
    best_other: float | None
    """The highest score among the trials that are no controls, stopped or not."""
    passes: float
    """Over the training part, of all controls beyond where they would have been stopped."""
    time_share: float
    """Share of the training time of all trials that these passes took."""
    rungs: list[RungFacts]
    """The lowest first; none where the search's lengths are not known."""
    sentences: list[str]
    """All but the rungs in words; none where the rule has not stopped anything."""


def stopping(view: SearchView) -> Stopping:
    """What the records tell of the stopping rule, also where it has not stopped anything."""
    metric = view.metric
    stopped = [record for record in view.records if record.ended_by_rule]
    controls = [record for record in view.records if record.control is not None]
    ended = [record for record in controls if record.outcome in ENDS]
    best = _best([record for record in view.records if record.control is None], metric)
    scores = [score for record in ended if (score := record.score(metric)) is not None]
    better = sum(best is None or metric.gain(score) > metric.gain(best) for score in scores)
    seconds = sum(record.seconds for record in view.records)
    found = Stopping(
        stopped=len(stopped),
        controls=len(controls),
        unended=sum(record.outcome is None for record in controls),
        ended=len(ended),
        better=better,
        interval=wilson(better, len(ended)) if ended else None,
        best_control=_best(ended, metric),
        best_other=best,
        passes=sum(record.passes - (record.control or 0.0) for record in controls),
        time_share=sum(map(_seconds_beyond, controls)) / seconds if seconds else 0.0,
        rungs=_rungs(view, stopped, controls),
        sentences=[],
    )
    return found._replace(sentences=_told(found, metric))


def _best(records: Sequence[TrialRecord], metric: Metric) -> float | None:
    scores = [score for record in records if (score := record.score(metric)) is not None]
    return max(scores, key=metric.gain, default=None)


def _seconds_beyond(control: TrialRecord) -> float:
    """Seconds of its epochs after the one at which it would have been stopped."""
    late = [epoch for epoch in control.history if epoch.passes > (control.control or 0.0)]
    return sum(epoch.metrics.get("epoch_s", 0.0) for epoch in late)


def _rungs(
    view: SearchView, stopped: Sequence[TrialRecord], controls: Sequence[TrialRecord]
) -> list[RungFacts]:
    rungs = levels(view)
    stops = [rung_of(rungs, record.passes) for record in stopped]
    kept = [rung_of(rungs, record.control or 0.0) for record in controls]
    complete = [record for record in view.records if record.outcome is Outcome.COMPLETE]
    found = []
    for rung in rungs:
        pairs = [pair for record in complete if (pair := _there_and_at_end(record, rung, view.metric))]
        found.append(RungFacts(rung, stops.count(rung), kept.count(rung), len(pairs), _correlation(pairs)))
    return found


def _there_and_at_end(record: TrialRecord, rung: float, metric: Metric) -> tuple[float, float] | None:
    """A trial's score when it reached a rung, and its last one; None where it came no further."""
    there, end = score_at(record, rung, metric), record.score(metric)
    went_on = sum(epoch.passes >= rung for epoch in record.history) > 1
    return None if there is None or end is None or not went_on else (there, end)


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    if len(pairs) < FEWEST_TO_CORRELATE:
        return None
    ranks = pd.DataFrame(pairs).rank()
    return None if (ranks.nunique() == 1).any() else float(ranks[0].corr(ranks[1]))


def _told(found: Stopping, metric: Metric) -> list[str]:
    stops = text.count(found.stopped, "trial was", "trials were")
    if not found.controls:
        unknown = "None ran on as a control: what stopping cost is not known."
        return [f"{stops} stopped as too weak.", unknown] if found.stopped else []
    ran_on = "a control" if found.controls == 1 else "controls"
    sentences = [
        f"{stops} stopped as too weak; {text.count(found.controls, 'other')} would have been, and ran on as "
        f"{ran_on}. The order of the stops decided which, not the scores."
    ]
    if found.interval:
        low, high = found.interval
        ends = "an end of its own" if found.ended == 1 else "ends of their own"
        ended = text.count(found.ended, "control")
        sentences.append(
            f"{found.better:,} of {ended} that came to {ends} beat all trials that are no controls. With 95% "
            "confidence the share of the stopped trials that would have won is between "
            f"{low:.1%} and {high:.1%}."
        )
    if found.best_control is not None:
        best = text.score(found.best_control, metric.name)
        sentences.append(
            f"The best control ended with {best}, the best other trial with "
            f"{text.score(found.best_other, metric.name)}."
        )
    if lost := found.controls - found.ended - found.unended:
        sentences.append(f"{text.count(lost, 'control')} ended by a failure or the budget: not judged.")
    if found.unended:
        sentences.append(f"{text.count(found.unended, 'control has', 'controls have')} not ended yet.")
    beyond = text.count(round(found.passes), "pass", "passes")
    return [*sentences, f"Running on took {beyond}, {found.time_share:.1%} of the time of all trials."]
