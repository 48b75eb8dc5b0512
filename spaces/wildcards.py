"""Wildcards in space files: `resnet*` stands for many networks, in choices of `model.name` and in conditions.

`not resnet*d` beside it leaves some of them out again; names that are written out stay. What matches nothing,
or leaves nothing over, stays as it is, and is then told as a name that does not exist.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from spaces.families import FAMILIES
from spaces.faults import Fault, Place
from spaces.parameters import Parameter
from spaces.timm_names import timm_models

_NAME = "model.name"
_NOT = "not "
_PLACE: Place = ("parameters", _NAME)


def expand_choices(
    parameters: Mapping[str, Any], extra_models: Collection[str], *, pretrained: bool
) -> tuple[dict[str, Any], dict[Place, list[int]]]:
    """Puts names in the place of wildcards, among our networks, timm's without tags, and the user's own.

    Args:
        parameters: As read from the file, in whatever form.
        extra_models: Names of the user's own networks.
        pretrained: The base asks for pretrained weights: names that are known to have none do not match, if
            others do.

    Returns:
        The parameters, and by the place of each expanded list the indices that its values had in the file.
    """
    known = [*FAMILIES, *timm_models(), *extra_models]
    better = [*(model.name for model in timm_models().values() if model.tags), *extra_models]
    indices: dict[Place, list[int]] = {}

    def expanded(entry: Any, place: Place) -> Any:
        if not isinstance(entry, dict) or not isinstance(entry.get("choice"), list):
            return entry
        found = _expand(entry["choice"], better if pretrained else known, known)
        indices[(*place, "choice")] = [index for index, _ in found]
        return {**entry, "choice": [value for _, value in found]}

    entries = parameters.get(_NAME)
    if isinstance(entries, list):
        entries = [expanded(entry, (*_PLACE, index)) for index, entry in enumerate(entries)]
    elif entries is not None:
        entries = expanded(entries, _PLACE)
    return {path: entries if path == _NAME else given for path, given in parameters.items()}, indices


def as_written(fault: Fault, indices: Mapping[Place, list[int]]) -> Fault:
    """The fault with the place that the file has for a value of an expanded list."""
    around, last = fault.place[:-1], fault.place[-1]
    if around in indices and isinstance(last, int):
        return replace(fault, place=(*around, indices[around][last]))
    return fault


def expand_conditions(parameters: Sequence[Parameter], defaults: Mapping[str, Any]) -> list[Parameter]:
    """Puts the names that this space has in the place of wildcards in the parameters' `when`."""
    names = [defaults[_NAME]] if _NAME in defaults else []
    names += [
        name
        for parameter in parameters
        if parameter.path == _NAME
        for name in parameter.domain.values or ()
        if isinstance(name, str)
    ]

    def expanded(parameter: Parameter) -> Parameter:
        if _NAME not in parameter.when:
            return parameter
        wanted = parameter.when[_NAME]
        if all(map(_excludes, wanted)):
            wanted = ("*", *wanted)
        values = tuple(value for _, value in _expand(wanted, names, ()))
        return replace(parameter, when={**parameter.when, _NAME: values})

    return [expanded(parameter) for parameter in parameters]


def _expand(
    values: Sequence[Any], names: Collection[str], other_names: Collection[str]
) -> list[tuple[int, Any]]:
    """Values with their indices; wildcards replaced by what they match, sorted, each name once.

    Args:
        other_names: Where none of `names` matches, these are tried.
    """
    left_out = {
        name
        for value in values
        if _excludes(value)
        for name in _matching(value.removeprefix(_NOT), names, other_names)
    }
    expanded: list[tuple[int, Any]] = []
    for index, value in enumerate(values):
        stands_for_others = isinstance(value, str) and any(mark in value for mark in "*?[")
        matching: list[str] = []
        if stands_for_others or _excludes(value):
            matching = _matching(value.removeprefix(_NOT), names, other_names)
        if not matching:
            expanded.append((index, value))
        elif not _excludes(value):
            there = {name for _, name in expanded if isinstance(name, str)} | left_out
            expanded += [(index, name) for name in matching if name not in there and name not in values]
    return expanded or [(0, ", ".join(map(str, values)))]  # told as it was meant: a name that is not there


def _excludes(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_NOT)


def _matching(pattern: str, names: Collection[str], other_names: Collection[str]) -> list[str]:
    matching = {name for name in names if fnmatchcase(name, pattern)}
    return sorted(matching or {name for name in other_names if fnmatchcase(name, pattern)})
