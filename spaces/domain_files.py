"""Reads domains as space files write them: `float: [0, 1]`, `choice: [a, b]`, `fixed: 3`, ..."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, cast

from spaces.domains import Choice, Domain, Fixed, Range
from spaces.faults import ABSENT, Fault, name_hint

RANGES = ("float", "int", "log", "share")
KINDS = (*RANGES, "choice", "fixed")
VALUE_RULE = "must be a finite number, text, true, false or null"
"""What one value in a space file must be."""
_HUGE = 2**53  # whole numbers from here on do not fit a float


def parse_domain(given: Mapping[str, Any]) -> tuple[Domain | None, list[Fault]]:
    """Reads one parameter's mapping, of which `when` and `prior` are left to the caller.

    Returns:
        The domain, or None where there is none to be had; what is wrong, with places inside the mapping.
    """
    known = (*KINDS, "step", "when", "prior")
    faults = [
        Fault((key,), "is not known in a parameter", value, name_hint(key, known))
        for key, value in given.items()
        if key not in known
    ]
    kinds = [kind for kind in KINDS if kind in given]
    if len(kinds) != 1:
        if kinds or not faults:  # a mistyped kind has been told already
            rule = f"must have exactly one of {', '.join(KINDS)}"
            faults.append(Fault((), rule, kinds if kinds else ABSENT))
        return None, faults
    kind, value = kinds[0], given[kinds[0]]
    step = given.get("step")
    if "step" in given and kind not in ("float", "int"):
        faults.append(Fault(("step",), "goes only with float and int", step))
    if kind == "choice":
        faults += _choice_faults(value)
    elif kind == "fixed":
        faults += [] if is_value(value) else [Fault(("fixed",), VALUE_RULE, value)]
    else:
        faults += _range_faults(kind, value, step, "step" in given)
    if faults:
        return None, faults
    if kind == "choice":
        return Choice(tuple(value)), []
    if kind == "fixed":
        return Fixed(value), []
    number = int if kind == "int" else float
    return Range(
        cast(Literal["float", "int", "log", "share"], kind),
        number(value[0]),
        number(value[1]),
        None if step is None else number(step),
    ), []


def is_value(value: Any) -> bool:
    """Whether a recipe can hold this value somewhere."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < _HUGE
    return value is None or isinstance(value, str)


def is_number(value: Any, kind: str) -> bool:
    """Whether a range of this kind can hold this value."""
    allowed = int if kind == "int" else (int, float)
    return isinstance(value, allowed) and not isinstance(value, bool) and is_value(value)


def _choice_faults(value: Any) -> list[Fault]:
    if not isinstance(value, list) or not value:
        return [Fault(("choice",), "must be a list of values", value)]
    faults = [
        Fault(("choice", index), VALUE_RULE, entry)
        for index, entry in enumerate(value)
        if not is_value(entry)
    ]
    # Optuna finds a value by `==`, to which 1, 1.0 and true are all one.
    faults += [
        Fault(("choice", index), "must be in the list once (1, 1.0 and true count as the same)", entry)
        for index, entry in enumerate(value)
        if entry in value[:index]
    ]
    return faults


def _range_faults(kind: str, value: Any, step: Any, has_step: bool) -> list[Fault]:
    number = "whole numbers" if kind == "int" else "finite numbers"
    if not isinstance(value, list) or len(value) != 2 or not all(is_number(end, kind) for end in value):
        return [Fault((kind,), f"must be [low, high], two {number}", value)]
    low, high = value
    faults = []
    if low > high or (low == high and kind != "share"):
        faults.append(Fault((kind,), "must have low under high", value, "For one value write `fixed`."))
    if kind == "log" and low <= 0:
        faults.append(Fault((kind,), "must have low over 0, as the scale is logarithmic", value))
    if kind == "share" and not 0 <= low <= high <= 1:
        faults.append(Fault((kind,), "must be within 0 and 1", value))
    if has_step and not (is_number(step, kind) and step > 0):
        faults.append(Fault(("step",), f"must be one of the {number} over 0", step))
    elif has_step and not faults and (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)):
        faults.append(Fault(("step",), f"must divide the range from {low} to {high} evenly", step))
    return faults
