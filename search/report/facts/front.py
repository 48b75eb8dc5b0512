"""What the trials score and what they cost: the Pareto front, from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from search.report.facts.settings import family
from search.report.facts.view import SearchView, outcome_name
from search.trials import ranked


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


def candidates(view: SearchView) -> list[Candidate]:
    """The trials with a score, from best to worst; none where nothing counts but the metric."""
    objectives = view.objectives
    if objectives is None:
        return []
    known = [(record, objectives.values(record)) for record in ranked(view.records, view.metric)]
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


def pareto_front(points: Sequence[Sequence[float]]) -> list[bool]:
    """Whether each point is on the front: no other is at least as high everywhere, and higher somewhere.

    Equal points are on it together.
    """
    array = np.asarray(points, dtype=float)
    return [not ((array >= point).all(axis=1) & (array > point).any(axis=1)).any() for point in array]
