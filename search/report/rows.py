"""The ranked table as the page shows it: short cells with their full values, and what opens under a row."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from search.objectives import COSTS
from search.report import text
from search.report.facts import SearchView
from search.trials import TrialRecord
from spaces.yaml_files import dump_yaml

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
_TITLES = {"rank": "#", "images_per_s": "images/s", "seconds": "time", "on_front": "Pareto front"}


class Column(NamedTuple):
    """A column's heading, and whether its cells are numbers."""

    title: str
    number: bool


class Cell(NamedTuple):
    """What is shown, and the same as it stands in `leaderboard.csv`."""

    shown: str
    full: str


class Row(NamedTuple):
    """One trial, with what opens under it."""

    trial: int
    outcome: str
    colour: str
    cells: list[Cell]
    recipe: str
    trouble: str


def in_full(value: Any) -> str:
    """A cell in full precision; empty without a value."""
    return "" if value is None else str(value)


def columns(table: pd.DataFrame, view: SearchView) -> list[Column]:
    """The columns of the table, in its order."""
    titles = {**_TITLES, "score": view.metric.title}
    if view.objectives is not None:
        metric = view.objectives.metric
        titles |= {cost.key: cost.title for cost in view.objectives.costs} | {metric.name: metric.title}
    return [Column(titles.get(name, name), _is_number(table[name])) for name in table.columns]


def _is_number(column: pd.Series) -> bool:
    values = [value for value in column if value is not None]
    return bool(values) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def rows(table: pd.DataFrame, view: SearchView, palette: dict[str, str]) -> list[Row]:
    """The rows of the table, in its order."""
    by_number = {record.number: record for record in view.records}
    return [
        Row(
            trial=values["trial"],
            outcome=values["outcome"],
            colour=palette[values["family"]],
            cells=[Cell(_shown(name, value, view), in_full(value)) for name, value in values.items()],
            recipe=trial_yaml(by_number[values["trial"]], view.name),
            trouble=_trouble(by_number[values["trial"]]),
        )
        for values in table.to_dict(orient="records")
    ]


def _shown(name: Any, value: Any, view: SearchView) -> str:
    if value is None:
        return ""
    if name == "score":
        return text.score(value, view.metric.name)
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


def trial_yaml(record: TrialRecord, search: str) -> str:
    """The trial's whole recipe with its length and seed, ready to be saved and given to `--config`."""
    trial = record.trial
    retried = f", started again {text.count(record.retries, 'time')}" if record.retries else ""
    given = f", {trial.source}" if trial.source else ""
    about = f"# {' '.join(f'trial {trial.number} of {search}{given}{retried}'.split())}\n"
    return about + dump_yaml({"epochs": trial.epochs, "seed": trial.seed, "recipe": trial.recipe})


def _trouble(record: TrialRecord) -> str:
    """What went wrong, at length."""
    return "\n".join(part for part in (record.error, record.traceback) if part)
