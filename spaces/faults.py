"""What is wrong with a file, said in full: every fault at once, each with its place, rule and value."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from spaces.errors import InputError

Place = tuple[str | int, ...]
"""Keys and list positions that lead from the top of a file to a value."""

_SHOWN_CHARACTERS = 80


class Absent(Enum):
    """Stands for a value that is not there, which null is not."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    place: Place
    rule: str
    """What is allowed, as the end of a sentence that starts with the place: `must be over 0`."""
    received: Any = ABSENT
    hint: str = ""
    """What to do about it, or what exists, in whole sentences."""

    def under(self, *place: str | int) -> Fault:
        """The same fault seen from further outside."""
        return replace(self, place=(*place, *self.place))

    def __str__(self) -> str:
        received = "" if self.received is ABSENT else f"; received {shown(self.received)}"
        return " ".join(filter(None, [dotted(self.place), self.rule + received])) + (
            f". {self.hint}" if self.hint else "."
        )


class SpaceError(InputError):
    """A file or value that says what to train, or what may be tried, is not usable.

    The message holds one line a fault, with the file, the line number and the dotted place, in the order
    of the lines.
    """

    def __init__(self, file: str, faults: Sequence[Fault], lines: Mapping[Place, int] | None = None) -> None:
        lines = lines or {}
        self.file = file
        self.faults = tuple(sorted(faults, key=lambda fault: _line(fault.place, lines)))
        told = []
        for fault in self.faults:
            line = _line(fault.place, lines)
            told.append(f"  {file}:{line}: {fault}" if line else f"  {file}: {fault}")
        count = "1 fault" if len(told) == 1 else f"{len(told)} faults"
        super().__init__("\n".join([f"{file}: {count}", *told]))


def _line(place: Place, lines: Mapping[Place, int]) -> int:
    """The line of the value, or of the innermost mapping around a value that is missing; 0: not known."""
    known = (lines[place[:length]] for length in range(len(place), -1, -1) if place[:length] in lines)
    return next(known, 0)


def dotted(place: Place) -> str:
    """`("parameters", "optim.lr", 0, "log")` as `parameters.optim.lr[0].log`."""
    text = ""
    for key in place:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def shown(value: Any) -> str:
    """The value as YAML would have it, on one line, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def near_misses(name: object, known: Iterable[str]) -> str:
    """`Did you mean a or b?`, or nothing when no known name is alike."""
    alike = difflib.get_close_matches(str(name), list(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(alike)}?" if alike else ""


def name_hint(name: object, known: Iterable[str]) -> str:
    """The near misses, then all names that exist: for short lists of names."""
    known = list(known)
    return " ".join(filter(None, [near_misses(name, known), f"There are: {', '.join(known)}."]))


def faults_of(error: ValidationError, model: type[BaseModel], data: Any) -> list[Fault]:
    """pydantic's findings in plain words, one fault a place.

    Args:
        error: What `model.model_validate(data)` raised.
        model: The pydantic model, for the names of its fields.
        data: The plain value that was validated.
    """
    rules: dict[Place, list[str]] = {}
    hints: dict[Place, str] = {}
    for found in error.errors(include_url=False):
        if found["type"] == "missing":
            place: Place = tuple(found["loc"])
        else:
            place = _place_in(data, found["loc"])
        rules.setdefault(place, []).append(rule(found))
        if found["type"] == "extra_forbidden":
            hints[place] = name_hint(place[-1], _fields_at(model, place[:-1]))
        elif found["type"] == "literal_error":
            choices = str(found["ctx"]["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
            hints[place] = near_misses(_value_at(data, place), choices)
    return [
        Fault(place, _any_of(texts), _value_at(data, place), hints.get(place, ""))
        for place, texts in rules.items()
    ]


def _any_of(rules: Sequence[str]) -> str:
    """The rules of a union's members, of which one must be kept, as one rule."""
    first, *others = dict.fromkeys(rules)
    return ", or ".join([first, *(rule.removeprefix("must be ") for rule in others)])


_RULES = {
    "missing": "is required",
    "extra_forbidden": "is not a field here",
    "invalid_key": "must be text",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "finite_number": "must be finite",
    "literal_error": "must be {expected}",
    "greater_than": "must be over {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be under {lt:g}",
    "less_than_equal": "must be at most {le:g}",
}


def rule(found: ErrorDetails) -> str:
    """What one of pydantic's findings says is allowed, in plain words: `must be at least 1`."""
    if found["type"] in _RULES:
        return _RULES[found["type"]].format(**found.get("ctx", {}))
    return found["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _place_in(data: Any, location: Iterable[str | int]) -> Place:
    """The location without the names that pydantic adds for the members of a union."""
    place: list[str | int] = []
    for key in location:
        data = _value_at(data, (key,))
        if data is ABSENT:
            break
        place.append(key)
    return tuple(place)


def _value_at(data: Any, place: Place) -> Any:
    for key in place:
        try:
            data = ABSENT if isinstance(data, str) else data[key]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return data


def _fields_at(model: type[BaseModel], place: Place) -> list[str]:
    for key in place:
        field = model.model_fields.get(str(key))
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not sections:
            return []
        model = sections[0]
    return list(model.model_fields)
