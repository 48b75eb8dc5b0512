"""Parallel coordinates: every trial's way through its settings to its score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from search import text
from search.report.facts import Setting
from search.report.style import NEUTRAL, brief, choices, empty_figure, label, log10, opacity, spread
from search.trials.trials import Metric

MOST_BOLD = 12
_ABSENT = -0.12
"""Height of the row for settings that a trial never had, below the axes that run from 0 to 1."""


def parallel_coordinates(settings: Sequence[Setting], metric: Metric, palette: dict[str, str]) -> go.Figure:
    """Parallel coordinates: a line a trial through its settings to its score on the right.

    Drawn from ordinary lines: a setting that a trial never had runs through the row "not there" below
    its axis, which plotly's own parallel coordinates cannot show. The best tenth of the trials, at most
    `MOST_BOLD`, is bold.
    """
    trials = list(dict.fromkeys(trial for setting in settings for trial in setting.trials))
    scores = {t: s for setting in settings for t, s in zip(setting.trials, setting.scores, strict=True)}
    family = {t: f for setting in settings for t, f in zip(setting.trials, setting.families, strict=True)}
    ordered = sorted(trials, key=lambda t: -metric.gain(scores[t]))
    best = set(ordered[: min(MOST_BOLD, math.ceil(len(ordered) / 10))])
    heights = [_heights(setting) for setting in settings]
    log = text.is_log(metric.name)
    top = Setting(metric.title, [scores[t] for t in trials], [], trials, [], [], numeric=True, log=log)
    axes = [*settings, top]
    heights.append(_heights(top))

    words = f"The {metric.title} of {text.count(len(trials), 'trial')}, each a line through its settings"
    figure = empty_figure(440, words)
    for bold in (False, True):
        for name, colour in palette.items():
            members = [trial for trial in ordered if family[trial] == name and (trial in best) == bold]
            x: list[int | None] = []
            y: list[float | None] = []
            custom: list[list[Any] | None] = []
            for trial in members:
                x += [*range(len(axes)), None]
                y += [*(brief(height.get(trial, _ABSENT)) for height in heights), None]
                custom += [*[[trial, text.score(scores[trial], metric.name)]] * len(axes), None]
            if members:
                figure.add_scatter(
                    x=x,
                    y=y,
                    customdata=custom,
                    name=label(name),
                    mode="lines",
                    opacity=0.95 if bold else min(0.5, opacity(len(trials))),
                    line={"color": colour, "width": 3 if bold else 1.2},
                    hovertemplate="trial %{customdata[0]}<br>%{customdata[1]}<extra>%{fullData.name}</extra>",
                )
    for position, axis in enumerate(axes):
        ticks = _axis_ticks(axis, metric.name if axis is top else "")
        _add_axis(figure, position, axis.path, ticks, everyone=len(axis.trials) == len(trials))
    figure.update_xaxes(visible=False, range=[-0.35, len(axes) - 0.35])
    figure.update_yaxes(visible=False, range=[_ABSENT - 0.07, 1.25])
    figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 8})
    return figure


def _add_axis(
    figure: go.Figure, position: int, path: str, ticks: list[tuple[float, str]], everyone: bool
) -> None:
    """One upright axis with its title and ticks, and the row below it unless every trial had the setting."""
    line = {"color": NEUTRAL, "width": 1}
    figure.add_shape(type="line", x0=position, x1=position, y0=0, y1=1, line=line, layer="below")
    for height, tick in ticks:
        shown = label(tick, longest=13)
        figure.add_annotation(
            x=position, y=height, text=shown, showarrow=False, xanchor="left", xshift=5, font_size=11
        )
    title = f"<b>{_narrow(path)}</b>"
    figure.add_annotation(x=position, y=1.07, yanchor="bottom", text=title, showarrow=False)
    if not everyone:
        figure.add_annotation(
            x=position, y=_ABSENT, text="not there", showarrow=False, yanchor="top", yshift=-4, font_size=10
        )


def _narrow(path: str) -> str:
    """A path or title over several lines, broken at dots and blanks, and inside long names."""
    words = [word.replace("_", "_\n") if len(word) > 11 else word for word in path.split(".")]
    return label(".\n".join(words).replace(" ", "\n")).replace("\n", "<br>")


def _heights(setting: Setting) -> dict[int, float]:
    """Where each trial crosses the setting's axis, 0 to 1; equal choices lie a little apart."""
    if not setting.numeric:
        names = choices(setting.values)
        step = 1 / max(1, len(names) - 1)
        return {
            trial: min(1, max(0, names.index(text.value(value)) * step + 0.25 * step * spread(i)))
            for i, (trial, value) in enumerate(zip(setting.trials, setting.values, strict=True))
        }
    scale = log10 if setting.log else float
    low, high = scale(min(setting.values)), scale(max(setting.values))
    return {
        trial: (scale(value) - low) / (high - low) if high > low else 0.5
        for trial, value in zip(setting.trials, setting.values, strict=True)
    }


def _axis_ticks(setting: Setting, metric: str) -> list[tuple[float, str]]:
    """Heights and texts of the ticks of one parallel axis."""
    if not setting.numeric:
        names = choices(setting.values)
        return [(i / max(1, len(names) - 1), name) for i, name in enumerate(names)]
    low, high = min(setting.values), max(setting.values)
    if low == high:
        return [(0.5, text.score(low, metric))]
    middle = math.sqrt(low * high) if setting.log else (low + high) / 2
    return [(i / 2, text.score(value, metric)) for i, value in enumerate((low, middle, high))]
