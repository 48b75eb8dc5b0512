"""What the trials score and what they cost: the Pareto front, from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from search.report.facts.settings import family
from search.report.facts.view import SearchView, outcome_name
from search.settings.objectives import TRAIN_TIME, Objectives
from search.trials.trials import TrialRecord, ranked


class Candidate(NamedTuple):
    """One trial with a score, as the weights are that it came out with."""

    trial: int
    family: str
    outcome: str
    metric: float
    """Without the costs."""
    costs: dict[str, float]
    """By key."""
    on_front: bool
    """No other trial is at least as good in the metric and in every cost, and better in one of them."""


def objectives_of(view: SearchView) -> Objectives:
    """What the front is over: where nothing counts but the metric, that and the time of a training."""
    return view.objectives or Objectives(view.metric, {"train-time": 0.0})


def candidates(view: SearchView) -> list[Candidate]:
    """The trials with a score, from best to worst."""
    objectives = objectives_of(view)
    known = [(record, _values(record, view)) for record in ranked(view.records, view.metric)]
    scored = [(record, values) for record, values in known if values is not None]
    keys = [cost.key for cost in objectives.costs]
    name, gain = objectives.metric.name, objectives.metric.gain
    front = pareto_front([[gain(values[name]), *(-values[key] for key in keys)] for _, values in scored])
    return [
        Candidate(
            record.number,
            family(record),
            outcome_name(record, view.state),
            values[name],
            {key: values[key] for key in keys},
            on_front,
        )
        for (record, values), on_front in zip(scored, front, strict=True)
    ]


def _values(record: TrialRecord, view: SearchView) -> dict[str, float] | None:
    """Metric and costs of a trial by key; None without a score, or where no epoch tells how long it took."""
    if view.objectives is not None:
        return view.objectives.values(record)
    score = record.score(view.metric)
    if score is None or not record.seconds:
        return None
    return {view.metric.name: score, TRAIN_TIME: record.seconds / record.epochs_done * record.trial.epochs}


def pareto_front(points: Sequence[Sequence[float]]) -> list[bool]:
    """Whether each point is on the front: no other is at least as high everywhere, and higher somewhere.

    Equal points are on it together.
    """
    if not points:
        return []
    array, on_front = np.asarray(points, dtype=float), [False] * len(points)
    front = array[:0]
    for place in np.lexsort(-array.T[::-1]):  # what is better somewhere, and nowhere worse, comes before
        point = array[place]
        on_front[place] = not ((front >= point).all(axis=1) & (front > point).any(axis=1)).any()
        if on_front[place]:
            front = np.vstack([front, point])
    return on_front
