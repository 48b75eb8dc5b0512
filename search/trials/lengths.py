"""How long a training is: its recipe's epochs in passes over the training part, and back."""

from __future__ import annotations

import math

from spaces.recipe import Recipe


def length_epochs(recipe: Recipe, *, passes: int, pictures: int) -> int:
    """How many of a recipe's epochs make so many passes over a training part of so many pictures."""
    if recipe.steps_per_epoch is None:
        return passes
    return math.ceil(passes * recipe.steps_per_pass(pictures) / recipe.steps_per_epoch)


def length_passes(recipe: Recipe, *, epochs: int, pictures: int) -> float:
    """How many passes over a training part of so many pictures a recipe's epochs make."""
    if recipe.steps_per_epoch is None:
        return epochs
    return epochs * recipe.steps_per_epoch / recipe.steps_per_pass(pictures)
