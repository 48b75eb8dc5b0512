"""Search spaces: how parameters become recipes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from spaces.checks import check_recipe
from spaces.recipe import Recipe
from spaces.space import Space
from spaces.space_files import BUILT_IN, load_space, space_names
from spaces.yaml_files import parse_yaml

optuna.logging.set_verbosity(optuna.logging.WARNING)
EPOCHS = 12


@pytest.fixture
def space_of(tmp_path: Path) -> Any:
    def make(text: str, **keywords: Any) -> Space:
        path = tmp_path / "own.yaml"
        path.write_text(text)
        return load_space(path, **keywords)

    return make


def samples(space: Space, count: int = 200) -> list[tuple[dict[str, Any], Recipe]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = []
    for _ in range(count):
        trial = study.ask()
        recipe = space.suggest(trial, epochs=EPOCHS)
        drawn.append((trial.params, recipe))
    return drawn


SMALL = """
base:
  model: {name: plain_cnn}
  geometry: {size_px: 32}
parameters:
"""


def test_the_built_in_spaces_are_there() -> None:
    assert space_names() == ["demo", "finetune", "full", "scratch"]


@pytest.mark.parametrize("name", space_names())
def test_a_built_in_space_opens_with_its_story(name: str) -> None:
    opening = (BUILT_IN / f"{name}.yaml").read_text().split("\ndescription:")[0]
    assert all(line.startswith("#") for line in opening.splitlines())
    for word in (f"python -m search.run --space {name}", "cost:", "accuracy:"):
        assert word in opening


@pytest.mark.parametrize("name", space_names())
def test_a_built_in_space_yields_valid_recipes(name: str) -> None:
    space = load_space(name)
    drawn = samples(space)
    for _, recipe in drawn:
        assert check_recipe(recipe) == []
    # What a space says of itself is just what its recipes have.
    assert {recipe.model.name for _, recipe in drawn} == set(space.model_names())
    assert {recipe.geometry.size_px for _, recipe in drawn} == set(space.sizes_px())


@pytest.mark.parametrize("name", space_names())
def test_recorded_parameters_give_the_same_recipe_and_go_back_into_a_study(name: str) -> None:
    space = load_space(name)
    study = optuna.create_study()
    for params, recipe in samples(space):
        recorded = json.loads(json.dumps(params))
        assert space.recipe(recorded, epochs=EPOCHS) == recipe
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                value=0.0,
                params=recorded,
                distributions=space.distributions(recorded),
            )
        )
    assert len(study.trials) == 200


@pytest.mark.parametrize("name", space_names())
def test_the_distributions_are_those_that_the_trials_were_drawn_from(name: str) -> None:
    space = load_space(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(50):
        trial = study.ask()
        space.suggest(trial, epochs=EPOCHS)
        assert space.distributions(trial.params) == trial.distributions


@pytest.mark.parametrize("name", space_names())
def test_a_recipe_round_trips_through_yaml_and_json(name: str) -> None:
    from spaces.yaml_files import dump_yaml

    for _, recipe in samples(load_space(name)):
        assert Recipe.model_validate(parse_yaml(dump_yaml(recipe.to_dict()), "f").data) == recipe
        assert Recipe.model_validate(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize("name", space_names())
def test_a_space_written_out_loads_as_the_same_space(name: str, space_of: Any) -> None:
    space = load_space(name)
    again = space_of(space.to_yaml())
    assert again.to_dict() == space.to_dict()
    assert json.loads(json.dumps(space.to_dict())) == space.to_dict()
    assert samples(again, 50) == samples(space, 50)


def test_a_space_that_differs_in_what_matters_is_not_equal(space_of: Any) -> None:
    first = space_of(SMALL + "  optim.lr: {log: [1e-4, 1e-2]}\n")
    renamed = space_of("description: other words\n" + SMALL + "  optim.lr: {log: [1e-4, 0.01]}\n")
    wider = space_of(SMALL + "  optim.lr: {log: [1e-4, 1e-1]}\n")
    assert first.to_dict() == renamed.to_dict()
    assert first.to_dict() != wider.to_dict()


def test_every_kind_of_domain_stays_within_its_bounds(space_of: Any) -> None:
    space = space_of(
        SMALL
        + """
  loss.label_smoothing: {float: [0, 0.2]}
  augment.strength: {float: [0, 1], step: 0.25}
  model.args.width: {int: [16, 64], step: 16}
  model.args.dense: {int: [100, 102]}
  optim.lr: {log: [1e-4, 1e-2]}
  ema.decay: {choice: [null, 0.9]}
  augment.flip: {fixed: 0}
