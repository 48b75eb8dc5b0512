"""A tested model, drawn: its confusion matrix, and whether it is as sure as it should be."""

from __future__ import annotations

import plotly.graph_objects as go

from search import text
from search.report.facts import Model
from search.report.style import NEUTRAL, SHARE, empty_figure, label

HIT, MISTAKE = "0, 114, 178", "213, 94, 0"
"""Blue and vermilion of the palette. Cells are more or less transparent, so that they suit light and dark."""
STRONGEST = 0.7
"""Opacity of a full cell: the page's text is readable on it."""
MOST_WRITTEN = 16
"""Classes up to which shares are written into the cells."""
WRITTEN_FROM = 0.005
SMALL_FROM = 30
"""Classes from which their names are small."""

Cells = list[list[float | None]]


def confusion(found: Model) -> go.Figure:
    """Shares of each true class (rows) by answer. Mistakes have a colour of their own, whose scale ends at
    the largest one: among fifty classes they would not be seen beside the hits.
    """
    size = len(found.classes)
    side = max(9, min(34, 560 // size))
    words = f"Confusion matrix of {text.count(size, 'class', 'classes')}, in shares of each true class"
    figure = empty_figure(150 + side * size, words, x="answer", y="true class")
    names, places = [label(name, longest=18) for name in found.classes], list(range(size))
    hits: Cells = [
        [of[row] if row == place else None for place in places] for row, of in enumerate(found.shares)
    ]
    mistakes: Cells = [
        [share if share and row != place else None for place, share in enumerate(of)]
        for row, of in enumerate(found.shares)
    ]
    told = [
        [
            f"{names[row]} taken for {names[place]}<br>{text.count(n, 'picture')}, "
            f"{text.score(found.shares[row][place], 'accuracy')}"
            for place, n in enumerate(of)
        ]
        for row, of in enumerate(found.counts)
    ]
    largest = max((share for of in mistakes for share in of if share), default=1.0)
    for cells, colour, most in ((hits, HIT, 1.0), (mistakes, MISTAKE, largest)):
        figure.add_heatmap(
            z=cells,
            x=places,
            y=places,
            zmin=0,
            zmax=most,
            colorscale=[[0, f"rgba({colour}, 0.06)"], [1, f"rgba({colour}, {STRONGEST})"]],
            showscale=False,
            hovertext=told,
            hovertemplate="%{hovertext}<extra></extra>",
            xgap=1,
            ygap=1,
            **_written(cells),
        )
    small = {"size": 9 if size > SMALL_FROM else 12}
    axis = {"tickvals": places, "ticktext": names, "showgrid": False, "tickfont": small}
    figure.update_xaxes(**axis, tickangle=-60)
    figure.update_yaxes(**axis, autorange="reversed")
    return figure


def _written(cells: Cells) -> dict[str, object]:
    """The shares in percent, where there is room for them."""
    if len(cells) > MOST_WRITTEN:
        return {}
    words = [[f"{100 * cell:.0f}" if cell and cell >= WRITTEN_FROM else "" for cell in of] for of in cells]
    return {"text": words, "texttemplate": "%{text}", "textfont": {"size": 12}}


def reliability(found: Model) -> go.Figure:
    """Accuracy over confidence, a point a bin of equally many pictures; on the dotted line the model is as
    sure as it should be.
    """
    words = "How often the model is right, by how sure it is"
    figure = empty_figure(380, words, x="how sure the model is", y="how often it is right")
    low = min(min(one.confidence, one.accuracy) for one in found.bins)
    ends = [max(0.0, low - 0.05), 1.02]
    figure.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": NEUTRAL, "dash": "dot", "width": 1.2}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=[one.confidence for one in found.bins],
        y=[one.accuracy for one in found.bins],
        hovertext=[text.count(one.pictures, "picture") for one in found.bins],
        mode="lines+markers",
        line={"color": f"rgb({HIT})", "width": 2},
        marker={"size": 8},
        hovertemplate="sure by %{x:.1%}, right in %{y:.1%}<br>%{hovertext}<extra></extra>",
    )
    figure.update_xaxes(range=ends, tickformat=SHARE)
    figure.update_yaxes(range=ends, tickformat=SHARE)
    return figure
