"""Figures of rows, one a search: what all its trials scored, and what its winner came to when trained again.

The `customdata` of a point is the number of its search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from search import text
from search.compare.look import colour, tick
from search.compare.scores import Scores
from search.report.contest import mean_bar, mean_said, promise
from search.report.facts.rematch import Contender
from search.report.style import SHARE, SYMBOLS, empty_figure, label, span, spread
from search.trials.trials import Metric

ROW_PX = 44
ROWS = "rows"
"""`meta` of a trace whose heights only tell searches apart: the table of the figure's numbers has none."""


def all_scores(found: Sequence[Scores], metric: Metric, names: Mapping[int, str]) -> go.Figure:
    """A row a search: a mark a trial, a bar over the middle half of them, and a stroke at the median."""
    figure = _rows_figure(len(found), metric.title, metric)
    scored = [one for one in found if one.quartiles]
    for row, one in enumerate(found):
        if one.quartiles is None:
            continue
        low, middle, high = one.quartiles
        own, name = colour(one.number), metric.name
        figure.add_scatter(
            x=[low, high],
            y=[row, row],
            mode="lines",
            line={"color": own, "width": 18},
            opacity=0.28,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=[middle],
            y=[row],
            customdata=[one.number],
            hovertext=[f"median; the middle half is {text.score(low, name)} to {text.score(high, name)}"],
            meta=ROWS,
            name=label(names[one.number]),
            mode="markers",
            marker={"symbol": "line-ns", "size": 20, "line": {"width": 3, "color": own}},
            hovertemplate=f"median {text.score(middle, metric.name)}<extra>%{{fullData.name}}</extra>",
        )
        figure.add_scatter(
            x=one.scores,
            y=[row + 0.9 * spread(trial) for trial in one.trials],
            customdata=[one.number] * len(one.trials),
            hovertext=[f"trial {trial}, {outcome.replace('_', ' ')}" for trial, outcome in _told(one)],
            meta=ROWS,
            name=label(names[one.number]),
            mode="markers",
            marker={
                "color": own,
                "symbol": [SYMBOLS[outcome] for outcome in one.outcomes],
                "size": 7,
                "line": {"width": 1.3, "color": own},
            },
            opacity=0.85,
            hovertemplate="%{hovertext}<br>%{x:.4g}<extra>%{fullData.name}</extra>",
        )
    _name_rows(figure, [one.number for one in found], names)
    if scored:
        values = [value for one in scored for value in (*one.scores, *(one.quartiles or ()))]
        figure.update_xaxes(range=span(values, text.is_log(metric.name)))
    return figure


def _told(found: Scores) -> list[tuple[int, str]]:
    return list(zip(found.trials, found.outcomes, strict=True))


def winners(found: Mapping[int, Contender], metric: Metric, names: Mapping[int, str]) -> go.Figure:
    """A row a search whose winner was trained again: its 95% interval, its mean, a ring a seed, and a diamond
    at what the search had promised."""
    figure = _rows_figure(len(found), metric.quantity, metric)
    for row, (number, one) in enumerate(found.items()):
        own, name = colour(number), label(names[number])
        figure.add_scatter(
            **mean_bar(one, row, own),
            customdata=[number] * 3,
            hovertext=["mean, and the ends of its interval"] * 3,
            meta=ROWS,
            name=name,
            hovertemplate=f"{mean_said(one, metric)}<extra>%{{fullData.name}}</extra>",
        )
        figure.add_scatter(
            x=list(one.scores),
            y=[row] * len(one.scores),
            customdata=[number] * len(one.scores),
            hovertext=["a seed"] * len(one.scores),
            meta=ROWS,
            mode="markers",
            name=name,
            marker={"symbol": "circle-open", "size": 8, "color": own, "line": {"width": 1.5}},
            hovertemplate="a seed: %{x:.4g}<extra>%{fullData.name}</extra>",
        )
        figure.add_scatter(
            **promise(one, row, own),
            customdata=[number],
            hovertext=["in the search"],
            meta=ROWS,
            name=name,
            hovertemplate=f"in the search: {text.score(one.search_score, metric.name)}"
            "<extra>%{fullData.name}</extra>",
        )
    _name_rows(figure, list(found), names)
    return figure


def _rows_figure(rows: int, title: str, metric: Metric) -> go.Figure:
    """A figure whose x axis is the metric's."""
    words = f"{title}, a row for each of {text.count(rows, 'search', 'searches')}"
    figure = empty_figure(80 + ROW_PX * rows, words, x=title)
    if text.is_share(metric.name):
        figure.update_xaxes(tickformat=SHARE)
    elif text.is_log(metric.name):
        figure.update_xaxes(type="log", dtick="D2")
    figure.update_xaxes(nticks=7)
    return figure


def _name_rows(figure: go.Figure, numbers: Sequence[int], names: Mapping[int, str]) -> None:
    figure.update_yaxes(
        tickvals=list(range(len(numbers))),
        ticktext=[tick(number, names[number]) for number in numbers],
        range=[len(numbers) - 0.4, -0.6],
        showgrid=False,
    )