"""
    )
    recipes = [recipe for _, recipe in samples(space, 300)]
    assert all(0 <= recipe.loss.label_smoothing <= 0.2 for recipe in recipes)
    assert {recipe.augment.strength for recipe in recipes} == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert {recipe.model.args["width"] for recipe in recipes} == {16, 32, 48, 64}
    assert {recipe.model.args["dense"] for recipe in recipes} == {100, 101, 102}
    assert {recipe.ema.decay for recipe in recipes} == {None, 0.9}
    assert {recipe.augment.flip for recipe in recipes} == {0.0}
    # On a logarithmic scale half of the draws are under the geometric mean.
    assert 100 < sum(recipe.optim.lr < 1e-3 for recipe in recipes) < 200
    assert all(1e-4 <= recipe.optim.lr <= 1e-2 for recipe in recipes)


def test_a_parameter_is_drawn_only_when_all_its_conditions_hold(space_of: Any) -> None:
    space = space_of(
        """
base: {model: {args: {dense: 64}}, optim: {weight_decay: 0.5}}
parameters:
  optim.weight_decay:
    {float: [0, 0.1], when: {model.name: [vgg4_cnn, plain_cnn], model.args.batch_norm: true}}
  model.args.batch_norm: {choice: [true, false], when: {model.name: [vgg4_cnn, mini_xception]}}
  model.name: {choice: [plain_cnn, vgg4_cnn, mini_xception]}
"""
    )
    for params, recipe in samples(space):
        normed = recipe.model.args.get("batch_norm") is True
        assert ("model.args.batch_norm" in params) == (recipe.model.name != "plain_cnn")
        assert ("optim.weight_decay" in params) == (recipe.model.name == "vgg4_cnn" and normed)
        # Where it is not active the base's value stands.
        assert (recipe.optim.weight_decay == 0.5) == ("optim.weight_decay" not in params)
        assert recipe.model.args["dense"] == 64
    assert space.parameters[0].path == "model.name"


def test_a_condition_may_look_at_the_base_and_at_defaults(space_of: Any) -> None:
    space = space_of(
        SMALL
        + """
  augment.erase: {float: [0.1, 0.2], when: {geometry.size_px: 32, schedule.name: cosine, ema.decay: null}}
"""
    )
    assert all(recipe.augment.erase >= 0.1 for _, recipe in samples(space, 20))


def test_true_and_one_are_told_apart_by_conditions(space_of: Any) -> None:
    space = space_of(
        """
base: {model: {name: mine}}
parameters:
  model.args.flag: {choice: [true, false]}
  model.args.depth: {choice: [0, 1]}
  augment.flip: {fixed: 0.25, when: {model.args.flag: true}}
  augment.erase: {fixed: 0.25, when: {model.args.depth: 1}}
""",
        extra_models=["mine"],
    )
    for params, recipe in samples(space, 50):
        assert (recipe.augment.flip == 0.25) == params["model.args.flag"]
        assert (recipe.augment.erase == 0.25) == (params["model.args.depth"] == 1)
        assert isinstance(recipe.model.args["flag"], bool)


def test_alternatives_have_own_names_and_ranges(space_of: Any) -> None:
    space = space_of(
        """
