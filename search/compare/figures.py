"""Searches side by side, drawn. The `customdata` of a point is the number of its search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from search.compare.look import apart, colour, dash, tick
from search.compare.progress import Progress
from search.compare.scores import Scores
from search.report import text
from search.report.facts import Curve
from search.report.facts.rematch import Contender
from search.report.style import SHARE, SYMBOLS, empty_figure, label, log10, span, spread, time_unit
from search.trials import Metric

ROW_PX = 44
LINES_PX = 420
"""Height of a figure of lines."""
PLOT_PX = 340
"""What of that is between its axes, about."""
NEAR = 0.03
"""Of the x axis: ends that are nearer than that may cover each other's numbers."""
Line = tuple[int, list[float], list[float]]
"""A search's number, and the places of its line."""


def best_against_time(found: Sequence[Progress], metric: Metric, names: Mapping[int, str]) -> go.Figure:
    """The best score so far as a staircase for each search."""
    unit, size = time_unit(max((one.end_s for one in found), default=0.0))
    figure = _lines_figure(f"{unit} of searching", f"best {metric.title} so far", metric)
    figure.update_xaxes(rangemode="tozero")
    lines = [_staircase(one, [step.seconds / size for step in one.steps], one.end_s / size) for one in found]
    _add_lines(figure, lines, metric, names, unit, shape="hv")
    return figure


def best_against_passes(found: Sequence[Progress], metric: Metric, names: Mapping[int, str]) -> go.Figure:
    """The same over all passes of all trials: what it would be on machines that are alike."""
    figure = _lines_figure(
        "passes over the training part, of all trials", f"best {metric.title} so far", metric
    )
    figure.update_xaxes(rangemode="tozero")
    lines = [_staircase(one, [step.passes for step in one.steps], one.end_passes) for one in found]
    _add_lines(figure, lines, metric, names, "passes", shape="hv")
    return figure


def learning_curves(found: Mapping[int, Curve], metric: Metric, names: Mapping[int, str]) -> go.Figure:
    """One line a winner over its own passes."""
    figure = _lines_figure("passes over the training part", metric.title, metric)
    lines = [
        (number, curve.passes, curve.values[metric.name])
        for number, curve in found.items()
        if any(map(math.isfinite, curve.values[metric.name]))
    ]
    _add_lines(figure, lines, metric, names, "passes", shape="linear")
    return figure


def _lines_figure(x: str, y: str, metric: Metric) -> go.Figure:
    figure = empty_figure(height=LINES_PX, x=x, y=y, metric=metric.name)
    figure.update_layout(margin_r=30)  # for the numbers at the ends
    return figure


def _staircase(found: Progress, places: list[float], end: float) -> Line:
    """The steps, and on to the end of the search."""
    scores = [step.score for step in found.steps]
    return (found.number, [*places, end], [*scores, scores[-1]]) if scores else (found.number, [], [])


def _add_lines(
    figure: go.Figure, found: Sequence[Line], metric: Metric, names: Mapping[int, str], unit: str, shape: str
) -> None:
    """The lines with their numbers at their ends, which stand clear of each other."""
    drawn = [line for line in found if line[1]]
    value = "%{y:.1%}" if text.is_share(metric.name) else "%{y:.3g}"
    for number, x, y in drawn:
        figure.add_scatter(
            x=x,
            y=y,
            customdata=[number] * len(x),
            name=label(names[number]),
            mode="lines+markers" if shape == "linear" or len(x) == 1 else "lines",
            marker={"size": 5},
            line={"color": colour(number), "width": 2.6, "shape": shape, "dash": dash(number)},
            hovertemplate=f"{value}, %{{x:.3g}} {unit}<extra>{number} %{{fullData.name}}</extra>",
        )
    if drawn:
        _number_ends(figure, drawn, log=text.is_log(metric.name))


