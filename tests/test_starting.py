"""What a search tries first: which built-in recipes fit it, and what becomes of the user's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from search.costs.networks import Networks
from search.engine import starting
from search.engine.starting import built_in_recipes, own_recipes, starts, stored_starts
from search.settings.settings import Settings
from search.storage.folder import FolderError, SearchFolder
from spaces.errors import InputError
from spaces.faults import SpaceError
from spaces.recipe import Recipe
from spaces.recipe_files import TrialConfig, load_trial_config
from spaces.space_files import load_space
from tests.simulated import space

QUICK = """
description: one small network at two sizes
parameters:
  model.name: {choice: [plain_cnn, resnet18]}
  model.pretrained: {fixed: PRETRAINED, when: {model.name: resnet18}}
  geometry.size_px: {choice: [32, 64]}
  optim.lr: {log: [1.0e-4, 1.0e-2]}
"""
PLAIN: dict[str, Any] = {"model": {"name": "plain_cnn"}, "geometry": {"size_px": 64}}


def unlimited(classes: int = 10, max_params: int | None = None) -> Networks:
    return Networks(max_params, None, classes=classes, device=torch.device("cpu"))


def config(epochs: int | None = 10, **changes: Any) -> TrialConfig:
    sections = {
        key: {**PLAIN.get(key, {}), **value} for key, value in changes.items() if isinstance(value, dict)
    }
    rest = {key: value for key, value in changes.items() if not isinstance(value, dict)}
    return TrialConfig(epochs=epochs, recipe=Recipe.model_validate({**PLAIN, **rest, **sections}))


@pytest.fixture
def built_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes these the built-in recipes, and says which of them fit."""

    def fitting(folder: Path, pretrained: str = "false", **named: TrialConfig) -> Any:
        monkeypatch.setattr(starting, "recipe_names", lambda: sorted(named))
        monkeypatch.setattr(starting, "load_trial_config", named.__getitem__)
        searched = space(folder, QUICK.replace("PRETRAINED", pretrained))

        reasons: dict[str, str] = {}

        def found(classes: int = 10, max_params: int | None = None, passes: int = 12) -> list[str]:
            networks = unlimited(classes, max_params)
            fit, misfits = built_in_recipes(searched, networks, passes=passes, pictures=1000)
            names = [name for name, _ in fit]
            assert sorted([*names, *misfits]) == sorted(named)
            reasons.update(misfits)
            return names

        found.reasons = reasons  # type: ignore[attr-defined]
        return found

    return fitting


def test_a_recipe_fits_by_network_size_and_length(built_in: Any, tmp_path: Path) -> None:
    found = built_in(
        tmp_path,
        fits=config(),
        open_ended=config(None),
        other_network=config(model={"name": "vgg4_cnn"}),
        large=config(geometry={"size_px": 80}),
        long=config(13),
        just_so=config(12),
    )
    assert found() == ["fits", "just_so", "open_ended"]
    assert found.reasons == {
        "other_network": "not in the space",
        "large": "80 px; the space goes to 64",
        "long": "13 passes; a trial has 12",
    }
    assert found(passes=9) == ["open_ended"]


def test_short_epochs_count_as_the_passes_that_they_make(built_in: Any, tmp_path: Path) -> None:
    # 1,000 pictures are 125 steps of 8: fifty epochs of ten steps are four passes.
    short = {"optim": {"batch_size": 8}, "steps_per_epoch": 10}
    found = built_in(tmp_path, four=config(50, **short), five=config(51, **short))
    assert found(passes=4) == ["four"]
    assert found.reasons == {"five": "4.08 passes; a trial has 4"}
    assert found(passes=5) == ["five", "four"]


def test_a_recipe_for_two_classes_is_for_two_classes(built_in: Any, tmp_path: Path) -> None:
    found = built_in(tmp_path, binary=config(loss={"name": "sigmoid"}), any_number=config())
    assert found(classes=2) == ["any_number", "binary"]
    assert found(classes=3) == ["any_number"]
    assert found.reasons == {"binary": "for two classes"}


@pytest.mark.parametrize(("pretrained", "names"), [("true", ["head", "resnet"]), ("false", ["head"])])
def test_a_pretrained_recipe_fits_where_the_space_has_its_weights(
    built_in: Any, tmp_path: Path, pretrained: str, names: list[str]
) -> None:
    resnet = {"name": "resnet18", "pretrained": True}
    found = built_in(tmp_path, pretrained, head=config(), resnet=config(model=resnet))
    assert found() == names
    assert ("resnet" in names) or found.reasons == {"resnet": "not pretrained in the space"}


def test_a_recipe_over_the_limits_does_not_fit(built_in: Any, tmp_path: Path) -> None:
    found = built_in(
        tmp_path, small=config(model={"args": {"width": 8}}), large=config(model={"args": {"width": 64}})
    )
    assert found() == ["large", "small"]
    assert found(max_params=600_000) == ["small"]
    assert found.reasons["large"].endswith("M parameters, over 600k")


def test_the_demo_space_gets_only_what_is_quick() -> None:
    demo = load_space("demo")
    fitting, _ = built_in_recipes(demo, unlimited(), passes=12, pictures=1800)
    found = dict(fitting)
    assert "default" in found
    for chosen in found.values():
        assert chosen.recipe.model.name in demo.model_names()
        assert chosen.recipe.geometry.size_px <= 48
        assert (chosen.epochs or 0) <= 12


