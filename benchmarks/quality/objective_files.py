"""Objectives from Python files, and the search spaces that they state."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.quality.interface import Objective
from spaces.conditions import parse_when, settle_conditions
from spaces.domain_files import parse_domain
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
        AttributeError: It lacks one of the three.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} must be a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Objective(path.stem, load_tree(module.SPACE, path.stem), int(module.MAX_EPOCHS), module.evaluate)


def load_tree(space: str | Path | Mapping[str, Any], name: str) -> Tree:
    """The parameters of a space whose names need not be those of recipes.

    Raises:
        SpaceError: What is wrong with it, all at once.
    """
    lines = {}
    if isinstance(space, Mapping):
        data = dict(space)
    else:
        document = parse_yaml(space.read_text() if isinstance(space, Path) else space, name)
        data, lines = document.data, document.lines
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
