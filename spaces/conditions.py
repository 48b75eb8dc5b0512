"""Conditions of a search space: read, checked, and the parameters put in an order that respects them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from typing import Any

from spaces.domain_files import VALUE_RULE, is_value
from spaces.domains import Value, takes
from spaces.faults import Fault, name_hint, near_misses, shown
from spaces.flat import recipe_paths
from spaces.parameters import Parameter


def parse_when(given: Any) -> tuple[dict[str, tuple[Value, ...]], list[Fault]]:
    """Reads a `when`: dotted names with the values, or the one value, that each may have.

    Returns:
        The values by name; what is wrong, with places inside the parameter.
    """
    if not isinstance(given, dict) or not given:
        return {}, [Fault(("when",), "must be a mapping such as {model.name: plain_cnn}", given)]
    when: dict[str, tuple[Value, ...]] = {}
    faults = []
    for path, wanted in given.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if not values or not all(is_value(value) for value in values):
            faults.append(Fault(("when", path), f"{VALUE_RULE}, or a list of such", wanted))
        when[path] = tuple(values)
    return when, faults


def settle_conditions(
    parameters: Sequence[Parameter], defaults: Mapping[str, Any], broken: set[str], faults: list[Fault]
) -> list[Parameter]:
    """The parameters whose conditions can be met, those first that others depend on, else in their order.

    What is wrong is added to `faults`, and the dotted names that lose a parameter to `broken`.
    """
    sound = []
    for parameter in parameters:
        found = _condition_faults(parameter, parameters, defaults, broken, faults)
        faults += found
        if found:
            broken.add(parameter.path)
        else:
            sound.append(parameter)
    faults += _overlaps(sound)
    graph: dict[str, set[str]] = {}
    for parameter in sound:
        graph.setdefault(parameter.path, set()).update(parameter.when)
    for cycle in _break_cycles(graph):
        chain = " -> ".join(cycle)
        faults.append(
            Fault(("parameters", cycle[0]), f"must not depend on itself: {chain}", hint="Drop one `when`.")
        )
        broken |= set(cycle)
    order: list[str] = []
    while waiting := [path for path in graph if path not in order]:
        order.append(next(path for path in waiting if not graph[path] & set(waiting)))
    kept = [parameter for parameter in sound if parameter.path in graph]
    return sorted(kept, key=lambda parameter: order.index(parameter.path))


def _condition_faults(
    parameter: Parameter,
    parameters: Sequence[Parameter],
    defaults: Mapping[str, Any],
    broken: set[str],
    told: Sequence[Fault],
) -> list[Fault]:
    faults = []
    for path, wanted in parameter.when.items():
        place = (*parameter.place, "when", path)
        there = [other for other in parameters if other.path == path]
        known = list(dict.fromkeys([*recipe_paths(), *(other.path for other in parameters), *defaults]))
        if path in broken:
            continue  # told already, and what it can be is not known
        if path not in known:
            rule = "must be a parameter of this space or a value in a recipe"
            faults.append(Fault(place, rule, path, near_misses(path, known)))
            continue
        countable = [other.domain.values for other in there]
        if None in countable:
            rule = "must not be a float, log or share parameter; conditions look at single values"
            faults.append(Fault(place, rule, path))
            continue
        possible = [values for values in countable if values is not None]
        if path in defaults and all(other.when for other in there):
            possible.append((defaults[path],))
        mistyped = [str(fault.received) for fault in told if path in fault.place]
        for value in wanted:
            if not any(takes(values, value) for values in possible) and not near_misses(value, mistyped):
                names = [shown(entry).strip('"') for values in possible for entry in values[:20]]
                hint = name_hint(value, names)
                faults.append(Fault(place, f"must be a value that {path} can have", value, hint))
    return faults


def _overlaps(parameters: Sequence[Parameter]) -> list[Fault]:
    """Alternatives for one value that could be active together, as far as their conditions tell."""
    faults = []
    for one, other in combinations(parameters, 2):
        if one.path == other.path and not any(
            not any(takes(one.when[path], value) for value in other.when[path])
            for path in set(one.when) & set(other.when)
        ):
            rule = f"must exclude {one.name}: give both a `when` on the same name, with different values"
            faults.append(Fault(other.place, rule))
    return faults


def _break_cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The cycles, each from a name back to itself; takes their names out of the graph."""
    cycles: list[list[str]] = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
            return cycles
        except CycleError as error:
            # graphlib lists each name before those that depend on it.
            cycle = list(reversed(error.args[1]))
            cycles.append(cycle)
            for path in set(cycle):
                del graph[path]
