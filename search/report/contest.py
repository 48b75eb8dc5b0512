"""A rematch, drawn: each contender's interval, its runs, and what the search had promised."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from search import text
from search.report.facts import Rematch
from search.report.facts.rematch import Contender
from search.report.style import NEUTRAL, SHARE, empty_figure, label
from search.trials.trials import Metric

ROW_PX = 64


def contest(found: Rematch, palette: dict[str, str]) -> go.Figure:
    """A row a contender, the best on top: a bar from end to end of its 95% interval, its mean, a dot a seed,
    and a diamond at the search's score."""
    metric = found.metric
    words = f"The {metric.quantity} of {text.count(len(found.contenders), 'contender')} with 95% intervals"
    figure = empty_figure(90 + ROW_PX * len(found.contenders), words, x=metric.quantity)
    names = {one.trial: f"trial {one.trial}<br>{label(one.family)}" for one in found.contenders}
    figure.update_yaxes(
        categoryorder="array", categoryarray=[names[one.trial] for one in found.contenders][::-1]
    )
    if text.is_share(metric.name):
        figure.update_xaxes(tickformat=SHARE)
    for one in found.contenders:
        colour, row = palette[one.family], names[one.trial]
        figure.add_scatter(
            **mean_bar(one, row, colour),
            customdata=[one.trial] * 3,
            name="mean, and the ends of its interval",
            hovertemplate=f"trial {one.trial}<br>{mean_said(one, metric)}<extra></extra>",
        )
        figure.add_scatter(
            x=list(one.scores),
            y=[row] * len(one.scores),
            customdata=[one.trial] * len(one.scores),
            mode="markers",
            name="a seed",
            marker={"symbol": "circle-open", "size": 8, "color": NEUTRAL, "line": {"width": 1.6}},
            hovertemplate="a seed: %{x:.4f}<extra></extra>",
        )
        figure.add_scatter(
            **promise(one, row, colour),
            customdata=[one.trial],
            name="in the search",
            hovertemplate=f"in the search: {text.score(one.search_score, metric.name)}<extra></extra>",
        )
    return figure


def mean_bar(one: Contender, row: str | int, colour: str) -> dict[str, Any]:
    """A contender's mean as a square, in a bar from end to end of its interval: properties of a trace."""
    low, high = one.interval or (one.mean, one.mean)
    return {
        "x": [low, one.mean, high],
        "y": [row] * 3,
        "mode": "lines+markers",
        "line": {"color": colour, "width": 3},
        "marker": {
            "symbol": ["line-ns", "square", "line-ns"],
            "size": [14, 11, 14],
            "color": colour,
            "line": {"width": 3, "color": colour},
        },
    }


def mean_said(one: Contender, metric: Metric) -> str:
    """The same in words."""
    said = f"{text.score(one.mean, metric.name)} on average"
    if one.interval:
        low, high = (text.score(end, metric.name) for end in one.interval)
        said += f", {low} to {high}"
    return said


def promise(one: Contender, row: str | int, colour: str) -> dict[str, Any]:
    """What the search had promised of a contender, as a diamond: properties of a trace."""
    return {
        "x": [one.search_score],
        "y": [row],
        "mode": "markers",
        "marker": {"symbol": "diamond-open", "size": 12, "color": colour, "line": {"width": 1.8}},
    }
