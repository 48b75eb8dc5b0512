"""Things side by side, with what they share folded away."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from search import text
from search.compare.entry import Entry
from search.report.facts import FAMILY
from spaces.flat import flatten

NOT_COMPARED = ("name", "cache_dir", "cache_gb", "ray", "tensorboard", "mlflow", "wandb")
"""Settings that decide on no trial and no score."""


class SideBySide(NamedTuple):
    """Values by dotted name, in words."""

    differing: dict[str, list[str | None]]
    """A value for each thing; None where it has none of this name."""
    shared: dict[str, str]
    """Of the names that all have, with the same value."""


def side_by_side(things: Sequence[Mapping[str, Any]]) -> SideBySide:
    """Which values differ, and which are the same in all of these; names by section, in the order of their
    first appearance."""
    names = list(dict.fromkeys(name for thing in things for name in thing))
    sections = [_section(name) for name in names]
    names.sort(key=lambda name: sections.index(_section(name)))
    differing: dict[str, list[str | None]] = {}
    shared: dict[str, str] = {}
    for name in names:
        values = [json.dumps(thing[name], sort_keys=True) if name in thing else None for thing in things]
        if len(set(values)) == 1:
            shared[name] = text.value(things[0][name])
        else:
            differing[name] = _in_words([thing.get(name) for thing in things], values)
    return SideBySide(differing, shared)


def _section(name: str) -> str:
    return name.partition(".")[0]


def _in_words(values: Sequence[Any], exact: Sequence[str | None]) -> list[str | None]:
    """Short, unless numbers that differ would look alike."""
    short = [None if is_in is None else text.value(value) for value, is_in in zip(values, exact, strict=True)]
    if len(set(short)) == len(set(exact)):
        return short
    return [None if is_in is None else str(value) for value, is_in in zip(values, exact, strict=True)]


def recipes(entries: Sequence[Entry]) -> SideBySide:
    """The recipes of these searches' winners, with their lengths; all entries have a winner."""
    things = []
    for entry in entries:
        assert entry.winner is not None
        flat = flatten(entry.winner.trial.recipe)
        things.append({FAMILY: flat.get(FAMILY), "epochs": entry.winner.trial.epochs} | flat)
    return side_by_side(things)


def settings(entries: Sequence[Entry]) -> SideBySide:
    """What these searches were asked for, and what they ran on."""
    return side_by_side([_asked(entry) for entry in entries])


def _asked(entry: Entry) -> dict[str, Any]:
    asked = {name: value for name, value in entry.view.settings.items() if name not in NOT_COMPARED}
    objectives = asked.pop("objectives", None) or {}
    asked |= {f"objectives.{cost}": weight for cost, weight in objectives.items()}
    return asked | machine(entry)


def machine(entry: Entry) -> dict[str, Any]:
    """Hardware of the machine that drove a search, and the version of this program, as far as known."""
    known = entry.view.environment
    found = {f"machine.{name}": known[name] for name in ("cpus", "gpus") if name in known}
    return found | ({"program": known["git_commit"][:10]} if known.get("git_commit") else {})
