"""A recipe of recipes: several trained networks that are used as one."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field

from spaces.recipe import Geometry, Model, Recipe

ENSEMBLE = "ensemble"
"""The network's name in timm's registry."""


class EnsembleRecipe(Recipe):
    """What an ensemble is made of. Its `geometry` says what square goes in; all that is trained is trained by
    its members' recipes, one by one."""

    members: Annotated[tuple[Recipe, ...], Field(min_length=2)]

    def to_dict(self) -> dict[str, Any]:
        """`model`, `geometry` and `members`: the rest of a recipe has no meaning here."""
        return self.model_dump(mode="json", include={"model", "geometry", "members"})


def ensemble_recipe(members: tuple[Recipe, ...]) -> EnsembleRecipe:
    """Of members with the same `geometry.fit`; the square that goes in is as large as the largest one's."""
    (fit,) = {member.geometry.fit for member in members}
    size_px = max(member.geometry.size_px for member in members)
    return EnsembleRecipe(
        model=Model(name=ENSEMBLE), geometry=Geometry(size_px=size_px, fit=fit), members=members
    )


def trained_recipes(recipe: Recipe) -> tuple[Recipe, ...]:
    """The recipes by which networks are trained: an ensemble's members, or the recipe itself."""
    return recipe.members if isinstance(recipe, EnsembleRecipe) else (recipe,)


def read_recipe(values: dict[str, Any]) -> Recipe:
    """What `to_dict` of a recipe, or of an ensemble's, gave."""
    return (EnsembleRecipe if "members" in values else Recipe).model_validate_json(json.dumps(values))
