"""The ranked table as the page shows it: short cells beside their full values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from search import text
from search.report.facts import SearchView
from search.settings.objectives import COSTS

MARKS = {
    "complete": "●",
    "stopped": "○",
    "running": "◇",
    "cut off": "◇",
    "diverged": "▲",
    "out_of_memory": "✕",
    "failed": "✕",
    "timed_out": "✕",
}
"""How the outcomes look in the figures, as characters."""


def legend(outcomes: Iterable[str]) -> dict[str, str]:
    """Each mark that these outcomes need, with the names of those that share it."""
    present = set(outcomes)
    shared: dict[str, list[str]] = {}
    for name, mark in MARKS.items():
        if name in present:
            shared.setdefault(mark, []).append(name.replace("_", " "))
    return {mark: ", ".join(names) for mark, names in shared.items()}


_COSTS = {cost.key: cost.shown for cost in COSTS.values()}
_REMATCH = {"rematch": "rematch", "rematch_low": "95% from", "rematch_high": "to"}
_TITLES = {"rank": "#", "images_per_s": "images/s", "seconds": "time", "on_front": "Pareto front"}


class Column(NamedTuple):
    """A column of the table; all columns have the same rows."""

    key: str
    """Its name in `leaderboard.csv`."""
    title: str
    number: bool
    """Whether its cells are numbers."""
    full: list[Any]
    """Numbers, strings, and None without a value: as in `leaderboard.csv`, and what rows are sorted by."""
    shown: list[str]


def in_full(value: Any) -> str:
    """A cell in full precision; empty without a value."""
    return "" if value is None else str(value)


def columns(table: pd.DataFrame, view: SearchView) -> list[Column]:
    """The columns of the table with their cells, in its order."""
    titles = {**_TITLES, **_REMATCH, "score": view.metric.title}
    if view.objectives is not None:
        metric = view.objectives.metric
        titles |= {cost.key: cost.title for cost in view.objectives.costs} | {metric.name: metric.title}
    return [
        Column(
            str(name),
            titles.get(name, name),
            _is_number(table[name]),
            [_plain(value) for value in table[name]],
            [_shown(name, value, view) for value in table[name]],
        )
        for name in table.columns
    ]


def _is_number(column: pd.Series) -> bool:
    values = [value for value in column if value is not None]
    return bool(values) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _plain(value: Any) -> Any:
    """The value as JSON has it: numbers stay numbers where JSON knows them."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if value is None or number else str(value)


def _shown(name: Any, value: Any, view: SearchView) -> str:
    if value is None:
        return ""
    if name == "score":
        return text.score(value, view.metric.name)
    if view.rematch is not None and name in _REMATCH:
        return text.score(value, view.rematch.verdict.metric)
    if view.objectives is not None and name == view.objectives.metric.name:
        return text.score(value, name)
    if name in _COSTS:
        return _COSTS[name](value)
    if name == "seconds":
        return text.duration(value)
    if name == "images_per_s" and math.isfinite(value):
        return f"{value:,.0f}" if value >= 10 else text.number(value)
    if name == "outcome":
        return f"{MARKS[value]} {value.replace('_', ' ')}"
    return text.value(value)
