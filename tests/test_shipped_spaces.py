"""Every space that is shipped yields recipes that can be built."""

from __future__ import annotations

import optuna
import pytest
import torch

from spaces.checks import check_recipe
from spaces.families import FAMILIES
from spaces.flat import recipe_paths
from spaces.recipe import Recipe
from spaces.recipe_files import load_trial_config, recipe_names
from spaces.space_files import load_space, space_names
from trainables.models.create import class_logits, create_model
from trainables.models.optimizer import create_optimizer

STAND_INS = {
    "resnet": "test_resnet",
    "resnext": "test_resnet",
    "regnet": "regnetx_002",
    "efficientnet": "test_efficientnet",
    "mobilenetv3": "mobilenetv3_small_050",
    "convnext": "test_convnext",
    "vit": "test_vit",
}
"""For each kind of large backbone a tiny one of the same kind."""
COUNT = 200


def recipes(name: str, epochs: int = 12) -> list[Recipe]:
    space = load_space(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    return [space.suggest(study.ask(), epochs=epochs) for _ in range(COUNT)]


def small_enough(recipe: Recipe) -> Recipe:
    """The recipe on a tiny network of the same kind, from random weights, on small pictures."""
    name = recipe.model.name
    if name in FAMILIES:
        return recipe
    stand_in = next(tiny for kind, tiny in STAND_INS.items() if name.startswith(kind))
    values = recipe.to_dict()
    values["model"] |= {"name": stand_in, "pretrained": False}
    return Recipe.model_validate(values)


def classes(recipe: Recipe) -> int:
    return 2 if recipe.loss.name == "sigmoid" else 5


@pytest.mark.parametrize("name", space_names())
def test_a_shipped_space_yields_recipes_that_keep_all_rules(name: str) -> None:
    assert [fault for recipe in recipes(name) for fault in check_recipe(recipe)] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", space_names())
def test_a_shipped_space_yields_recipes_that_can_be_built(name: str) -> None:
    built: dict[str, tuple[torch.nn.Module, Recipe]] = {}
    for recipe in map(small_enough, recipes(name)):
        model = create_model(recipe, num_classes=classes(recipe))
        create_optimizer(model, recipe.optim)
        built[recipe.model.name] = (model, recipe)
    for model, recipe in built.values():
        squares = torch.zeros(2, 3, recipe.geometry.size_px, recipe.geometry.size_px)
        with torch.no_grad():
            assert class_logits(model.eval()(squares)).shape == (2, classes(recipe))


def test_what_was_never_trained_is_never_frozen() -> None:
    for name in space_names():
        for recipe in recipes(name):
            assert recipe.freeze.epoch == 0 or recipe.model.pretrained


def test_the_full_space_varies_every_value_of_a_recipe() -> None:
    varied = {parameter.path for parameter in load_space("full").parameters}
    assert set(recipe_paths()) - varied == {"model.weights"}  # there is no file that all have


@pytest.mark.parametrize(
    ("space", "names"),
    [
        ("demo", {"default"}),
        ("scratch", {"default", "small_resnet"}),
        ("finetune", {"resnet101_baseline"}),
        ("full", set(recipe_names()) - {"cifar_resnet18"}),  # of 32 px, in batches for a GPU alone
    ],
)
def test_a_shipped_space_holds_the_recipes_that_it_should_learn_from(space: str, names: set[str]) -> None:
    configs = {name: load_trial_config(name) for name in names}
    assert names == {
        name
        for name, config in configs.items()
        if load_space(space).params_of(config.recipe, epochs=config.epochs or 12)
    }
