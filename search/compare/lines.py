"""Figures of lines, one a search: the best score so far, and the winners' learning curves.

The `customdata` of a point is the number of its search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from search import text
from search.compare.look import apart, colour, dash
from search.compare.progress import Progress
from search.report.facts import Curve
from search.report.style import empty_figure, label, log10, span, time_unit
from search.trials.trials import Metric

HEIGHT = 420
PLOT_PX = 340
"""What of that is between its axes, about."""
NEAR = 0.03
"""Of the x axis: ends that are nearer than that may cover each other's numbers."""
Line = tuple[int, Sequence[float], Sequence[float]]
"""A search's number, and the places of its line's points; scores that are not finite are gaps."""


def best_against_time(found: Sequence[Progress], metric: Metric, names: Mapping[int, str]) -> go.Figure:
    """The best score so far as a staircase for each search that has one."""
    unit, size = time_unit(max(one.end_s for one in found))
    lines = [
        _staircase(one, [step.seconds / size for step in one.steps], one.end_s / size)
        for one in found
        if one.steps
    ]
    return _staircases(lines, f"{unit} of searching", unit, metric, names)


def best_against_passes(found: Sequence[Progress], metric: Metric, names: Mapping[int, str]) -> go.Figure:
    """The same over the passes of all trials together, which do not depend on the machine."""
    lines = [
        _staircase(one, [step.passes for step in one.steps], one.end_passes) for one in found if one.steps
    ]
    return _staircases(lines, "passes over the training part, of all trials", "passes", metric, names)


def learning_curves(found: Mapping[int, Curve], metric: Metric, names: Mapping[int, str]) -> go.Figure:
    """One line a winner over its own passes."""
    figure = _empty("passes over the training part", metric.title, metric)
    lines = [
        (number, curve.passes, curve.values[metric.name])
        for number, curve in found.items()
        if any(map(math.isfinite, curve.values[metric.name]))
    ]
    if lines:
        scores = [score for _, _, y in lines for score in y if math.isfinite(score)]
        reach = span(scores, text.is_log(metric.name))
        _add_lines(figure, lines, reach, metric, names, "passes", "linear")
    return figure


def late_range(lines: Sequence[Line], metric: Metric) -> list[float]:
    """The range of a y axis on which the ends of staircases can be told apart: not far beyond the worst of
    them, wherever the poor scores of the beginning lie; for a log axis in exponents to ten."""
    log = text.is_log(metric.name)
    gains = [[metric.gain(log10(score) if log else score) for score in y] for _, _, y in lines]
    ends, worst = [of_one[-1] for of_one in gains], min(map(min, gains))
    room = max(2 * (max(ends) - min(ends)), (max(ends) - worst) / 4)
    low, high = sorted(metric.gain(gain) for gain in (max(worst, min(ends) - room), max(ends)))
    return span([low, high], log=False)


def _staircases(
    lines: Sequence[Line], x: str, unit: str, metric: Metric, names: Mapping[int, str]
) -> go.Figure:
    figure = _empty(x, f"best {metric.title} so far", metric)
    figure.update_xaxes(rangemode="tozero")
    _add_lines(figure, lines, late_range(lines, metric), metric, names, unit, "hv")
    return figure


def _empty(x: str, y: str, metric: Metric) -> go.Figure:
    figure = empty_figure(HEIGHT, f"The {y} over {x}, a line for each search", x, y, metric.name)
    figure.update_layout(margin_r=30)  # for the numbers at the ends
    return figure


def _staircase(found: Progress, places: list[float], end: float) -> Line:
    """The steps, and on to the end of the search."""
    scores = [step.score for step in found.steps]
    return found.number, [*places, end], [*scores, scores[-1]]


def _add_lines(
    figure: go.Figure,
    lines: Sequence[Line],
    reach: list[float],
    metric: Metric,
    names: Mapping[int, str],
    unit: str,
    shape: str,
) -> None:
    """The lines with their numbers at their ends, which stand clear of each other.

    Args:
        reach: Range of the y axis; for a log axis in exponents to ten.
    """
    value = "%{y:.1%}" if text.is_share(metric.name) else "%{y:.3g}"
    for number, x, y in lines:
        figure.add_scatter(
            x=x,
            y=y,
            customdata=[number] * len(x),
            name=label(names[number]),
            mode="lines" if shape == "hv" else "lines+markers",
            marker={"size": 5},
            line={"color": colour(number), "width": 2.6, "shape": shape, "dash": dash(number)},
            hovertemplate=f"{value}, %{{x:.3g}} {unit}<extra>{number} %{{fullData.name}}</extra>",
        )
    figure.update_yaxes(range=reach)
    places, heights = zip(*(_end(x, y, text.is_log(metric.name)) for _, x, y in lines), strict=True)
    middles_px = [(height - reach[0]) / (reach[1] - reach[0]) * PLOT_PX for height in heights]
    shifts = apart(middles_px, PLOT_PX, beside=places, near=NEAR * max(places))
    for (number, _, _), place, height, shift in zip(lines, places, heights, shifts, strict=True):
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


def _end(x: Sequence[float], y: Sequence[float], log: bool) -> tuple[float, float]:
    """Where a line ends, on its axes."""
    place, score = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)][-1]
    return place, log10(score) if log else score
