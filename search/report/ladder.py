"""The rungs of the stopping rule, drawn: what each trial scored there, and who went on."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from search import text
from search.report.facts import CONTROL, OTHERWISE, STOPPED, WENT_ON, Arrival
from search.report.style import MANY, empty_figure, hover, label, mark_opacity, span, spread
from search.trials.trials import Metric

MARKS = {WENT_ON: "●", STOPPED: "○", CONTROL: "■", OTHERWISE: "✕"}
"""How the fates look, as characters."""
SYMBOLS = {WENT_ON: "circle", STOPPED: "circle-open", CONTROL: "square", OTHERWISE: "x"}


def ladder(found: Sequence[Arrival], metric: Metric, palette: dict[str, str]) -> go.Figure:
    """A column a rung, with a mark for each trial that came to it, at what it scored there."""
    rungs = list(dict.fromkeys(arrival.rung for arrival in found))
    words = f"The {metric.title} of the trials that came to {text.count(len(rungs), 'rung')}"
    figure = empty_figure(
        380, words, x="rung, in passes over the training part", y=metric.title, metric=metric.name
    )
    groups: dict[tuple[str, str], list[Arrival]] = {}
    for arrival in found:
        groups.setdefault((arrival.family, arrival.fate), []).append(arrival)
    for (family, fate), members in groups.items():
        colour = palette[family]
        figure.add_scatter(
            x=[rungs.index(arrival.rung) + spread(arrival.trial) for arrival in members],
            y=[arrival.score for arrival in members],
            customdata=[[arrival.trial, text.number(arrival.rung)] for arrival in members],
            mode="markers",
            name=label(f"{family}, {fate}"),
            marker={
                "color": colour,
                "symbol": SYMBOLS[fate],
                "size": 5 if len(found) > MANY else 8,
                "line": {"width": 1.4, "color": colour},
            },
            opacity=mark_opacity(len(found)),
            hovertemplate=hover(metric.name, "at the rung of %{customdata[1]}", "%{customdata[0]}"),
        )
    figure.update_xaxes(
        tickvals=list(range(len(rungs))),
        ticktext=[text.number(rung) for rung in rungs],
        range=[-0.5, len(rungs) - 0.5],
        showgrid=False,
    )
    figure.update_yaxes(range=span([arrival.score for arrival in found], text.is_log(metric.name)))
    return figure
