"""Reads search-space files, and names everything that is wrong with one at once.

The form of a file, by example:

    # purpose, command, cost, accuracy seen
    description: one line
    base:                       # values of the recipe that all trials share
      geometry: {size_px: 32}
    parameters:                 # by the dotted name of a value in the recipe
      model.name: {choice: [plain_cnn, vgg4_cnn]}
      model.args.width: {int: [16, 64], step: 8, when: {model.name: plain_cnn}}
      geometry.size_px: {fixed: 48, when: {model.name: vgg4_cnn}}
      optim.lr:                 # alternatives: their conditions exclude each other
        - {log: [3e-4, 1e-2], when: {model.name: plain_cnn}}
        - {log: [1e-4, 3e-3], when: {model.name: [vgg4_cnn]}}
      loss.label_smoothing: {float: [0, 0.2], prior: {centre: 0.1, confidence: low}}
      freeze.epoch: {share: [0, 0.5]}           # of the trial's full length

All conditions of a `when` must hold; a list means any of its values. In a choice of networks `resnet*` stands
for all known ones whose names match, in a condition on `model.name` for those that this space has; `not
resnet*d` beside it leaves some of them out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from spaces.checks import sift_recipe
from spaces.conditions import parse_when, settle_conditions
from spaces.domain_files import parse_domain
from spaces.faults import Fault, Place, name_hint, near_misses
from spaces.flat import ARGS, flatten, is_recipe_path, recipe_paths
from spaces.network_checks import name_faults
from spaces.parameters import Parameter
from spaces.priors import parse_prior
from spaces.space import Space
from spaces.space_checks import check_combinations, field_faults
from spaces.wildcards import as_written, expand_choices, expand_conditions
from spaces.yaml_files import built_in_names, find_yaml, read_yaml

BUILT_IN = Path(__file__).parent / "builtin"
_NO_NAME = "(no name yet)"


def space_names() -> list[str]:
    """The built-in spaces."""
    return built_in_names(BUILT_IN)


def load_space(name_or_path: str | Path, *, extra_models: Collection[str] = ()) -> Space:
    """Reads and checks a search space.

    Args:
        name_or_path: A built-in space's name or the path of a YAML file.
        extra_models: Names of the user's own networks.

    Raises:
        SpaceError: There is no such file, or something is wrong with it: all faults at once.
    """
    path = find_yaml(name_or_path, BUILT_IN, "space")
    document = read_yaml(path)
    faults: list[Fault] = []
    space = _parse(document.data, path.stem, extra_models, faults)
    if faults:
        raise document.error(faults)
    return space


def _parse(data: Mapping[str, Any], name: str, extra_models: Collection[str], faults: list[Fault]) -> Space:
    """The space, as far as it can be made out; what is wrong is added to `faults`."""
    sections = ("description", "base", "parameters")
    for key in data:
        if key not in sections:
            faults.append(Fault((key,), "is not a section of a space", hint=name_hint(key, sections)))
    description = data.get("description", "")
    if not isinstance(description, str):
        faults.append(Fault(("description",), "must be text", description))
    base, defaults, broken = _parse_base(data.get("base", {}), extra_models, faults)
    given = data.get("parameters")
    indices: dict[Place, list[int]] = {}
    if isinstance(given, dict):
        pretrained = defaults["model.pretrained"]
        given, indices = expand_choices(given, extra_models, pretrained=pretrained)
    parameters = expand_conditions(_parse_parameters(given, extra_models, broken, faults), defaults)
    parameters = settle_conditions(parameters, defaults, broken, faults)
    broken |= {
        str(fault.place[1]) for fault in faults if len(fault.place) > 1 and fault.place[0] == "parameters"
    }
    faults += check_combinations(parameters, defaults, broken, extra_models)
    faults[:] = [as_written(fault, indices) for fault in faults]
    return Space(name, str(description), tuple(parameters), defaults, base)


def _parse_base(
    base: Any, extra_models: Collection[str], faults: list[Fault]
) -> tuple[dict[str, Any], dict[str, Any], set[str]]:
    """The base, a whole recipe's values by dotted name, and the dotted names that are faulty."""
    if not isinstance(base, dict):
        faults.append(Fault(("base",), "must be a mapping", base))
        base = {}
    model = base.get("model", {})
    named = {**base, "model": {"name": _NO_NAME, **model} if isinstance(model, dict) else model}
    found, recipe = sift_recipe(named)
    if recipe is None:
        recipe = sift_recipe({"model": {"name": _NO_NAME}})[1]
    assert recipe is not None
    if recipe.model.name != _NO_NAME:
        found += name_faults(recipe.model.name, extra_models)
    if recipe.freeze.epoch:
        rule = "must be left to a parameter, as a share of the trial's length"
        hint = "Write freeze.epoch: {share: [0.2, 0.2]} under parameters."
        found.append(Fault(("freeze", "epoch"), rule, recipe.freeze.epoch, hint))
    faults += [fault.under("base") for fault in found]
    defaults = flatten(recipe.to_dict())
    broken = {".".join(map(str, fault.place)) for fault in found}
    if defaults["model.name"] == _NO_NAME:
        del defaults["model.name"]
    return base, defaults, broken


def _parse_parameters(
    given: Any, extra_models: Collection[str], broken: set[str], faults: list[Fault]
) -> list[Parameter]:
    """The parameters that make sense. Faults are added, and the dotted names of the others to `broken`."""
    if not isinstance(given, dict) or not given:
        faults.append(Fault(("parameters",), "must be a mapping with at least one parameter", given))
        return []
    parameters = []
    for path, entries in given.items():
        place: Place = ("parameters", path)
        if not is_recipe_path(path):
            hint = near_misses(path, [*recipe_paths(), f"{ARGS}width"])
            faults.append(Fault(place, "must be the dotted name of a value in a recipe", hint=hint))
            broken.add(path)
            continue
        alternatives = entries if isinstance(entries, list) else [entries]
        if not alternatives:
            faults.append(Fault(place, "must have at least one alternative", entries))
        for index, entry in enumerate(alternatives):
            many = len(alternatives) > 1
            at = (*place, index) if isinstance(entries, list) else place
            name = f"{path}@{index + 1}" if many else path
            parameter, found = _parse_parameter(path, name, entry, at, extra_models)
            faults += found
            if parameter is None:
                broken.add(path)
            else:
                parameters.append(parameter)
    return parameters


def _parse_parameter(
    path: str, name: str, entry: Any, place: Place, extra_models: Collection[str]
) -> tuple[Parameter | None, list[Fault]]:
    """The parameter, or None where it makes no sense at all, and what is wrong with it."""
    if not isinstance(entry, dict):
        return None, [Fault(place, "must be a mapping such as {float: [0, 1]}", entry)]
    domain, faults = parse_domain(entry)
    when: dict[str, Any] = {}
    if "when" in entry:
        when, found = parse_when(entry["when"])
        faults += found
    prior = None
    if "prior" in entry and domain is not None:
        prior, found = parse_prior(entry["prior"], domain)
        faults += found
    if domain is None or faults:
        return None, [fault.under(*place) for fault in faults]
    return Parameter(path, name, domain, when, place, prior), [
        fault.under(*place) for fault in field_faults(path, domain, extra_models)
    ]
