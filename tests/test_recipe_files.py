"""What recipe and trial files may say beside the recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from spaces.faults import SpaceError
from spaces.recipe import Recipe
from spaces.recipe_files import Split, TrialConfig, load_trial_config, with_absolute_weights

RECIPE = "recipe: {model: {name: plain_cnn}}\n"


def load(folder: Path, text: str) -> TrialConfig:
    (folder / "own.yaml").write_text(text)
    return load_trial_config(folder / "own.yaml")


def test_a_trial_file_may_share_out_the_pictures(tmp_path: Path) -> None:
    config = load(tmp_path, RECIPE + "split: {train: 0.7, validation: 0.1, selection: 0.05, test: 0.15}\n")
    assert config.split == Split(train=0.7, validation=0.1, selection=0.05, test=0.15)
    config.save(tmp_path / "again.yaml", "a comment")
    assert load_trial_config(tmp_path / "again.yaml") == config
    assert load(tmp_path, RECIPE).split is None
    assert load(tmp_path, RECIPE + "split: {train: 0.8, validation: 0.1, test: 0.1}\n").split == Split(
        train=0.8, validation=0.1, selection=0.0, test=0.1
    )


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("{train: 0.7, validation: 0.3}", "own.yaml:2: split.test is required"),
        ("{train: 0, validation: 0.5, test: 0.5}", "split.train must be over 0; received 0"),
        ("{train: 0.9, validation: 0.0, test: 0.1}", "split.validation must be over 0"),
        (
            "{train: 0.7, validation: 0.2, test: 0.2}",
            "split must be shares that add up to 1; they add up to 1.1",
        ),
        ("{train: 0.7, validation: 0.2, selection: -0.1, test: 0.2}", "split.selection must be at least 0"),
        ("{train: 0.7, valid: 0.2, validation: 0.2, test: 0.1}", "split.valid is not a field here"),
        ("0.7", "split must be a mapping"),
    ],
)
def test_shares_that_are_none_are_told_with_place_and_rule(tmp_path: Path, split: str, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        load(tmp_path, RECIPE + f"split: {split}\n")


def test_a_head_that_stays_alone_beyond_the_end_is_refused(tmp_path: Path) -> None:
    frozen = "recipe:\n  model: {name: resnet18}\n  freeze: {epoch: 5}\n"
    with pytest.raises(
        SpaceError, match=r"own.yaml:4: recipe.freeze.epoch must be at most epochs, which is 4; received 5"
    ):
        load(tmp_path, "epochs: 4\n" + frozen)
    assert load(tmp_path, "epochs: 5\n" + frozen).recipe.freeze.epoch == 5  # on purpose
    assert load(tmp_path, frozen).epochs is None  # the length is somebody else's to say


def test_a_path_of_weights_is_seen_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = Recipe.model_validate({"model": {"name": "resnet18", "weights": "models/a.safetensors"}})
    placed = with_absolute_weights(recipe)
    assert placed.model.weights == str(tmp_path / "models" / "a.safetensors")
    assert with_absolute_weights(placed) == placed
    assert placed.model_copy(update={"model": recipe.model}) == recipe
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    at_home = Recipe.model_validate({"model": {"name": "resnet18", "weights": "~/a.safetensors"}})
    assert with_absolute_weights(at_home).model.weights == str(tmp_path / "home" / "a.safetensors")
    plain = Recipe.model_validate({"model": {"name": "resnet18"}})
    assert with_absolute_weights(plain) is plain
