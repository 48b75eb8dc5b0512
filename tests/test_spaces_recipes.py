"""Recipes and their files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from spaces.checks import check_recipe, check_recipe_data
from spaces.errors import InputError
from spaces.families import FAMILIES, Whole
from spaces.faults import SpaceError
from spaces.flat import flatten, is_recipe_path, recipe_paths, unflatten
from spaces.recipe import Recipe
from spaces.recipe_files import RECIPES, TrialConfig, load_recipe, load_trial_config, recipe_names
from spaces.timm_names import timm_models
from spaces.yaml_files import dump_yaml, parse_yaml


def recipe(name: str = "plain_cnn", size_px: int = 64, **model: Any) -> Recipe:
    return Recipe.model_validate({"model": {"name": name, **model}, "geometry": {"size_px": size_px}})


def faults(given: Recipe, extra_models: tuple[str, ...] = ()) -> list[str]:
    return [str(fault) for fault in check_recipe(given, extra_models)]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", recipe_names())
def test_a_built_in_recipe_loads_opens_with_its_story_and_round_trips(name: str) -> None:
    loaded = load_recipe(name)
    assert Recipe.model_validate(parse_yaml(dump_yaml(loaded.to_dict()), "f").data) == loaded
    lines = (RECIPES / f"{name}.yaml").read_text().splitlines()
    opening = "\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    for word in (f"python -m search.train {name} ", "cost:", "accuracy:"):
        assert word in opening


def test_the_recipes_of_the_hand_tuned_projects_are_there() -> None:
    assert set(recipe_names()) == {
        "default",
        "small_resnet",
        "cifar_resnet18",
        "plain_cnn",
        "vgg4_cnn",
        "mini_xception",
        "binary_cnn",
        "resnet50_transfer",
        "resnet101_baseline",
        "resnet101_strong",
    }


def test_the_strong_plan_is_the_baseline_and_its_ingredients_and_no_more() -> None:
    baseline, strong = (
        flatten(load_recipe(f"resnet101_{plan}").to_dict()) for plan in ("baseline", "strong")
    )
    assert baseline["optim.lr"] == 2e-4
    assert (baseline["optim.weight_decay"], baseline["optim.batch_size"]) == (3e-4, 16)
    assert (baseline["freeze.epoch"], baseline["freeze.then"]) == (5, "last_stage")
    assert (baseline["schedule.name"], baseline["keep"]) == ("plateau", "best")
    differs = {path: value for path, value in strong.items() if value != baseline[path]}
    policy = {path: value for path, value in differs.items() if path.startswith("augment.strong.")}
    for path in policy:
        del differs[path]
    assert differs == {
        "augment.strong_share": 0.7,
        "augment.background": 0.35,
        "augment.mixup": 0.25,
        "augment.cutmix": 0.25,
        "optim.backbone_lr_mult": 0.1,
        "loss.label_smoothing": 0.03,
        "ema.decay": 0.999,
    }
    assert (strong["optim.head_lr_mult"], strong["augment.strong_by"]) == (1.0, "policy")
    for kind in (
        "crop",
        "rotate_deg",
        "perspective",
        "elastic",
        "grayscale",
        "invert",
        "solarize",
        "blur",
        "erase",
    ):
        assert strong[f"augment.strong.{kind}"] > 0


@pytest.mark.parametrize(
    ("name", "epochs"),
    [("binary_cnn", 50), ("resnet50_transfer", 30), ("resnet101_baseline", 25), ("resnet101_strong", 25)],
)
def test_a_recipe_says_its_length(name: str, epochs: int) -> None:
    assert load_trial_config(name).epochs == epochs


def test_the_binary_recipe_is_the_one_described() -> None:
    recipe = load_recipe("binary_cnn")
    assert (recipe.loss.name, recipe.optim.name, recipe.optim.batch_size) == ("sigmoid", "adam", 8)
    assert (recipe.steps_per_epoch, recipe.geometry.size_px) == (10, 64)
    assert recipe.augment.shear_deg > 0
    assert recipe.augment.zoom > 0
    assert recipe.augment.flip > 0
    assert recipe.augment.rotate_deg == recipe.augment.shift == recipe.augment.brightness == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optim": {"lr": True}}, "optim.lr must be a number; received true"),
        ({"optim": {"batch_size": 64.0}}, "optim.batch_size must be a whole number; received 64.0"),
        ({"optim": {"batch_size": "64"}}, 'optim.batch_size must be a whole number; received "64"'),
        ({"optim": {"lr": 0}}, "optim.lr must be over 0; received 0"),
        ({"optim": {"batch_size": 1}}, "optim.batch_size must be at least 2; received 1"),
        ({"optim": {"layer_decay": 1e-300}}, "optim.layer_decay must be at least 0.1; received 1e-300"),
        ({"optim": {"lr": float("inf")}}, "optim.lr must be finite; received Infinity"),
        ({"loss": {"label_smoothing": 1.2}}, "loss.label_smoothing must be under 1; received 1.2"),
        ({"augment": {"flip": -0.5}}, "augment.flip must be at least 0; received -0.5"),
        ({"geometry": {"size_px": 2000}}, "geometry.size_px must be at most 1024; received 2000"),
        ({"geometry": 32}, "geometry must be a mapping; received 32"),
        ({"schedule": {"name": "cosin"}}, r'must be .*cosine.*; received "cosin". Did you mean cosine\?'),
        ({"optim": {"lrr": 1}}, r"optim.lrr is not a field here; received 1. Did you mean lr\?"),
        ({"optimm": {}}, r"optimm is not a field here; received {}. Did you mean optim\?"),
        ({"model": {}}, "model.name is required"),
        ({"model": {"name": "plain_cnn", "args": {"width": [1]}}}, r"width must be .*text; received \[1\]"),
        ({"ema": {"decay": 1.0}}, "ema.decay must be under 1; received 1.0"),
    ],
)
def test_a_wrong_field_is_told_with_place_rule_and_value(changes: dict[str, Any], message: str) -> None:
    found = check_recipe_data({"model": {"name": "plain_cnn"}, **changes})
    assert len(found) == 1
    with pytest.raises(SpaceError, match=message):
        raise SpaceError("f", found)


def test_a_recipe_file_tells_all_its_faults_with_their_lines(tmp_path: Path) -> None:
    text = "model:\n  name: resnet1\n  drop_rate: 2\noptim:\n  lr: -1\n  lrr: 3\nepochs: 3\n"
    with pytest.raises(SpaceError) as error:
        load_recipe(write(tmp_path / "r.yaml", text))
    lines = str(error.value).splitlines()
    assert lines[0].endswith("r.yaml: 5 faults")
    for line, words in zip(
        lines[1:],
        ["r.yaml:2: model.name", "r.yaml:3: model.drop_rate", "r.yaml:5: optim.lr", "r.yaml:6:", "r.yaml:7:"],
        strict=True,
    ):
        assert words in line


def test_a_trial_file_tells_all_its_faults(tmp_path: Path) -> None:
    text = "epochs: 0\nseed: 1.5\nlr_scale: null\nrecipe:\n  model: {name: resnt18, drop_rate: 2}\n"
    path = write(tmp_path / "t.yaml", text)
    with pytest.raises(SpaceError) as error:
        load_trial_config(path)
    message = str(error.value)
    assert "t.yaml:1: epochs must be at least 1; received 0" in message
    assert "t.yaml:2: seed must be a whole number; received 1.5" in message
    assert "t.yaml:3: lr_scale is not a field here; received null. Did you mean lr_scales?" in message
    assert "t.yaml:5: recipe.model.drop_rate must be under 1; received 2" in message
    assert "t.yaml:5: recipe.model.name must be a network of ours" in message
    assert 'received "resnt18"' in message
    assert "Did you mean resnet18" in message
    assert message.startswith(f"{path}: 5 faults")


@pytest.mark.parametrize("given", ["recipe: 3", "recipe: null", "recipe: {}"])
def test_a_trial_file_without_a_recipe_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(SpaceError, match="recipe"):
        load_trial_config(write(tmp_path / "t.yaml", given))


def test_a_trial_file_reads_back_exactly(tmp_path: Path) -> None:
    config = TrialConfig(
        epochs=9, seed=7, lr_scales=(1.0, 0.1 + 0.2, 1e-5), recipe=load_recipe("mini_xception")
    )
    path = tmp_path / "best_config.yaml"
    config.save(path, comment="trial 3 of a search\n\nvalidation accuracy 0.91")
    assert load_trial_config(path) == config
    assert load_recipe(path) == config.recipe
    assert path.read_text().startswith("# trial 3 of a search\n#\n# validation accuracy 0.91\nepochs: 9\n")


def test_a_bare_recipe_is_a_trial_file_that_says_no_more(tmp_path: Path) -> None:
    config = load_trial_config(write(tmp_path / "r.yaml", "model: {name: plain_cnn}\n"))
    assert (config.epochs, config.seed, config.lr_scales) == (None, 0, None)
    assert config.recipe == recipe("plain_cnn")


def test_an_unknown_recipe_name_lists_what_exists() -> None:
    with pytest.raises(SpaceError, match=r"Did you mean plain_cnn.*There are: .*default, .*vgg4_cnn"):
        load_recipe("plain_cn")


def test_known_networks_pass_and_others_get_near_misses() -> None:
    for name in (*FAMILIES, "resnet50", "resnet50.a1_in1k", "vit_small_patch16_224"):
        assert faults(recipe(name)) == []
    assert "Did you mean resnet50" in faults(recipe("resnt50"))[0]
    assert "Did you mean mini_xception" in faults(recipe("minixception"))[0]
    assert "--import MODULE" in faults(recipe("qqqqqqqq"))[0]
    assert "There are: a1_in1k" in faults(recipe("resnet50.nope"))[0]
    assert "or have no dot" in faults(recipe("resnet50.nope"))[0]


def test_the_users_own_networks_are_known_and_take_any_arguments() -> None:
    own = recipe("my_net", args={"anything": 3})
    assert faults(own, ("my_net",)) == []
    assert "must be a network" in faults(own)[0]
    assert "Did you mean my_net?" in faults(recipe("my_nett"), ("my_net",))[0]


def test_pretrained_weights_must_exist() -> None:
    without = next(model.name for model in timm_models().values() if not model.tags)
    assert faults(recipe("resnet18", pretrained=True)) == []
    assert "no pretrained weights for plain_cnn" in faults(recipe("plain_cnn", pretrained=True))[0]
    assert f"no pretrained weights for {without}" in faults(recipe(without, pretrained=True))[0]


def test_arguments_that_a_recipe_says_elsewhere_are_refused() -> None:
    for name in ("num_classes", "drop_rate", "checkpoint_path", "img_size", "pretrained_cfg"):
        (message,) = faults(recipe("resnet18", args={name: 3}))
        assert message.startswith(f"model.args.{name} is not an argument to give here")


def test_arguments_of_our_networks_are_checked() -> None:
    found = faults(recipe("plain_cnn", args={"width": 4, "blocks": 2.0, "batch_norm": 1, "widht": 3}))
    assert "model.args.width must be from 8 to 256 for plain_cnn; received 4." in found
    assert "model.args.blocks must be a whole number for plain_cnn; received 2.0." in found
    assert "model.args.batch_norm must be true or false for plain_cnn; received 1." in found
    unknown = "model.args.widht is not an argument of plain_cnn. Did you mean width?"
    assert any(unknown in message for message in found)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("name", "args", "least"),
    [
        ("plain_cnn", {}, 16),
        ("plain_cnn", {"blocks": 5}, 64),
        ("vgg4_cnn", {}, 46),
        ("mini_xception", {}, 32),
    ],
)
def test_a_picture_must_be_large_enough_for_the_network(name: str, args: dict[str, int], least: int) -> None:
    assert faults(recipe(name, size_px=least, args=args)) == []
    if least > 16:
        message = f"geometry.size_px must be at least {least} for {name}; received {least - 1}."
        assert faults(recipe(name, size_px=least - 1, args=args)) == [message]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_our_networks_run_at_the_least_size_and_take_the_arguments_that_are_listed(name: str) -> None:
    torch = pytest.importorskip("torch")
    from trainables.models.create import create_model

    family = FAMILIES[name]
    small = {key: rule.low if isinstance(rule, Whole) else True for key, rule in family.args.items()}
    for args in ({}, small):
        least = max(16, family.min_px(family.with_defaults(args)))
        net = create_model(recipe(name, size_px=least, args=args), num_classes=3).eval()
        assert net(torch.zeros(2, 3, least, least)).shape == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_defaults_that_are_listed_are_the_networks_own(name: str) -> None:
    pytest.importorskip("torch")
    from trainables.models.create import create_model

    bare = create_model(recipe(name), num_classes=3)
    told = create_model(recipe(name, args=FAMILIES[name].with_defaults({})), num_classes=3)
    shapes = [[tuple(value.shape) for value in net.state_dict().values()] for net in (bare, told)]
    assert shapes[0] == shapes[1]


def test_flat_and_nested_values_are_the_same_thing() -> None:
    nested = load_recipe("plain_cnn").to_dict()
    flat = flatten(nested)
    assert flat["optim.lr"] == 1e-3
    assert flat["model.args.width"] == 32
    assert unflatten(flat) == nested


def test_dotted_names_are_those_of_a_recipes_fields() -> None:
    fields = set(flatten(recipe().to_dict()))
    assert set(recipe_paths()) == fields
    assert is_recipe_path("model.args.anything")
    assert not is_recipe_path("model.args")
    assert not is_recipe_path("model.args.a.b")
    assert not is_recipe_path("optim")


def test_a_recipe_at_another_length_keeps_its_share_of_frozen_epochs() -> None:
    given = Recipe.model_validate({"model": {"name": "resnet18"}, "freeze": {"epoch": 5}})
    assert given.rescaled(20, 40).freeze.epoch == 10
    assert given.rescaled(20, 40).optim == given.optim


@pytest.mark.parametrize(
    ("frozen", "epochs", "length", "expected"),
    [
        (1, 25, 8, 1),  # a third of an epoch: the head still comes first
        (24, 25, 8, 7),  # and what follows does still follow
        (5, 25, 2, 1),
        (5, 25, 1, 0),
        (1, 2, 1, 0),
        (0, 25, 100, 0),
        (25, 25, 8, 8),  # the head alone, on purpose
        (25, 25, 1, 1),
        (5, 25, 25, 5),
    ],
)
def test_both_parts_of_a_freeze_plan_are_left_at_least_an_epoch(
    frozen: int, epochs: int, length: int, expected: int
) -> None:
    given = Recipe.model_validate({"model": {"name": "resnet18"}, "freeze": {"epoch": frozen}})
    assert given.rescaled(epochs, length).freeze.epoch == expected


def test_a_freeze_plan_longer_than_the_training_is_refused() -> None:
    given = Recipe.model_validate({"model": {"name": "resnet18"}, "freeze": {"epoch": 6}})
    with pytest.raises(
        InputError, match=r"freeze.epoch must be at most the 5 epochs of the training; received 6"
    ):
        given.rescaled(5, 5)


@pytest.mark.parametrize("path", ["", "a\0b", "~nobody-of-this-name/w.pth", "x" * 5000])
def test_what_is_no_path_of_weights_is_refused(path: str) -> None:
    (fault,) = check_recipe_data({"model": {"name": "resnet18", "weights": path}})
    assert str(fault).startswith("model.weights must be the path of a file or folder")
    assert len(str(fault)) < 250