def test_recipes_are_rescaled_to_the_length_of_the_search(tmp_path: Path) -> None:
    searched = space(tmp_path, QUICK.replace("PRETRAINED", "false"))
    named = [("a", config(10, freeze={"epoch": 5})), ("b", config(None, freeze={"epoch": 5}))]
    longer, as_it_is = starts(named, searched, passes=20, pictures=1000)[0]
    assert (longer.epochs, longer.recipe["freeze"]["epoch"]) == (20, 10)
    assert (as_it_is.epochs, as_it_is.recipe["freeze"]["epoch"]) == (20, 5)
    assert (longer.own_epochs, as_it_is.own_epochs) == (10, None)


@pytest.mark.parametrize(("asked", "epochs", "frozen"), [(50, 50, 25), (200, 100, 12), (None, 100, 25)])
def test_short_epochs_are_not_multiplied(tmp_path: Path, asked: int | None, epochs: int, frozen: int) -> None:
    """Eight passes of 1,000 pictures are 100 epochs of ten steps of 8."""
    searched = space(tmp_path, QUICK.replace("PRETRAINED", "false"))
    short = config(asked, optim={"batch_size": 8}, steps_per_epoch=10, freeze={"epoch": 25})
    (start,) = starts([("binary", short)], searched, passes=8, pictures=1000)[0]
    assert (start.epochs, start.recipe["freeze"]["epoch"]) == (epochs, frozen)


def test_a_freeze_plan_longer_than_a_trial_is_refused(tmp_path: Path) -> None:
    searched = space(tmp_path, QUICK.replace("PRETRAINED", "false"))
    with pytest.raises(
        InputError, match=r"--start-from own.yaml: freeze.epoch must be at most the 10 epochs.*; received 11"
    ):
        starts([("own.yaml", config(None, freeze={"epoch": 11}))], searched, passes=10, pictures=1000)


def test_recipes_that_are_the_same_at_one_length_are_tried_once(tmp_path: Path) -> None:
    searched = space(tmp_path, QUICK.replace("PRETRAINED", "false"))
    same = [("own.yaml", config(10, freeze={"epoch": 5})), ("default", config(20, freeze={"epoch": 10}))]
    found, repeated = starts([*same, ("other", config(10))], searched, passes=10, pictures=1000)
    assert [start.source for start in found] == ["own.yaml", "other"]
    assert repeated == {"default": "the same as own.yaml"}
    again, repeated = starts([same[0], same[0]], searched, passes=10, pictures=1000)
    assert len(again) == 1
    assert not repeated  # it is tried, under this name


def test_a_start_in_the_space_has_its_parameters_and_another_none(tmp_path: Path) -> None:
    searched = space(tmp_path, QUICK.replace("PRETRAINED", "false"))
    named = [("in", config(optim={"lr": 1e-3})), ("out", config(optim={"lr": 0.5}))]
    inside, outside = starts(named, searched, passes=10, pictures=1000)[0]
    assert inside.params == {"model.name": "plain_cnn", "geometry.size_px": 64, "optim.lr": 1e-3}
    assert searched.recipe(inside.params, epochs=10).to_dict() == inside.recipe
    assert outside.params == {}
    assert (inside.outside, outside.outside) == ([], ["optim.lr 0.5 (0.0001 to 0.01)"])


def test_the_users_own_recipes_are_files_or_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text("epochs: 4\nrecipe: {model: {name: mine}}\n")
    settings = Settings(name="a", space="demo", cache_dir="c", start_from=("own.yaml", "default"))
    (first, own), (second, default) = own_recipes(settings, ["mine"])
    assert (first, own.epochs, own.recipe.model.name) == ("own.yaml", 4, "mine")
    assert (second, default) == ("default", load_trial_config("default"))
    with pytest.raises(SpaceError, match=r"own\.yaml:2: recipe\.model\.name must be a network"):
        own_recipes(settings, [])


def stored(folder: Path, value: Any) -> SearchFolder:
    found = SearchFolder.create(folder)
    found.write_json(found.settings_file, {"settings": {}, "starts": value})
    return found


def test_what_a_search_began_with_is_read_back(tmp_path: Path) -> None:
    searched = space(tmp_path, QUICK.replace("PRETRAINED", "false"))
    begun = starts(
        [("in", config()), ("out", config(optim={"lr": 0.5}))], searched, passes=10, pictures=1000
    )[0]
    assert stored_starts(stored(tmp_path / "a", [asdict(start) for start in begun])) == begun
    older = [
        {name: value for name, value in asdict(start).items() if name not in ("outside", "own_epochs")}
        for start in begun
    ]
    assert [start.recipe for start in stored_starts(stored(tmp_path / "b", older))] == [
        start.recipe for start in begun
    ]


@pytest.mark.parametrize(
    "damaged",
    [
        3,
        ["x"],
        [{"source": "a"}],
        [{"source": "a", "recipe": [], "epochs": 3, "params": {}}],
        [{"source": "a", "recipe": {"model": {"nam": "x"}}, "epochs": 3, "params": {}}],
        [{"source": "a", "recipe": {"model": {"name": "x"}}, "epochs": "many", "params": {}}],
    ],
)
def test_damaged_starts_are_an_error_that_names_the_file(tmp_path: Path, damaged: Any) -> None:
    with pytest.raises(FolderError, match=r"settings.json does not hold a search's starting recipes"):
        stored_starts(stored(tmp_path / "a", damaged))
