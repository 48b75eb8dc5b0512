"""Recipe files: what is to be trained, in YAML.

There are two forms. A recipe file has a recipe's sections at its top (`model`, `geometry`, `optim`, ...)
and nothing else. A trial file, such as the `best_config.yaml` of a search, also says how long, from which
seed and on which share of the pictures: `epochs`, `seed`, `split`, `recipe` (a whole recipe) and
`lr_scales`. Built-in recipes are in `spaces/recipes/`; each opens with a comment: purpose, command, cost
and the accuracy seen.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from spaces.checks import check_recipe_data
from spaces.faults import Fault, faults_of
from spaces.part import Part, Positive, Share
from spaces.recipe import Recipe
from spaces.yaml_files import Document, built_in_names, dump_yaml, find_yaml, read_yaml

RECIPES = Path(__file__).parent / "recipes"


class Split(Part):
    """Shares of the pictures that `search.train` gives to the parts."""

    train: Positive
    validation: Positive
    """Steers the training: plateau, patience, which weights are kept."""
    selection: Share = 0.0
    """Read by nobody but a later retrain, which learns from it."""
    test: Positive
    """Read once, at the end."""

    @model_validator(mode="after")
    def _a_whole(self) -> Self:
        total = sum(self.model_dump().values())
        if abs(total - 1) > 1e-6:
            rule = "must be shares that add up to 1; they add up to {total}"
            raise PydanticCustomError("shares", rule, {"total": f"{total:g}"})
        return self


class TrialConfig(BaseModel):
    """A recipe with what a training needs besides: its length, its seed, and what a search saw."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Length of the training, in epochs; None where the file does not say."""
    seed: Annotated[int, Field(ge=0, strict=True)] = 0
    lr_scales: tuple[Annotated[float, Field(ge=0.0, strict=True)], ...] | None = None
    """What the learning rate is multiplied by at each epoch, where a search recorded it to be replayed;
    None: the recipe's own schedule decides."""
    split: Split | None = None
    """For `search.train`; None: the usual shares. A search and its retrains have their own."""
    recipe: Recipe

    def save(self, path: Path, comment: str = "") -> None:
        """Writes a trial file that opens with the comment; `load_trial_config` reads it back exactly."""
        opening = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
        path.write_text(opening + dump_yaml(self.model_dump(mode="json")), encoding="utf-8")


def recipe_names() -> list[str]:
    """The built-in recipes."""
    return built_in_names(RECIPES)


def load_recipe(name_or_path: str | Path, *, extra_models: Collection[str] = ()) -> Recipe:
    """The recipe in a recipe file or trial file; see `load_trial_config`."""
    return load_trial_config(name_or_path, extra_models=extra_models).recipe


def load_trial_config(name_or_path: str | Path, *, extra_models: Collection[str] = ()) -> TrialConfig:
    """Reads a recipe file or a trial file.

    Args:
        name_or_path: A built-in recipe's name or the path of a YAML file.
        extra_models: Names of the user's own networks.

    Raises:
        SpaceError: There is no such file, or something is wrong with it: all faults at once.
    """
    document = read_yaml(find_yaml(name_or_path, RECIPES, "recipe"))
    if "recipe" in document.data:
        return _trial(document, extra_models)
    if faults := check_recipe_data(document.data, extra_models):
        raise document.error(faults)
    return TrialConfig(recipe=Recipe.model_validate(document.data))


def with_absolute_weights(recipe: Recipe) -> Recipe:
    """The same recipe with the path of its weights seen from the current folder: trials run in others."""
    if recipe.model.weights is None:
        return recipe
    path = os.path.realpath(os.path.expanduser(recipe.model.weights))
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": path})})


def _length_faults(config: TrialConfig) -> list[Fault]:
    """What of the recipe does not go with the length that its file says."""
    frozen = config.recipe.freeze.epoch
    if config.epochs is None or frozen <= config.epochs:
        return []
    rule = f"must be at most epochs, which is {config.epochs}"
    return [Fault(("recipe", "freeze", "epoch"), rule, frozen, "With as many, the head alone is trained.")]


def _trial(document: Document, extra_models: Collection[str]) -> TrialConfig:
    faults: list[Fault] = []
    if isinstance(recipe := document.data["recipe"], dict):
        faults = [fault.under("recipe") for fault in check_recipe_data(recipe, extra_models)]
    try:
        config = TrialConfig.model_validate(document.data)
    except ValidationError as error:
        told = {fault.place for fault in faults}
        faults += [fault for fault in faults_of(error, TrialConfig, document.data) if fault.place not in told]
    else:
        faults += _length_faults(config)
    if faults:
        raise document.error(faults)
    return config
