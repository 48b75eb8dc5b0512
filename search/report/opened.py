"""What opens under a trial's row: its whole recipe, its learning curves, and what went wrong.

For a thousand trials this would be most of a page, so it is held as plain values: texts as places of lines
that trials share, curves as lists. The page's script makes elements of it when a row is opened.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from yaml.representer import SafeRepresenter

from search import text
from search.report import facts, style
from search.report.facts import SearchView
from search.trials.trials import TrialRecord
from spaces.yaml_files import dump_yaml

CURVES = {"accuracy": "accuracy", "loss": "loss"}
"""What is drawn of one trial, training against validation: the end of its metrics' names, and its title."""
_NUMBERS = SafeRepresenter()
HEIGHT = 230
"""Of a trial's figure, in CSS pixels."""


def opened(view: SearchView) -> dict[str, Any]:
    """Recipes, troubles and curves of all trials by their numbers, as the page's script reads them.

    `recipes` and `troubles` are lists of places in `lines`. `curves` has the passes of each trial and, in the
    order of `metrics`, its values, None where there is none; `figures` has the layout of each figure.
    """
    lines = _Lines()
    metrics = [f"{side}_{part}" for part in CURVES for side in ("train", "val")]
    return {
        "recipes": {r.number: lines.places(trial_lines(r, view.name)) for r in view.records},
        "troubles": {
            r.number: lines.places(found.split("\n")) for r in view.records if (found := trouble(r))
        },
        "lines": lines.all,
        "metrics": metrics,
        "curves": {
            curve.trial: [
                [_short(passes) for passes in curve.passes],
                *([_short(value) for value in curve.values[metric]] for metric in metrics),
            ]
            for curve in facts.learning_curves(view, metrics)
        },
        "figures": [
            {"part": part, "title": title, "layout": _layout(part, title)} for part, title in CURVES.items()
        ],
    }


def _short(value: float) -> float | None:
    """As JSON has it, in five significant digits; None for NaN."""
    return style.brief(value) if math.isfinite(value) else None


class _Lines:
    """Lines of text, each once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def places(self, lines: Iterable[str]) -> list[int]:
        return [self._places.setdefault(line, len(self._places)) for line in lines]

    @property
    def all(self) -> list[str]:
        return list(self._places)


def _layout(part: str, title: str) -> dict[str, Any]:
    words = f"The {title} in training and in validation over passes"
    figure = style.empty_figure(HEIGHT, words, x="passes over the training part", y=title, metric=part)
    plain: dict[str, Any] = json.loads(figure.to_json())["layout"]
    return plain


def trial_yaml(record: TrialRecord, search: str) -> str:
    """The trial's whole recipe with its length and seed, ready to be saved and given to `--config`."""
    return "\n".join(trial_lines(record, search)) + "\n"


def trial_lines(record: TrialRecord, search: str) -> list[str]:
    """The lines of `trial_yaml`."""
    trial = record.trial
    retried = ""
    if record.retries:
        retried = (
            f", started again {text.count(record.retries, 'time')}, the last time because {record.lost_by}"
        )
    given = f", {trial.source}" if trial.source else ""
    about = f"# {' '.join(f'trial {trial.number} of {search}{given}{retried}'.split())}"
    lines = [about, f"epochs: {trial.epochs}", f"seed: {trial.seed}", "recipe:"]
    for section, fields in trial.recipe.items():
        if not isinstance(fields, dict) or not fields:
            lines += _entry(section, fields, indent=2)
            continue
        lines.append(f"  {section}:")
        for name, value in fields.items():
            lines += _entry(name, value, indent=4)
    return lines


def _entry(name: str, value: Any, indent: int) -> list[str]:
    """One field of a recipe."""
    if isinstance(value, float):  # there are many different ones, and YAML is slow to write
        (line,) = _dumped(name, "0", indent)
        return [line[:-1] + _NUMBERS.represent_float(value).value]
    return _dumped(name, json.dumps(value), indent)


@lru_cache(maxsize=100_000)
def _dumped(name: str, value_json: str, indent: int) -> list[str]:
    """A field whose value comes again and again, as most do."""
    dumped = dump_yaml({name: json.loads(value_json)})
    return [" " * indent + line for line in dumped.rstrip("\n").split("\n")]


def trouble(record: TrialRecord) -> str:
    """What went wrong, at length; empty where nothing did."""
    return "\n".join(part for part in (record.error, record.traceback) if part)