base: {geometry: {size_px: 48}}
parameters:
  model.name: {choice: [plain_cnn, mini_xception, vgg4_cnn]}
  optim.lr:
    - {log: [1e-3, 1e-2], when: {model.name: plain_cnn}}
    - {log: [1e-5, 1e-4], when: {model.name: [mini_xception]}}
    - {fixed: 0.5, when: {model.name: vgg4_cnn}}
"""
    )
    seen: Counter[str] = Counter()
    for params, recipe in samples(space):
        seen[recipe.model.name] += 1
        expected, low, high = {
            "plain_cnn": ({"optim.lr@1"}, 1e-3, 1e-2),
            "mini_xception": ({"optim.lr@2"}, 1e-5, 1e-4),
            "vgg4_cnn": (set(), 0.5, 0.5),
        }[recipe.model.name]
        assert set(params) - {"model.name"} == expected
        assert low <= recipe.optim.lr <= high
    assert len(seen) == 3


def test_a_share_becomes_the_nearest_epoch_of_the_full_length(space_of: Any) -> None:
    space = space_of(SMALL + "  freeze.epoch: {share: [0, 0.5]}\n")
    assert space.recipe({"freeze.epoch": 0.3}, epochs=20).freeze.epoch == 6
    assert space.recipe({"freeze.epoch": 0.3}, epochs=4).freeze.epoch == 1
    assert space.recipe({"freeze.epoch": 0.0}, epochs=20).freeze.epoch == 0
    assert {recipe.freeze.epoch for _, recipe in samples(space)} == set(range(7))


def test_a_share_can_be_one_value(space_of: Any) -> None:
    space = space_of(SMALL + "  freeze.epoch: {share: [0.25, 0.25]}\n")
    assert {recipe.freeze.epoch for _, recipe in samples(space, 5)} == {3}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"optim.lr": 0.001}, "augment.flip must be given for space own"),
        ({"optim.lr": 0.001, "augment.flip": 0.5, "x": 1}, "x must be a parameter of space own: optim.lr, "),
        ({"optim.lr": 1.0, "augment.flip": 0.5}, "optim.lr must be of .* in space own; received 1.0"),
        ({"optim.lr": "a", "augment.flip": 0.5}, "optim.lr must be of .* received 'a'"),
        ({"optim.lr": 0.001, "augment.flip": 0.7}, "augment.flip must be of .* received 0.7"),
        (
            {"optim.lr": 1e-3, "augment.flip": 0.5, "augment.erase": 0.5},
            "'augment.erase'.* must not be given",
        ),
    ],
)
def test_parameters_of_another_space_are_refused(space_of: Any, params: dict[str, Any], message: str) -> None:
    space = space_of(
        SMALL
        + """
  optim.lr: {log: [1e-4, 1e-2]}
  augment.flip: {choice: [0.0, 0.5]}
  augment.erase: {float: [0, 1], when: {augment.flip: 0.0}}
"""
    )
    with pytest.raises(ValueError, match=message):
        space.recipe(params, epochs=5)


def test_sizes_are_those_that_recipes_can_have_and_no_others(space_of: Any) -> None:
    space = space_of(
        """
base: {geometry: {size_px: 512}}
parameters:
  model.name: {choice: [plain_cnn, vgg4_cnn]}
  geometry.size_px:
    - {int: [32, 40], step: 4, when: {model.name: plain_cnn}}
    - {choice: [48, 64], when: {model.name: vgg4_cnn}}
