"""Rules between the fields of a recipe: each told in recipes and in spaces, with place, rule and value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spaces.checks import check_recipe, check_recipe_data
from spaces.faults import SpaceError
from spaces.flat import is_recipe_path, unflatten
from spaces.optimizers import optimizers
from spaces.recipe import Recipe
from spaces.rules import CHECKS, GROUPS
from spaces.space_files import load_space

BROKEN = [
    # values of a recipe, its fault, the place in a space where all of them are parameters
    (
        {"augment.mixup": 0.6, "augment.cutmix": 0.5},
        "augment.cutmix must make at most 1 together with augment.mixup; received 0.5.",
    ),
    (
        {"loss.name": "focal", "augment.mixup": 0.2},
        "augment.mixup must be 0 with loss.name: focal; received 0.2. For soft targets",
    ),
    (
        {"loss.name": "focal", "augment.cutmix": 0.2},
        "augment.cutmix must be 0 with loss.name: focal; received 0.2. For soft targets",
    ),
    (
        {"loss.name": "focal", "loss.label_smoothing": 0.1},
        "loss.label_smoothing must be 0 with loss.name: focal; received 0.1. For soft targets",
    ),
    (
        {"geometry.size_px": 64, "geometry.start_px": 96},
        "geometry.start_px must be at most geometry.size_px; received 96.",
    ),
    (
        {"model.name": "vgg4_cnn", "geometry.start_px": 48},
        "geometry.start_px must be null for vgg4_cnn, which is made for one picture size; received 48.",
    ),
    (
        {"model.name": "vit_tiny_patch16_224", "geometry.start_px": 48},
        "geometry.start_px must be null for vit_tiny_patch16_224, which is made for one picture size",
    ),
    (
        {"model.pretrained": True, "model.weights": "backbone.pth"},
        'model.weights must be null with model.pretrained: true; received "backbone.pth". Drop one',
    ),
    (
        {"model.name": "vit_tiny_patch16_224", "model.stem": "small"},
        'model.stem must be standard for vit_tiny_patch16_224; received "small". It has no early',
    ),
    (
        {"model.name": "small_resnet", "model.stem": "small"},
        'model.stem must be standard for small_resnet; received "small".',
    ),
    (
        {"model.name": "plain_cnn", "model.pool": "avg"},
        'model.pool must be null for plain_cnn; received "avg".',
    ),
    (
        {"model.name": "vit_tiny_patch16_224", "model.pool": "catavgmax"},
        "model.pool must be null or avg or max or avgmax for vit_tiny_patch16_224; received",
    ),
    (
        {"model.name": "plain_cnn", "model.head_dense": 64},
        "model.head_dense must be null for plain_cnn; received 64. Set model.args.dense.",
    ),
    (
        {"model.name": "resnetv2_50", "model.head_dense": 64},
        "model.head_dense must be null for resnetv2_50; received 64. Its head is not a single linear layer.",
    ),
    (
        {"model.name": "plain_cnn", "model.drop_path_rate": 0.1},
        "model.drop_path_rate must be 0 for plain_cnn; received 0.1. It has no stochastic depth.",
    ),
    (
        {"model.name": "densenet121", "model.drop_path_rate": 0.1},
        "model.drop_path_rate must be 0 for densenet121; received 0.1.",
    ),
    (
        {"optim.name": "adamww"},
        "optim.name must be an optimizer of timm.optim that needs neither other packages nor second "
        'derivatives; received "adamww". Did you mean adamw',
    ),
    ({"optim.name": "adahessian"}, 'second derivatives; received "adahessian".'),
    ({"optim.name": "qqqqqqqq"}, "They are in spaces/catalogue/optimizers.csv."),
]
SOUND: list[dict[str, Any]] = [
    {"augment.mixup": 0.7, "augment.cutmix": 0.3},
    {"loss.name": "focal"},
    {"loss.name": "sigmoid", "augment.mixup": 0.3, "loss.label_smoothing": 0.1},
    {"geometry.size_px": 64, "geometry.start_px": 64},
    {
        "model.name": "small_resnet",
        "geometry.start_px": 32,
        "model.pool": "catavgmax",
        "model.head_dense": 64,
    },
    {
        "model.name": "resnet50.a1_in1k",
        "model.stem": "small",
        "model.pool": "avgmax",
        "model.drop_path_rate": 0.1,
    },
    {"model.name": "efficientnet_b0", "model.stem": "small", "model.head_dense": 16, "geometry.start_px": 32},
    {"model.name": "vit_tiny_patch16_224", "model.pool": "avg", "model.drop_path_rate": 0.1},
    {"model.name": "resnet18", "model.weights": "backbone.pth"},
    {"model.name": "small_resnet", "model.weights": "results/pretrained/model"},
    {"optim.name": "lamb"},
    {"optim.name": "sgd", "optim.momentum": 0.0},
]


def of(values: dict[str, Any]) -> dict[str, Any]:
    return unflatten({"model.name": "resnet18", "geometry.size_px": 64, **values})


def number(value: Any) -> bool:
    return isinstance(value, float) and value > 0


def space_of(tmp_path: Path, values: dict[str, Any]) -> str:
    """A space whose parameters reach the values: numbers as the ends of ranges, others as they are."""
    path = tmp_path / "own.yaml"
    lines = []
    for name, value in {"model.name": "resnet18", **values}.items():
        domain = {"float": [0.0, value]} if number(value) else {"fixed": value}
        lines.append(f"  {name}: {json.dumps(domain)}\n")
    path.write_text("base: {geometry: {size_px: 64}}\nparameters:\n" + "".join(lines))
    return str(path)


@pytest.mark.parametrize(("values", "message"), BROKEN)
def test_a_broken_rule_is_told_once_with_place_and_value(values: dict[str, Any], message: str) -> None:
    (fault,) = check_recipe_data(of(values))
    assert message in str(fault)


@pytest.mark.parametrize(("values", "message"), BROKEN)
def test_a_space_that_can_break_a_rule_is_told_with_the_place_in_its_file(
    values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SpaceError) as error:
        load_space(space_of(tmp_path, values))
    title, *faults = str(error.value).splitlines()
    assert title.endswith("own.yaml: 1 fault")
    broken, _, rest = message.partition(" ")
    told = faults[0].replace(".float", "").replace(".fixed", "")
    assert rest.split("; received")[0] in told
    if broken in values:
        assert f"own.yaml:{3 + list({'model.name': 0, **values}).index(broken)}: parameters.{broken}" in told


@pytest.mark.parametrize("values", SOUND)
def test_what_keeps_the_rules_is_no_fault(values: dict[str, Any], tmp_path: Path) -> None:
    assert check_recipe_data(of(values)) == []
    assert load_space(space_of(tmp_path, values)).parameters


def test_the_users_own_networks_may_take_anything() -> None:
    settings = {"stem": "small", "pool": "max", "head_dense": 8, "drop_path_rate": 0.1, "pretrained": True}
    own = Recipe.model_validate({"model": {"name": "mine", **settings}, "geometry": {"start_px": 32}})
    assert check_recipe(own, ["mine"]) == []
    assert {fault.place for fault in check_recipe(own)} == {("model", "name")}


@pytest.mark.parametrize("argument", ["drop_path_rate", "global_pool", "stem", "head_dense", "backbone"])
def test_what_a_recipe_says_elsewhere_is_no_argument(argument: str) -> None:
    (fault,) = check_recipe_data(of({f"model.args.{argument}": 0.1}))
    assert str(fault).startswith(
        f"model.args.{argument} is not an argument to give here; received 0.1. Set model."
    )


def test_every_group_names_values_of_a_recipe_and_every_rule_is_in_a_group() -> None:
    for group in GROUPS:
        assert all(is_recipe_path(path) or path == "model.args." for path in group.paths)
    assert set(CHECKS) == {group.check for group in GROUPS}
    assert len(CHECKS) == len(set(CHECKS))


def test_a_rule_looks_at_nothing_but_the_values_that_its_group_names() -> None:
    """Else a space would be checked at the defaults of what it varies."""
    for values, _ in BROKEN:
        whole = {"model.name": "resnet18", "geometry.size_px": 64, **values}
        found = set()
        for group in GROUPS:
            seen = {name: value for name, value in whole.items() if name in group.among(whole)}
            recipe = Recipe.model_validate(unflatten({"model.name": "any", **seen}))
            found |= {str(fault) for fault in group.check(recipe, ["any"])}
        assert found == {str(fault) for fault in check_recipe_data(of(values))}


def test_many_parameters_that_no_rule_combines_make_few_combinations(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        """
parameters:
  model.name: {choice: ['resnet??', resnet101, resnet152]}
  model.stem: {choice: [standard, small], when: {model.name: resnet18}}
  model.pool: {choice: [null, avg, max, avgmax]}
  model.drop_path_rate: {float: [0, 0.2]}
  model.pretrained: {fixed: false}
  geometry.size_px: {choice: [64, 96, 128, 160, 192, 224]}
  geometry.start_px: {choice: [null, 32, 48, 64]}
  augment.mixup: {choice: [0.0, 0.1, 0.2, 0.3]}
  augment.cutmix: {choice: [0.0, 0.1, 0.2, 0.3]}
  loss.label_smoothing: {choice: [0.0, 0.1, 0.2]}
  optim.name: {choice: [adamw, sgd, lamb, lion, nadamw, adan]}
"""
    )
    assert len(load_space(path).parameters) == 11


def test_a_fault_of_many_networks_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "parameters:\n  model.name: {choice: ['vgg1?', resnet18]}\n"
        "  model.drop_path_rate: {float: [0, 0.2]}\n"
    )
    with pytest.raises(SpaceError) as error:
        load_space(tmp_path / "own.yaml")
    (told,) = error.value.faults
    assert str(told) == (
        "parameters.model.drop_path_rate.float must be 0 for vgg11; received 0.2. "
        "It has no stochastic depth. The same goes for vgg13, vgg16, vgg19."
    )


def test_the_optimizers_are_those_of_timm_and_say_whether_they_have_momentum() -> None:
    known = optimizers()
    assert {"adam", "adamw", "sgd", "momentum", "lamb", "lion", "nadamw", "adan", "rmsprop"} <= known.keys()
    assert not any(name.startswith(("bnb", "fused")) for name in known)
    assert known["sgd"]
    assert not known["adamw"]