def _number_ends(figure: go.Figure, drawn: Sequence[Line], *, log: bool) -> None:
    low, high = span([value for _, _, y in drawn for value in y if math.isfinite(value)], log)
    figure.update_yaxes(range=[low, high])
    ends = [_last(x, y) for _, x, y in drawn]
    heights = [log10(score) if log else score for _, score in ends]
    places_px = [(height - low) / (high - low) * PLOT_PX for height in heights]
    near = NEAR * max(place for place, _ in ends)
    shifts = apart(places_px, beside=[place for place, _ in ends], near=near)
    for (number, _, _), (place, _), height, shift in zip(drawn, ends, heights, shifts, strict=True):
        figure.add_annotation(
            x=place,
            y=height,
            text=f"<b>{number}</b>",
            font={"size": 12.5, "color": colour(number)},
            showarrow=False,
            xanchor="left",
            xshift=4,
            yshift=round(shift),
        )


def _last(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """The last point of a line that can be drawn."""
    return [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)][-1]


def all_scores(found: Sequence[Scores], metric: Metric, names: Mapping[int, str]) -> go.Figure:
    """A row a search: a mark a trial, a bar over the middle half of them, and a stroke at the median."""
    figure = _rows_figure(len(found), metric.title, metric)
    scored = [one for one in found if one.quartiles]
    for row, one in enumerate(found):
        if one.quartiles is None:
            continue
        low, middle, high = one.quartiles
        own = colour(one.number)
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
            name=label(names[one.number]),
            mode="markers",
            marker={"symbol": "line-ns", "size": 20, "line": {"width": 3, "color": own}},
            hovertemplate=f"median {text.score(middle, metric.name)}<extra>%{{fullData.name}}</extra>",
        )
        figure.add_scatter(
            x=one.scores,
            y=[row + 0.9 * spread(trial) for trial in one.trials],
            customdata=[[one.number, trial, outcome.replace("_", " ")] for trial, outcome in _told(one)],
            name=label(names[one.number]),
            mode="markers",
            marker={
                "color": own,
                "symbol": [SYMBOLS[outcome] for outcome in one.outcomes],
                "size": 7,
                "line": {"width": 1.3, "color": own},
            },
            opacity=0.85,
            hovertemplate="trial %{customdata[1]}, %{customdata[2]}<br>%{x:.4g}"
            "<extra>%{fullData.name}</extra>",
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
        own = colour(number)
        low, high = one.interval or (one.mean, one.mean)
        said = f"{text.score(one.mean, metric.name)} on average"
        if one.interval:
            said += f", {text.score(low, metric.name)} to {text.score(high, metric.name)}"
        look = {"customdata": [number], "name": label(names[number]), "mode": "markers"}
        figure.add_scatter(
            x=[low, one.mean, high],
            y=[row] * 3,
            customdata=[number] * 3,
            name=look["name"],
            mode="lines+markers",
            line={"color": own, "width": 3},
            marker={
                "symbol": ["line-ns", "square", "line-ns"],
                "size": [14, 11, 14],
                "color": own,
                "line": {"width": 3, "color": own},
            },
            hovertemplate=f"{said}<extra>%{{fullData.name}}</extra>",
        )
        figure.add_scatter(
            **look | {"customdata": [number] * len(one.scores)},
            x=list(one.scores),
            y=[row] * len(one.scores),
            marker={"symbol": "circle-open", "size": 8, "color": own, "line": {"width": 1.5}},
            hovertemplate="a seed: %{x:.4g}<extra>%{fullData.name}</extra>",
        )
        figure.add_scatter(
            **look,
            x=[one.search_score],
            y=[row],
            marker={"symbol": "diamond-open", "size": 12, "color": own, "line": {"width": 1.8}},
            hovertemplate=f"in the search: {text.score(one.search_score, metric.name)}"
            "<extra>%{fullData.name}</extra>",
        )
    _name_rows(figure, list(found), names)
    return figure


def _rows_figure(rows: int, title: str, metric: Metric) -> go.Figure:
    """A figure whose x axis is the metric's."""
    figure = empty_figure(height=80 + ROW_PX * rows, x=title)
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