"""
    )
    # The base's 512 never stands.
    assert space.sizes_px() == [32, 36, 40, 48, 64]
    assert space.model_names() == ["plain_cnn", "vgg4_cnn"]


@pytest.mark.parametrize("name", space_names())
def test_the_parameters_of_a_recipe_of_the_space_are_found_again(name: str) -> None:
    space = load_space(name)
    for params, recipe in samples(space):
        found = space.params_of(recipe, epochs=EPOCHS)
        assert found is not None
        assert space.recipe(found, epochs=EPOCHS) == recipe
        # A share that was rounded to an epoch comes back as another share of the same epoch.
        differs = {key for key in params if found[key] != params[key]}
        assert set(found) == set(params)
        assert differs <= {"freeze.epoch"}


INVERTED = """
base: {geometry: {size_px: 48}, model: {args: {dense: 128}}}
parameters:
  model.name: {choice: [plain_cnn, vgg4_cnn]}
  model.args.batch_norm: {choice: [true, false]}
  model.args.width: {int: [16, 32], step: 8, when: {model.name: plain_cnn}}
  augment.flip: {choice: [0, 0.5]}
  augment.erase: {float: [0, 1], step: 0.25}
  ema.decay: {choice: [null, 0.9]}
  freeze.epoch: {share: [0.25, 0.5]}
  optim.lr:
    - {log: [1e-3, 1e-2], when: {model.name: plain_cnn}}
    - {fixed: 0.5, when: {model.name: vgg4_cnn}}
"""
INSIDE = {
    "model": {"name": "plain_cnn", "args": {"width": 24, "batch_norm": True}},
    "geometry": {"size_px": 48},
    "augment": {"flip": 0.0, "erase": 0.75},
    "freeze": {"epoch": 4},
    "optim": {"lr": 0.01},
}


def changed(recipe: dict[str, Any], path: str, value: Any) -> Recipe:
    section, _, rest = path.partition(".")
    *between, last = rest.split(".")
    made = json.loads(json.dumps(recipe))
    place = made.setdefault(section, {})
    for key in between:
        place = place[key]
    place[last] = value
    return Recipe.model_validate(made)


def test_a_recipe_that_somebody_wrote_is_found_in_the_space(space_of: Any) -> None:
    space = space_of(INVERTED)
    found = space.params_of(Recipe.model_validate(INSIDE), epochs=EPOCHS)
    # Its `dense` of 128 is the network's own default, which the base names.
    assert found == {
        "model.name": "plain_cnn",
        "model.args.batch_norm": True,
        "model.args.width": 24,
        "augment.flip": 0,
        "augment.erase": 0.75,
        "ema.decay": None,
        "freeze.epoch": pytest.approx(4 / 12),
        "optim.lr@1": 0.01,
    }
    assert space.distributions(found)
    assert space.recipe(found, epochs=EPOCHS).freeze.epoch == 4


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.name", "mini_xception"),  # another choice
        ("model.name", "vgg4_cnn"),  # whose rate is fixed, and which has no width to choose
        ("model.args.width", 26),  # between the steps
        ("model.args.width", 40),
        ("model.args.dense", 64),  # no parameter, and not the base's
        ("model.drop_rate", 0.1),
        ("augment.erase", 0.7),
        ("augment.flip", 0.25),
        ("ema.decay", 0.99),
        ("optim.lr", 0.011),
        ("freeze.epoch", 2),  # under a quarter of the length
        ("freeze.epoch", 7),
        ("schedule.name", "constant"),
    ],
)
def test_a_recipe_with_one_value_outside_is_not_in_the_space(space_of: Any, path: str, value: Any) -> None:
    assert space_of(INVERTED).params_of(changed(INSIDE, path, value), epochs=EPOCHS) is None


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (  # which is in the space: what lies outside is what depends on it
            "model.name",
            "vgg4_cnn",
            ["model.args.dense 1024 (only 128)", "model.args.width 24 (only 32)", "optim.lr 0.01 (only 0.5)"],
        ),
        ("model.args.width", 26, ["model.args.width 26 (16 to 32 in steps of 8)"]),
        ("model.drop_rate", 0.1, ["model.drop_rate 0.1 (only 0.0)"]),
        ("ema.decay", 0.99, ["ema.decay 0.99 (null, 0.9)"]),
        ("optim.lr", 0.5, ["optim.lr 0.5 (0.001 to 0.01)"]),
        ("freeze.epoch", 2, ["freeze.epoch 2 (0.25 to 0.5 of the training)"]),
        ("schedule.name", "constant", ['schedule.name "constant" (only "cosine")']),
        ("optim.batch_size", 64, []),
    ],
)
def test_the_values_outside_of_a_space_are_told_with_what_it_gives(
    space_of: Any, path: str, value: Any, told: list[str]
) -> None:
    assert space_of(INVERTED).outside(changed(INSIDE, path, value), epochs=EPOCHS) == told


def test_a_recipe_without_a_value_that_is_always_drawn_is_not_in_the_space(space_of: Any) -> None:
    space = space_of(
        "base: {model: {name: mine}}\nparameters: {model.args.depth: {choice: [0, 1]}}", extra_models=["mine"]
    )
    recipe = {"model": {"name": "mine"}}
    assert space.params_of(Recipe.model_validate(recipe), epochs=EPOCHS) is None
    of_depth = {"model": {"name": "mine", "args": {"depth": 1}}}
    assert space.params_of(Recipe.model_validate(of_depth), epochs=EPOCHS) == {"model.args.depth": 1}
    assert space.params_of(changed(of_depth, "model.args.depth", True), epochs=EPOCHS) is None


def test_a_share_is_found_for_any_length_of_the_trial(space_of: Any) -> None:
    space = space_of(SMALL + "  freeze.epoch: {share: [0.1, 0.4]}\n")
    for epochs in range(5, 60):
        for epoch in {round(share * epochs) for share in (0.1, 0.17, 0.25, 0.33, 0.4)}:
            recipe = changed({"model": {"name": "plain_cnn"}}, "freeze.epoch", epoch)
            recipe = Recipe.model_validate({**recipe.to_dict(), "geometry": {"size_px": 32}})
            found = space.params_of(recipe, epochs=epochs)
            assert found is not None
            assert space.recipe(found, epochs=epochs) == recipe


def test_values_can_be_taken_out_wherever_there_are_others(space_of: Any) -> None:
    def without(*lost: Any) -> Space:
        return space.without(lambda parameter, value: parameter.path != "augment.flip" and value in lost)

    space = space_of(
        """
