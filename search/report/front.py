"""The trade-off between the metric and one cost, drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from search import text
from search.report.facts import Candidate
from search.report.style import NEUTRAL, brief, empty_figure, label, mark_opacity, marker, span
from search.settings.objectives import Cost, Objectives

POINTS = 40
"""Of a curve."""


def front(
    found: Sequence[Candidate],
    cost: Cost,
    objectives: Objectives,
    palette: dict[str, str],
    leader: int | None,
) -> go.Figure:
    """The metric over one cost, a point a trial: those on the Pareto front are ringed, the leader twice.

    The staircase is the best metric at this cost or less. Where it is the only cost, all that lies on the
    dotted curve scores as the leader does, and what lies worse of it scores lower.
    """
    metric = objectives.metric
    ringed = [candidate for candidate in found if candidate.on_front]
    of = text.count(len(found), "trial")
    words = f"The {metric.title} by {cost.title}; of {of} {len(ringed)} are on the Pareto front"
    figure = empty_figure(380, words, x=f"{cost.title}, {cost.unit}", y=metric.title, metric=metric.name)
    low, high = span([candidate.costs[cost.key] / cost.size for candidate in found], log=True)
    steps = (1, 2, 5) if high - low < 2 else (1,)
    decades = range(math.floor(low), math.ceil(high))
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    figure.update_xaxes(
        type="log", range=[low, high], tickvals=ticks, ticktext=[text.number(t) for t in ticks]
    )
    figure.update_yaxes(range=span([candidate.metric for candidate in found], text.is_log(metric.name)))
    leading = next((candidate for candidate in found if candidate.trial == leader), None)
    if leading is not None and len(objectives.costs) == 1 and objectives.weights[cost.name]:
        _add_equals(figure, leading, cost, objectives, 10**low, 10**high)
    _add_staircase(figure, found, cost, objectives, 10**high)
    groups: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in found:
        groups.setdefault((candidate.family, candidate.outcome), []).append(candidate)
    for (family, outcome), members in groups.items():
        _add_points(
            figure,
            members,
            cost,
            objectives,
            name=label(f"{family}, {outcome}"),
            marker=marker(palette[family], outcome, len(found)),
            opacity=mark_opacity(len(found)),
        )
    ring = {"symbol": "circle-open", "color": NEUTRAL, "line": {"width": 1.6}}
    _add_points(figure, ringed, cost, objectives, name="on the Pareto front", marker=ring | {"size": 17})
    if leading is not None:
        _add_points(figure, [leading], cost, objectives, name="best score", marker=ring | {"size": 24})
    return figure


def _add_points(
    figure: go.Figure, found: Sequence[Candidate], cost: Cost, objectives: Objectives, **look: object
) -> None:
    metric, costs = objectives.metric, objectives.costs
    figure.add_scatter(
        x=[brief(candidate.costs[cost.key] / cost.size) for candidate in found],
        y=[candidate.metric for candidate in found],
        customdata=[candidate.trial for candidate in found],
        hovertext=[
            ", ".join(
                [text.score(candidate.metric, metric.name)]
                + [f"{other.title} {other.shown(candidate.costs[other.key])}" for other in costs]
            )
            for candidate in found
        ],
        mode="markers",
        hovertemplate="trial %{customdata}<br>%{hovertext}<extra>%{fullData.name}</extra>",
        **look,
    )


def _add_staircase(
    figure: go.Figure, found: Sequence[Candidate], cost: Cost, objectives: Objectives, end: float
) -> None:
    """From the cheapest trial on, every one that is better than all that cost less."""
    gain, steps = objectives.metric.gain, list[Candidate]()
    for candidate in sorted(found, key=lambda c: (c.costs[cost.key], -gain(c.metric))):
        if not steps or gain(candidate.metric) > gain(steps[-1].metric):
            steps.append(candidate)
    figure.add_scatter(
        x=[*(brief(candidate.costs[cost.key] / cost.size) for candidate in steps), end],
        y=[*(candidate.metric for candidate in steps), steps[-1].metric],
        mode="lines",
        line={"color": NEUTRAL, "width": 2, "shape": "hv"},
        hoverinfo="skip",
    )


def _add_equals(
    figure: go.Figure, leading: Candidate, cost: Cost, objectives: Objectives, low: float, high: float
) -> None:
    """Metric and cost that score as the leading trial does."""
    own, weight = leading.costs[cost.key] / cost.size, objectives.weights[cost.name]
    x = [low * (high / low) ** (i / (POINTS - 1)) for i in range(POINTS)]
    sign = 1 if objectives.metric.mode == "max" else -1
    figure.add_scatter(
        x=[brief(value) for value in x],
        y=[brief(leading.metric + sign * weight * math.log10(value / own)) for value in x],
        mode="lines",
        line={"color": NEUTRAL, "width": 1.2, "dash": "dot"},
        hoverinfo="skip",
    )
