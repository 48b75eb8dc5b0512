"""Checks what a space's parameters make together: every network must exist and fit its pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spaces.checks import check_recipe, sift_recipe
from spaces.domains import Domain, Range
from spaces.faults import ABSENT, Fault, Place, shown
from spaces.flat import ARGS, unflatten
from spaces.parameters import Parameter
from spaces.worlds import worlds

MAX_COMBINATIONS = 50_000
"""Of network, arguments and picture size; more cannot be checked in the seconds that a user will wait."""


def field_faults(path: str, domain: Domain) -> list[Fault]:
    """The values of the domain that a recipe cannot hold at this dotted name."""
    of_length = path == "freeze.epoch"
    if of_length != (isinstance(domain, Range) and domain.kind == "share"):
        rule = "must be a share of the trial's length" if of_length else "goes only with freeze.epoch"
        kind, given = next(iter(domain.to_dict().items()))
        return [Fault((kind,), rule, given, "Write {share: [low, high]}." if of_length else "")]
    if of_length:
        return []
    faults: dict[tuple[Place, str], Fault] = {}  # both ends of a range may break the same rule
    for value in (domain.low, domain.high) if isinstance(domain, Range) else domain.values:
        found, _ = sift_recipe(unflatten({"model.name": "any", path: value}))
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
    """What is wrong with the networks and picture sizes that recipes can have.

    Args:
        parameters: The sound parameters, in an order where conditions come first.
        defaults: Values by dotted name where no parameter is active.
        broken: Dotted names of which a fault has been told already: they are not judged again.
        extra_models: Names of the user's own networks.
    """
    names = {*defaults, *(parameter.path for parameter in parameters)}
    paths = {name for name in names if name.startswith(ARGS)}
    paths |= {"model.name", "model.pretrained", "geometry.size_px"}
    faults: dict[tuple[Place, str, str], Fault] = {}
    for count, values in enumerate(worlds(defaults, parameters, paths, thinned=True)):
        if count == MAX_COMBINATIONS:
            rule = f"must make at most {MAX_COMBINATIONS} combinations of network and picture size"
            return [*faults.values(), Fault(("parameters",), rule, hint="Split the space in two.")]
        if "model.name" not in values:
            if "model.name" not in broken:
                rule = "must be given for every recipe, by a parameter or in base"
                faults[(), rule, ""] = Fault(("parameters", "model.name"), rule)
            continue
        told, recipe = sift_recipe(unflatten({path: values[path] for path in paths if path in values}))
        if recipe is None:
            continue
        skipped = {*broken, *(".".join(map(str, fault.place)) for fault in told)}
        for fault in check_recipe(recipe, extra_models):
            path = ".".join(map(str, fault.place))
            if path not in skipped:
                place = _place(path, values, parameters, whole=fault.received is ABSENT)
                faults.setdefault(
                    (place, fault.rule, shown(fault.received)),
                    Fault(place, fault.rule, fault.received, fault.hint),
                )
    return list(faults.values())


def _place(path: str, values: Mapping[str, Any], parameters: Sequence[Parameter], *, whole: bool) -> Place:
    """Where the file sets the value that this combination has at the dotted name.

    Args:
        whole: The place of the parameter as a whole, not that of the value within it.
    """
    for parameter in parameters:
        if parameter.path == path and parameter.active(values):
            return parameter.place + (() if whole else parameter.domain.place_of(values[path]))
    return ("base", *path.split("."))