base: {geometry: {size_px: 48}}
parameters:
  augment.flip: {choice: [0.0, 0.5]}
  model.name:
    - {choice: [plain_cnn, vgg4_cnn, mini_xception], when: {augment.flip: 0.0}}
    - {choice: [vgg4_cnn], when: {augment.flip: 0.5}}
  model.args.width: {int: [16, 48], step: 8, when: {model.name: plain_cnn}}
  optim.lr: {fixed: 0.5, when: {model.name: vgg4_cnn}}
"""
    )
    assert without("plain_cnn").model_names() == ["mini_xception", "vgg4_cnn"]
    left = without("vgg4_cnn")
    assert left.parameters[1].domain.to_dict() == {"choice": ["plain_cnn", "mini_xception"]}
    assert left.model_names() == ["mini_xception", "plain_cnn", "vgg4_cnn"]  # no other where it flips
    assert space.model_names() == ["mini_xception", "plain_cnn", "vgg4_cnn"]
    assert all(recipe.model.name != "plain_cnn" for _, recipe in samples(without("plain_cnn")))
    narrower = next(entry for entry in without(40, 48).parameters if entry.path == "model.args.width")
    assert narrower.domain.to_dict() == {"int": [16, 32], "step": 8}


def test_networks_with_pretrained_weights_are_those_that_can_have_them(space_of: Any) -> None:
    space = space_of(
        """
base: {geometry: {size_px: 64}}
parameters:
  model.name: {choice: [plain_cnn, resnet18, resnet34, resnet50]}
  model.pretrained:
    - {fixed: true, when: {model.name: resnet18}}
    - {choice: [true, false], when: {model.name: resnet34}}
"""
    )
    assert space.pretrained_names() == ["resnet18", "resnet34"]


def test_the_same_seed_draws_the_same_recipes() -> None:
    assert samples(load_space("demo"), 30) == samples(load_space("demo"), 30)
