"""The networks of a space: each name with its arguments, its picture size, and all else that shapes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spaces.flat import ARGS, flatten, unflatten
from spaces.recipe import Recipe
from spaces.space import Space
from spaces.worlds import worlds

MOST = 300
"""Of a space with more networks only those are looked at whose numbers are the smallest and the largest; they
may still be more than this."""
DECISIVE = {"model.name", "model.stem", "model.pool", "model.head_dense", "geometry.size_px", "loss.name"}
"""What decides on a network's size, beside its arguments."""


def is_decisive(path: str) -> bool:
    """Whether the value of this dotted name decides on a network's size."""
    return path in DECISIVE or path.startswith(ARGS)


def identity(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides on its network's size, by dotted name."""
    values = flatten(recipe.to_dict())
    found = {path: values[path] for path in sorted(values) if is_decisive(path)}
    one_output = found.pop("loss.name") == "sigmoid"  # all that the loss decides on
    return {**found, "one_output": one_output}


def key(values: Mapping[str, Any]) -> str:
    """An identity, or more values with it, as text; the same when it comes from a JSON file."""
    return json.dumps(values, sort_keys=True)


@dataclass(frozen=True)
class Variants:
    """The networks of a space, a recipe of each."""

    recipes: Sequence[Recipe]
    whole: bool
    """Whether these are all; else, of their numbers, the smallest and the largest."""


def variants(space: Space, *further: str) -> Variants:
    """A recipe of each network that a space gives: of all of them, or of the extremes where they are many.

    Args:
        further: Dotted names of more values of which each combination is wanted.
    """
    whole = _combinations(space, further, thinned=False)
    if len(whole) <= MOST:
        return Variants(whole, whole=True)
    return Variants(_combinations(space, further, thinned=True), whole=False)


def _combinations(space: Space, further: Sequence[str], *, thinned: bool) -> list[Recipe]:
    """A recipe of each combination of values that the space gives; over `MOST` no more than that, unless
    thinned."""
    paths = DECISIVE | {path.path for path in space.parameters if path.path.startswith(ARGS)} | set(further)
    found: dict[str, Recipe] = {}
    seen = set()
    for values in worlds(space.defaults, space.parameters, paths, thinned=thinned):
        combination = key({path: values.get(path) for path in paths})
        if combination in seen:
            continue
        seen.add(combination)
        recipe = Recipe.model_validate(unflatten(values))
        found.setdefault(key(identity(recipe) | {path: values.get(path) for path in further}), recipe)
        if not thinned and len(found) > MOST:
            break
    return list(found.values())


def named(recipe: Recipe) -> str:
    """A network in words: `plain_cnn (width 64, convs 2) at 48 px`."""
    model, parts = recipe.model, []
    parts += [f"{name} {value}" for name, value in model.args.items()]
    parts += ["small stem"] if model.stem == "small" else []
    parts += [f"{model.pool} pooling"] if model.pool else []
    parts += [f"dense {model.head_dense}"] if model.head_dense else []
    details = f" ({', '.join(parts)})" if parts else ""
    return f"{model.name}{details} at {recipe.geometry.size_px} px"
