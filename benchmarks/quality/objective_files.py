"""Objectives from Python files, and the search spaces that they state."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.interface import Objective
from benchmarks.quality.random_params import random_params
from spaces.conditions import parse_when, settle_conditions
from spaces.domain_files import parse_domain
from spaces.errors import InputError
from spaces.faults import Fault, SpaceError
from spaces.flat import flatten
from spaces.parameters import Parameter
from spaces.priors import parse_prior
from spaces.tree import Tree
from spaces.yaml_files import parse_yaml


def load_objective(path: Path) -> Objective:
    """The objective that a Python file defines, which is executed.

    It holds `SPACE`, a search space in the form of our space files (text, or the same read into a mapping, or
    the path of such a file), where parameters may have any names; `MAX_EPOCHS`; and `evaluate`: `Objective`
    says what they are.

    Raises:
        SpaceError: Something is wrong with its space.
        InputError: It is no Python file, lacks one of the three, or what it gives for a random configuration
            is not what `Objective` says.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} must be a Python file, with a name that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if lacks := [name for name in ("SPACE", "MAX_EPOCHS", "evaluate") if not hasattr(module, name)]:
        raise InputError(f"{path} lacks {', '.join(lacks)}; it needs SPACE, MAX_EPOCHS and evaluate.")
    epochs = module.MAX_EPOCHS
    if not isinstance(epochs, int) or epochs < 1:
        raise InputError(f"{path}: MAX_EPOCHS must be an integer from 1 on; it is {epochs!r}.")
    space = load_tree(module.SPACE, path.stem)
    objective = Objective(path.stem, space, epochs, module.evaluate)
    if fault := _fault(objective):
        raise InputError(
            f"{path}: evaluate(config, seed) must return (observed, noiseless, epoch_s), two arrays of "
            f"MAX_EPOCHS = {epochs} scores and the seconds of an epoch; for a random configuration {fault}."
        )
    return objective


def _fault(objective: Objective) -> str:
    """What is wrong with what an objective gives for a random configuration; nothing if all is well."""
    drawn = random_params(objective.space, np.random.default_rng(0))
    returned = objective.evaluate(objective.space.drawn(drawn), 0)
    if not isinstance(returned, tuple) or len(returned) != 3:
        return f"it returned {type(returned).__name__}, not three things"
    for name, scores in zip(("observed", "noiseless"), returned, strict=False):
        if np.shape(scores) != (objective.max_epochs,):
            return f"{name} has the shape {np.shape(scores)}"
    if not (np.isscalar(returned[2]) and np.isreal(returned[2]) and 0 < returned[2] < np.inf):
        return f"epoch_s is {returned[2]!r}, not a number over 0"
    return ""


def load_tree(space: str | Path | Mapping[str, Any], name: str) -> Tree:
    """The parameters of a space whose names need not be those of recipes.

    Raises:
        SpaceError: What is wrong with it, all at once.
        InputError: It has no parameters.
    """
    lines = {}
    if isinstance(space, Mapping):
        data = dict(space)
    else:
        document = parse_yaml(space.read_text() if isinstance(space, Path) else space, name)
        data, lines = document.data, document.lines
    if not isinstance(data.get("parameters"), Mapping):
        raise InputError(f"the space of {name} must have `parameters`: names, each with what may be drawn.")
    faults: list[Fault] = []
    parameters = []
    for path, entries in data["parameters"].items():
        alternatives = entries if isinstance(entries, list) else [entries]
        for index, entry in enumerate(alternatives):
            domain, found = parse_domain(entry)
            when, more = parse_when(entry["when"]) if "when" in entry else ({}, [])
            has_prior = domain is not None and "prior" in entry
            prior, wrong = parse_prior(entry["prior"], domain) if has_prior else (None, [])
            place = ("parameters", path, index) if isinstance(entries, list) else ("parameters", path)
            faults += [fault.under(*place) for fault in [*found, *more, *wrong]]
            if domain is not None:
                called = f"{path}@{index + 1}" if len(alternatives) > 1 else path
                parameters.append(Parameter(path, called, domain, when, place, prior))
    defaults = flatten(data.get("base", {}))
    parameters = settle_conditions(parameters, defaults, set(), faults)
    if faults:
        raise SpaceError(name, faults, lines)
    return Tree(name, str(data.get("description", "")), tuple(parameters), defaults)
