"""A recipe's values by dotted name: `{"optim.lr": 0.001, "model.args.width": 32, ...}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from spaces.recipe import Recipe

ARGS = "model.args."
"""What the names of a network's arguments begin with; there may be any."""


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings to one mapping by dotted name."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `flatten`."""
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *sections, last = path.split(".")
        section = nested
        for key in sections:
            section = section.setdefault(key, {})
        section[last] = value
    return nested


def recipe_paths() -> list[str]:
    """The dotted names of all of a recipe's fields, but for the network's arguments."""
    return list(_paths(Recipe, ""))


def _paths(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _paths(field.annotation, f"{path}.")
        elif path + "." != ARGS:
            yield path


def is_recipe_path(path: str) -> bool:
    """Whether a recipe can hold a value under this dotted name."""
    return path in recipe_paths() or (path.startswith(ARGS) and path.removeprefix(ARGS).isidentifier())
