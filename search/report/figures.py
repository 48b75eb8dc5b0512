"""Facts, drawn: every function takes plain values and gives one plotly figure; for looks see `style`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from search import text
from search.report.facts import BestSoFar, Curve, DataFacts, Importance, Setting
from search.report.style import (
    NEUTRAL,
    PALETTE,
    SHARE,
    choices,
    empty_figure,
    hover,
    label,
    mark_opacity,
    marker,
    opacity,
    round_ticks,
    span,
    spread,
    time_unit,
)
from search.trials.trials import Metric

WIDEST_TICKS = 30
"""Characters that fit below a small figure without being turned."""


def curves(
    found: Sequence[Curve],
    metric: str,
    title: str,
    palette: dict[str, str],
    leader: int | None,
    rungs: Sequence[float] = (),
) -> go.Figure:
    """One line a trial over passes; a mark where it ended says how; the leader's line is bold.

    Dotted lines stand at the rungs, the passes at which weak trials are stopped.
    """
    words = f"The {title} over passes, a line for each of {text.count(len(found), 'trial')}"
    figure = empty_figure(420, words, x="passes over the training part", y=title, metric=metric)
    for rung in rungs:
        figure.add_vline(
            rung,
            line={"color": NEUTRAL, "width": 1, "dash": "dot"},
            annotation={"text": f"rung {text.number(rung)}", "font": {"size": 11}, "yanchor": "top"},
        )
    for name, colour in palette.items():
        of_family = [curve for curve in found if curve.family == name and curve.trial != leader]
        _add_lines(figure, of_family, metric, name, colour, width=1.3, opacity=opacity(len(found)))
    for curve in found:
        if curve.trial == leader:
            _add_lines(figure, [curve], metric, curve.family, palette[curve.family], width=4, opacity=1.0)
    for curve_ends in _by_family_and_outcome(found, metric):
        first = curve_ends[0][0]
        figure.add_scatter(
            x=[x for _, x, _ in curve_ends],
            y=[y for _, _, y in curve_ends],
            customdata=[curve.trial for curve, _, _ in curve_ends],
            name=label(f"{first.family}, {first.outcome}"),
            mode="markers",
            marker=marker(palette[first.family], first.outcome, len(found)),
            hovertext=[_told(curve) for curve, _, _ in curve_ends],
            hovertemplate=hover(metric, "%{hovertext}"),
        )
    return figure


def _told(curve: Curve) -> str:
    """How far a curve came."""
    if curve.rung is not None:
        return f"stopped at the rung of {text.number(curve.rung)}"
    return f"{text.number(curve.passes[-1])} passes"


def _add_lines(
    figure: go.Figure,
    found: Sequence[Curve],
    metric: str,
    name: str,
    colour: str,
    width: float,
    opacity: float,
    dash: str = "solid",
) -> None:
    """All lines of a family as one trace with gaps: a thousand traces would be slow."""
    if found:
        figure.add_scatter(
            x=_with_gaps([curve.passes for curve in found]),
            y=_with_gaps([curve.values[metric] for curve in found]),
            customdata=_with_gaps([[curve.trial] * len(curve.passes) for curve in found]),
            name=label(name),
            mode="lines",
            opacity=opacity,
            line={"color": colour, "width": width, "dash": dash},
            hovertemplate=hover(metric, "%{x:.3g} passes"),
        )


def _with_gaps(lists: Sequence[Sequence[float]]) -> np.ndarray:
    """All lists in a row, each with a NaN behind: numbers (points + lists,), which plotly packs densely."""
    return np.concatenate([[*values, math.nan] for values in lists]).astype(np.float32)


def _by_family_and_outcome(found: Sequence[Curve], metric: str) -> list[list[tuple[Curve, float, float]]]:
    """The last finite point of every curve, in groups that look alike."""
    groups: dict[tuple[str, str], list[tuple[Curve, float, float]]] = {}
    for curve in found:
        points = [(x, y) for x, y in zip(curve.passes, curve.values[metric], strict=True) if math.isfinite(y)]
        if points:
            x, y = points[-1]
            groups.setdefault((curve.family, curve.outcome), []).append((curve, x, y))
    return list(groups.values())


def train_against_validation(
    found: Sequence[Curve], part: str, title: str, palette: dict[str, str]
) -> go.Figure:
    """`train_<part>` dashed and `val_<part>` solid, for the few curves given, each named at its end."""
    numbers = ", ".join(str(curve.trial) for curve in found)
    words = f"The {title} in training and in validation over passes, of trial {numbers}"
    figure = empty_figure(420, words, x="passes over the training part", y=title, metric=part)
    for index, curve in enumerate(found):
        for metric, dash in ((f"train_{part}", "dash"), (f"val_{part}", "solid")):
            width = 3.0 if index == 0 else 1.6
            colour = palette[curve.family]
            name = f"{'training' if dash == 'dash' else 'validation'}, {curve.family}"
            _add_lines(figure, [curve], metric, name, colour, width, opacity=0.95, dash=dash)
    return figure


def slice_of(setting: Setting, metric: Metric, palette: dict[str, str], scores: Sequence[float]) -> go.Figure:
    """One setting against the score: a point a trial that had it; choices side by side with some spread.

    The y axis spans `scores`, the same for all settings of a search, so that figures can be compared.
    """
    best = f"{text.score(setting.scores[0], metric.name)} with {text.value(setting.values[0])}"
    words = f"The {metric.title} by {setting.path}, a mark a trial; the best has {best}"
    figure = empty_figure(230, words, metric=metric.name)
    figure.update_yaxes(range=span(scores, log=text.is_log(metric.name)))
    names = [] if setting.numeric else choices(setting.values)
    groups: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(zip(setting.families, setting.outcomes, strict=True)):
        groups.setdefault(key, []).append(i)
    for (family, outcome), members in groups.items():
        figure.add_scatter(
            x=[
                setting.values[i]
                if setting.numeric
                else names.index(text.value(setting.values[i])) + spread(i)
                for i in members
            ],
            y=[setting.scores[i] for i in members],
            customdata=[[setting.trials[i], label(text.value(setting.values[i]))] for i in members],
            name=label(f"{family}, {outcome}"),
            mode="markers",
            marker=marker(palette[family], outcome, len(setting.trials)),
            opacity=mark_opacity(len(setting.trials)),
            hovertemplate=hover(metric.name, "%{customdata[1]}", "%{customdata[0]}"),
        )
    if setting.numeric:
        ticks = round_ticks(setting.values, setting.log)
        shown = {"tickvals": ticks, "ticktext": [text.number(tick) for tick in ticks]}
        figure.update_xaxes(type="log" if setting.log else "linear", **shown)
    else:
        ticktext = [label(name, longest=15) for name in names]
        turned = sum(map(len, ticktext)) > WIDEST_TICKS
        figure.update_xaxes(
            tickvals=list(range(len(names))),
            ticktext=ticktext,
            range=[-0.5, len(names) - 0.5],
            tickangle=-30 if turned else 0,
            ticklabeloverflow="allow",
        )
        figure.update_layout(margin_l=48 if turned else 8)
    return figure


def importance(found: Sequence[Importance]) -> go.Figure:
    """A bar a setting, the most important on top; the tick on it is what chance alone reaches.

    A tick that would lie far beyond the longest bar stands at the figure's edge.
    """
    judged = [item for item in found if item.share is not None][::-1]
    names = [label(item.path) for item in judged]
    words = "Importance of settings: " + ", ".join(f"{one.path} {one.share:.0%}" for one in judged[::-1])
    figure = empty_figure(70 + 26 * len(judged), words, x="share of the importance")
    figure.add_bar(
        y=names,
        x=[item.share for item in judged],
        hovertext=[f"judged on {text.count(item.trials, 'trial')}" for item in judged],
        orientation="h",
        name="its share",
        marker={"color": [PALETTE[0] if item.shown else NEUTRAL for item in judged]},
        hovertemplate="%{y}: %{x:.0%}<br>%{hovertext}<extra></extra>",
    )
    edge = 1.1 * max((item.share or 0.0 for item in judged), default=1.0)
    figure.add_scatter(
        y=names,
        x=[min(edge, item.chance or 0.0) for item in judged],
        hovertext=[f"{item.chance or 0.0:.0%}" for item in judged],
        mode="markers",
        name="chance alone",
        marker={"symbol": "line-ns", "size": 14, "line": {"width": 2, "color": PALETTE[4]}},
        hovertemplate="chance alone reaches %{hovertext}<extra></extra>",
    )
    figure.update_xaxes(tickformat=SHARE, range=[0, 1.02 * edge])
    figure.update_yaxes(showgrid=False)
    return figure


def best_over_time(found: Sequence[BestSoFar], metric: Metric, palette: dict[str, str]) -> go.Figure:
    """Every scored trial at its end, and the best score so far as a staircase."""
    unit, size = time_unit(max((point.seconds for point in found), default=0.0))
    best = f": {text.score(found[-1].best, metric.name)} at the end" if found else ""
    words = f"The best {metric.title} over the time of the search{best}"
    figure = empty_figure(360, words, x=f"{unit} of searching", y=metric.title, metric=metric.name)
    figure.update_xaxes(rangemode="tozero")
    if found:
        figure.update_yaxes(range=span([point.score for point in found], text.is_log(metric.name)))
    figure.add_scatter(
        x=[point.seconds / size for point in found],
        y=[point.best for point in found],
        mode="lines",
        name="best so far",
        line={"color": NEUTRAL, "width": 2.5, "shape": "hv"},
        hoverinfo="skip",
    )
    groups: dict[tuple[str, str], list[BestSoFar]] = {}
    for point in found:
        groups.setdefault((point.family, point.outcome), []).append(point)
    for (family, outcome), points in groups.items():
        figure.add_scatter(
            x=[point.seconds / size for point in points],
            y=[point.score for point in points],
            customdata=[point.trial for point in points],
            mode="markers",
            name=label(f"{family}, {outcome}"),
            marker=marker(palette[family], outcome, len(found)),
            hovertemplate=hover(metric.name, f"%{{x:.3g}} {unit}"),
        )
    return figure


def pictures(found: DataFacts, palette: dict[str, str]) -> go.Figure:
    """Pictures a class, stacked by part; the largest class on top."""
    classes = list(found.counts)[::-1]
    words = f"Pictures of {text.count(len(classes), 'class', 'classes')} by part, the largest class on top"
    figure = empty_figure(70 + max(18, 28 - len(classes) // 4) * len(classes), words, x="pictures")
    for part in found.parts:
        figure.add_bar(
            y=list(range(len(classes))),
            x=[found.counts[name].get(part, 0) for name in classes],
            name=label(part),
            orientation="h",
            marker={"color": palette[part]},
            hovertext=[label(name) for name in classes],
            hovertemplate="%{hovertext}<br>%{x:,} %{fullData.name}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.25)
    figure.update_xaxes(nticks=5)
    figure.update_yaxes(
        tickvals=list(range(len(classes))),
        ticktext=[label(name) for name in classes],
        showgrid=False,
    )
    return figure
