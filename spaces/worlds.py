"""The combinations of values that some parts of a space's recipes can have, to check them beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spaces.domains import Choice, Range, Value, takes
from spaces.parameters import Parameter


def worlds(
    base: Mapping[str, Any], parameters: Sequence[Parameter], paths: set[str], *, thinned: bool = False
) -> Iterator[dict[str, Any]]:
    """Every combination that the values at `paths`, and those on which they depend, can take together.

    Args:
        base: Values by dotted name where no parameter is active.
        parameters: Parameters in an order where conditions come first.
        paths: Dotted names of the values in question.
        thinned: Of numbers take the smallest and the largest only (and those that a condition names),
            which is enough to find a rule of the form "at least" or "at most" broken.
    """
    concerned = set(paths)
    for parameter in reversed(parameters):
        if parameter.path in concerned:
            concerned |= set(parameter.when)
    named: dict[str, list[Value]] = {}
    for parameter in parameters:
        for path, values in parameter.when.items():
            named.setdefault(path, []).extend(values)
    whole = set() if thinned else paths
    steps = [
        (parameter, _values(parameter, named.get(parameter.path, []), parameter.path in whole))
        for parameter in parameters
        if parameter.path in concerned
    ]
    return _combine(dict(base), steps)


def _combine(
    values: dict[str, Any], steps: Sequence[tuple[Parameter, Sequence[Value]]]
) -> Iterator[dict[str, Any]]:
    if not steps:
        yield values
        return
    (parameter, candidates), *rest = steps
    if parameter.active(values):
        for value in candidates:
            yield from _combine({**values, parameter.path: value}, rest)
    else:
        yield from _combine(values, rest)


def _values(parameter: Parameter, named: Sequence[Value], whole: bool) -> Sequence[Value]:
    domain = parameter.domain
    if whole and domain.values is not None:
        return domain.values
    if isinstance(domain, Range):
        inside = [value for value in named if domain.values is not None and takes(domain.values, value)]
        return list(dict.fromkeys([domain.low, domain.high, *inside]))
    if not isinstance(domain, Choice) or named:
        return domain.values
    numbers: dict[type, list[Any]] = {int: [], float: []}
    rest: list[Value] = []
    for value in domain.values:
        numbers.get(type(value), rest).append(value)
    return [*rest, *(end for kind in numbers.values() if kind for end in {min(kind), max(kind)})]
