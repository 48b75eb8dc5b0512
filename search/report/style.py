"""What all figures share: colours, marks, labels and axes.

The figures carry no background, no font and no axis colours: the page's script sets those to its own,
light or dark. The `customdata` of a point is its trial's number, or a list that begins with it, and nothing
else, so that a click can lead to the trial's row.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from search import text

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""The colours of Okabe & Ito (2008) that stand out from white and from near-black: people with any
common colour blindness can tell them apart, which `tests/test_report_colours.py` measures."""
NEUTRAL = "#666f78"
"""For what is of no family, and for families beyond the palette."""
SYMBOLS = {
    "complete": "circle",
    "stopped": "circle-open",
    "running": "diamond-open",
    "cut off": "diamond-open",
    "diverged": "triangle-up",
    "out_of_memory": "x",
    "failed": "x",
    "timed_out": "x",
}
"""A marker an outcome, the same in every figure."""
SHARE = ".3~%"
"""Ticks in percent, with as many decimals as they differ by: on a short axis rounded ones would repeat."""
LONGEST_LABEL = 28
"""Characters; longer names end in an ellipsis."""
MANY = 200
"""With more trials than this, marks are small."""


def colours(families: Sequence[str]) -> dict[str, str]:
    """A colour for each family, by position; those beyond the palette share the neutral one."""
    return {name: PALETTE[i] if i < len(PALETTE) else NEUTRAL for i, name in enumerate(families)}


def part_colours(parts: Sequence[str]) -> dict[str, str]:
    """A colour a part, apart from the families' colours."""
    return dict(zip(parts, itertools.cycle(("#4a6f93", "#9fb9cf", "#b58f35", "#6b6f4e")), strict=False))


def label(words: object, longest: int = LONGEST_LABEL) -> str:
    """Any string as a figure can show it: plotly reads texts as markup, and what is between dollar signs as a
    formula, so both are escaped here."""
    shown = str(words)
    if len(shown) > longest:
        shown = shown[: longest - 1] + "…"
    return html.escape(shown, quote=False).replace("$", "&#36;")


def empty_figure(height: int, words: str, x: str = "", y: str = "", metric: str | None = None) -> go.Figure:
    """An empty figure, without a template: the page gives it its colours.

    What it shows is said in words, plain ones, for those who cannot see it. With a metric, the y axis is made
    for it: percent for shares, and a log scale for losses, where one bad trial would otherwise press all
    others flat.
    """
    figure = go.Figure(layout={"template": None})
    figure.update_layout(
        height=height,
        meta=words,
        showlegend=False,
        hovermode="closest",
        margin={"l": 8, "r": 12, "t": 10, "b": 8},
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(title=x or None, zeroline=False, automargin=True)
    figure.update_yaxes(title=y or None, zeroline=False, automargin=True)
    if metric and text.is_share(metric):
        figure.update_yaxes(tickformat=SHARE)
    elif metric and text.is_log(metric):
        named = [step * 10.0**exponent for exponent in range(-6, 5) for step in (1, 2, 3, 5)]
        figure.update_yaxes(type="log", tickvals=named, ticktext=[text.number(value) for value in named])
    return figure


def marker(colour: str, outcome: str, trials: int) -> dict[str, Any]:
    """A point's mark: the family's colour, the outcome's symbol."""
    symbol = SYMBOLS[outcome]
    size = 5 if trials > MANY else 9 if symbol == "circle" else 8
    return {"color": colour, "symbol": symbol, "size": size, "line": {"width": 1.4, "color": colour}}


def hover(metric: str, where: str, trial: str = "%{customdata}") -> str:
    """A point's hover text: its trial, the score on the y axis and where that is, and the trace's name."""
    value = "%{y:.1%}" if text.is_share(metric) else "%{y:.3g}"
    return f"trial {trial}<br>{value}, {where}<extra>%{{fullData.name}}</extra>"


def span(values: Sequence[float], log: bool) -> list[float]:
    """An axis range with some air around the values; plotly wants the exponents for a log axis."""
    low, high = min(values), max(values)
    if log:
        low, high = log10(low), log10(high)
    air = 0.08 * (high - low) or 0.01
    return [low - air, high + air]


def log10(value: float) -> float:
    """The exponent to ten; a loss of zero, which has none, is taken for a very small one."""
    return math.log10(max(value, 1e-9))


def opacity(trials: int) -> float:
    """Many lines get fainter, so that where they lie densest can be seen."""
    return max(0.15, min(0.85, 6 / math.sqrt(max(1, trials))))


def mark_opacity(trials: int) -> float:
    """Marks stay clearer than lines: each has to be seen."""
    return max(0.55, opacity(trials))


def brief(value: float) -> float:
    """Five significant digits: enough for a screen, and a third of the page's size."""
    return float(f"{value:.5g}")


def choices(values: Sequence[Any]) -> list[str]:
    """The different choices, numbers by size and the others by name."""
    unique = {text.value(value): value for value in values}

    def key(name: str) -> tuple[bool, float, str]:
        value = unique[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return (not is_number, float(value) if is_number else 0.0, name)

    return sorted(unique, key=key)


def spread(index: int) -> float:
    """A place in -0.3 to 0.3 that neighbours do not share: the fractional parts of golden-ratio steps."""
    return 0.6 * ((index * 0.618034) % 1.0) - 0.3


def round_ticks(values: Sequence[float], log: bool) -> list[float]:
    """A few round values to name on an axis; the values themselves when they do not differ by enough."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * abs(high):
        return [high]
    if log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 3) if len(decades) <= 3 else (1,)
        return [v for d in decades for s in steps if low * 0.9 <= (v := s * 10.0**d) <= high * 1.1]
    step = 10 ** math.floor(math.log10(high - low))
    step = step / 2 if (high - low) / step < 3 else step * 2 if (high - low) / step > 6 else step
    first = math.ceil(low / step)
    return [round(i * step, 10) for i in range(first, math.floor(high / step) + 1)]


def time_unit(longest_s: float) -> tuple[str, float]:
    """The unit of a time axis up to so many seconds, and the seconds of it."""
    if longest_s < 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if longest_s < 3 * 3600 else ("hours", 3600.0)
