"""Checks a space's parameters: each value on its own, then what they make together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spaces.checks import sift_recipe
from spaces.domains import Domain, Range, takes
from spaces.faults import ABSENT, Fault, Place, shown
from spaces.flat import unflatten
from spaces.network_checks import name_faults
from spaces.parameters import Parameter
from spaces.rules import GROUPS, Group
from spaces.worlds import worlds

MAX_COMBINATIONS = 50_000
"""Of the values that a group of rules looks at; more cannot be checked in the seconds that a user will
wait."""
NAME = "model.name"
ANY_NAME = "any"
"""Stands for the network where no rule looks at it."""


def field_faults(path: str, domain: Domain, extra_models: Collection[str]) -> list[Fault]:
    """The values of the domain that a recipe cannot hold at this dotted name.

    Args:
        extra_models: Names of the user's own networks.
    """
    of_length = path == "freeze.epoch"
    if of_length != (isinstance(domain, Range) and domain.kind == "share"):
        rule = "must be a share of the trial's length" if of_length else "goes only with freeze.epoch"
        kind, given = next(iter(domain.to_dict().items()))
        return [Fault((kind,), rule, given, "Write {share: [low, high]}." if of_length else "")]
    if of_length:
        return []
    faults: dict[tuple[Place, str], Fault] = {}  # both ends of a range may break the same rule
    for value in (domain.low, domain.high) if isinstance(domain, Range) else domain.values:
        found, recipe = sift_recipe(unflatten({NAME: ANY_NAME, path: value}))
        if path == NAME and recipe is not None and not found:
            found = name_faults(recipe.model.name, extra_models)
        for fault in found:
            place = domain.place_of(value)
            faults.setdefault((place, fault.rule), Fault(place, fault.rule, value, fault.hint))
    return list(faults.values())


def check_combinations(
    parameters: Sequence[Parameter],
    defaults: Mapping[str, Any],
    broken: Collection[str],
    extra_models: Collection[str],
) -> list[Fault]:
    """What is wrong with the values that recipes can have together, by each group of rules on its own.

    Args:
        parameters: The sound parameters, in an order where conditions come first.
        defaults: Values by dotted name where no parameter is active.
        broken: Dotted names of which a fault has been told already: they are not judged again.
        extra_models: Names of the user's own networks.
    """
    found: dict[tuple[Place, str, str], tuple[Fault, list[str]]] = {}
    for group in GROUPS:
        for fault, name in _group_faults(group, parameters, defaults, broken, extra_models):
            key = (fault.place, fault.rule.replace(name, NAME), shown(fault.received))
            _, names = found.setdefault(key, (fault, []))
            names.append(name)
    return [_told_once(fault, names) for fault, names in found.values()]


def _told_once(fault: Fault, names: Sequence[str]) -> Fault:
    """The fault of the first of these networks, saying which others have it."""
    others = list(dict.fromkeys(names))[1:]
    if not others:
        return fault
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    same = f"The same goes for {', '.join(others[:3])}{more}."
    return replace(fault, hint=f"{fault.hint} {same}".strip())


def _group_faults(
    group: Group,
    parameters: Sequence[Parameter],
    defaults: Mapping[str, Any],
    broken: Collection[str],
    extra_models: Collection[str],
) -> Iterator[tuple[Fault, str]]:
    """The faults of one group's combinations, each with the name of its network."""
    paths = group.among({*defaults, *(parameter.path for parameter in parameters)} | set(group.paths))
    for count, values in enumerate(worlds(defaults, parameters, paths, thinned=True)):
        if count == MAX_COMBINATIONS:
            rule = f"must make at most {MAX_COMBINATIONS} combinations of {group.what}"
            yield Fault(("parameters",), rule, hint="Split the space in two."), ANY_NAME
            return
        if NAME in paths and NAME not in values:
            if NAME not in broken:
                rule = "must be given for every recipe, by a parameter or in base"
                yield Fault(("parameters", NAME), rule), ANY_NAME
            continue
        looked_at = {path: values[path] for path in paths if path in values}
        told, recipe = sift_recipe(unflatten({NAME: ANY_NAME, **looked_at}))
        if recipe is None:
            continue
        skipped = {*broken, *(".".join(map(str, fault.place)) for fault in told)}
        for fault in group.check(recipe, extra_models):
            path = ".".join(map(str, fault.place))
            if path not in skipped:
                place = _place(path, values, parameters, whole=fault.received is ABSENT)
                yield Fault(place, fault.rule, fault.received, fault.hint), recipe.model.name


def _place(path: str, values: Mapping[str, Any], parameters: Sequence[Parameter], *, whole: bool) -> Place:
    """Where the file sets the value that this combination has at the dotted name.

    Args:
        whole: The place of the parameter as a whole, not that of the value within it.
    """
    for parameter in parameters:
        among = parameter.domain.values  # of alternatives that overlap, which is a fault too, both are active
        if (
            parameter.path == path
            and parameter.active(values)
            and (whole or among is None or takes(among, values[path]))
        ):
            return parameter.place + (() if whole else parameter.domain.place_of(values[path]))
    return ("base", *path.split("."))
