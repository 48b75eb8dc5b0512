"""All that is wrong with a recipe: its fields one by one, then what its fields make together."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from spaces.faults import Fault, faults_of
from spaces.recipe import Recipe
from spaces.rules import CHECKS


def check_recipe(recipe: Recipe, extra_models: Collection[str] = ()) -> list[Fault]:
    """What the recipe's fields make together that cannot be; places are those of a recipe.

    Args:
        recipe: A recipe whose fields are valid one by one.
        extra_models: Names of the user's own networks, which may take any arguments.
    """
    return [fault for check in CHECKS for fault in check(recipe, extra_models)]


def sift_recipe(data: Mapping[str, Any]) -> tuple[list[Fault], Recipe | None]:
    """The faults of the fields one by one, and the recipe that the other fields make.

    Returns:
        The faults, and the recipe with defaults in place of the faulty values; None where too little is
        left for one.
    """
    try:
        return [], Recipe.model_validate(data)
    except ValidationError as error:
        faults = faults_of(error, Recipe, data)
    rest: dict[Any, Any] = copy.deepcopy(dict(data))
    for fault in faults:
        section: Any = rest
        for key in fault.place[:-1]:
            section = section.get(key, {})
        section.pop(fault.place[-1], None)
    try:
        return faults, Recipe.model_validate(rest)
    except ValidationError:
        return faults, None


def check_recipe_data(data: Mapping[str, Any], extra_models: Collection[str] = ()) -> list[Fault]:
    """All that is wrong with a recipe given as plain values."""
    faults, recipe = sift_recipe(data)
    if recipe is None:
        return faults
    told = {fault.place for fault in faults}
    return faults + [fault for fault in check_recipe(recipe, extra_models) if fault.place not in told]
