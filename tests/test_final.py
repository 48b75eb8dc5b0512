"""What a retrain takes over from the search, and what it leaves when something goes wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from search import retrain as command
from search.final import choose, retrain
from search.model.training import _state_file
from search.results import config_of
from search.storage.folder import FolderError, SearchFolder
from search.trials.trials import Outcome, Trial, TrialRecord
from spaces.errors import InputError
from spaces.faults import SpaceError
from spaces.recipe import Recipe
from spaces.recipe_files import TrialConfig
from tests.simulated import record, search_folder, trial, write_records
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.data import write_split
from trainables.loop import TrainData, train

PLATEAU = {"name": "plateau", "factor": 0.5, "patience_epochs": 0}
DROPS = (1.0, 1.0, 0.5, 0.25, 0.25)


def with_scales(entry: TrialRecord, scales: tuple[float, ...]) -> TrialRecord:
    """The record with these learning-rate scales, one an epoch."""
    history = [
        replace(epoch, metrics={**epoch.metrics, "lr_scale": scale})
        for epoch, scale in zip(entry.history, scales, strict=True)
    ]
    return replace(entry, history=history)


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return search_folder(tmp_path / "results" / "mine", max_epochs=12)


def tiny_trial(**sections: Any) -> Trial:
    return Trial(0, tiny_recipe(**sections).to_dict(), {}, seed=5, epochs=5)


def replayed(entry: TrialRecord) -> list[float]:
    """The learning-rate scale of each epoch that a retrain of this trial runs."""
    config, scales = config_of(entry), []
    train(
        config.recipe,
        TrainData(toy_pictures(48, 1)),
        lambda metrics, checkpoint: scales.append(metrics["lr_scale"]),
        runtime=CPU,
        seed=config.seed,
        epochs=config.epochs or 0,
        replay=config.lr_scales,
    )
    return scales


def test_a_retrain_takes_recipe_seed_and_length_of_the_trial() -> None:
    made = trial(3, epochs=7, optim={"lr": 0.007}, freeze={"epoch": 2})
    config = config_of(record(made, [0.5] * 7))
    assert config.recipe == Recipe.model_validate(made.recipe)
    assert (config.seed, config.epochs) == (made.seed, 7)


def test_the_drops_of_a_plateau_trial_are_repeated() -> None:
    entry = with_scales(record(tiny_trial(schedule=PLATEAU), [0.5] * 5), DROPS)
    assert config_of(entry).lr_scales == DROPS
    assert replayed(entry) == pytest.approx(list(DROPS))


def test_a_trial_that_ended_by_its_patience_is_trained_for_as_many_epochs() -> None:
    made = tiny_trial(schedule=PLATEAU, patience_epochs=1)
    entry = with_scales(record(made, [0.5] * 3), DROPS[:3])
    config = config_of(entry)
    assert (config.epochs, config.lr_scales) == (5, DROPS[:3])
    assert replayed(entry) == pytest.approx(list(DROPS[:3]))


def test_a_cosine_trial_that_ended_by_its_patience_stays_on_the_long_schedule() -> None:
    made = tiny_trial(schedule={"name": "cosine"}, patience_epochs=1)
    scales = [(1 + math.cos(math.pi * epoch / 5)) / 2 * 0.99 + 0.01 for epoch in range(5)]
    whole = with_scales(record(made, [0.5] * 5), tuple(scales))
    short = with_scales(record(made, [0.5] * 2), tuple(scales[:2]))
    assert replayed(whole) == pytest.approx(scales)
    assert replayed(short) == pytest.approx(scales[:2])


def test_a_trial_that_kept_its_best_weights_is_trained_up_to_them() -> None:
    made = tiny_trial(schedule=PLATEAU, keep="best")
    entry = with_scales(record(made, [0.5, 0.8, 0.7, 0.75, 0.6]), DROPS)
    config = config_of(entry)
    assert (config.epochs, config.lr_scales) == (5, DROPS[:2])
    assert replayed(entry) == pytest.approx(list(DROPS[:2]))
    # Cut short, it had not seen its best yet.
    stopped = with_scales(record(made, [0.5, 0.8, 0.7], Outcome.STOPPED), DROPS[:3])
    assert config_of(stopped).lr_scales == (*DROPS[:3], 0.5, 0.5)


@pytest.mark.parametrize("outcome", [Outcome.STOPPED, None, Outcome.FAILED, Outcome.TIMED_OUT])
def test_a_trial_that_was_cut_short_is_trained_for_its_full_length(outcome: Outcome | None) -> None:
    entry = with_scales(record(tiny_trial(schedule=PLATEAU), [0.5, 0.6], outcome), (1.0, 0.5))
    config = config_of(entry)
    assert (config.epochs, config.lr_scales) == (5, (1.0, 0.5, 0.5, 0.5, 0.5))
    assert replayed(entry) == pytest.approx([1.0, 0.5, 0.5, 0.5, 0.5])


def test_the_winner_is_chosen_unless_another_is_asked_for(folder: SearchFolder) -> None:
    write_records(
        folder.records_file,
        record(trial(0), [0.5] * 9),
        record(trial(1), [0.8], Outcome.STOPPED),
        record(trial(2), [0.99], Outcome.DIVERGED),
    )
    best = choose(folder)
    assert best.trial is not None
    assert (best.trial.number, best.out, best.title) == (1, "model", "trial 1, the search's winner")
    other = choose(folder, trial=0)
    assert other.trial is not None
    assert (other.trial.number, other.out, other.title) == (0, "model-trial-0", "trial 0")
    assert other.config == config_of(other.trial)


def test_another_length_moves_the_freeze_epoch_with_it_and_replays_nothing(folder: SearchFolder) -> None:
    write_records(folder.records_file, record(trial(0, epochs=9, freeze={"epoch": 3}), [0.5] * 9))
    longer = choose(folder, epochs=27).config
    assert (longer.epochs, longer.recipe.freeze.epoch, longer.lr_scales) == (27, 9, None)
    same = choose(folder, epochs=9).config
    assert (same.epochs, same.recipe.freeze.epoch, same.lr_scales) == (9, 3, (1.0,) * 9)


def test_a_recipe_without_a_length_gets_that_of_the_search(folder: SearchFolder) -> None:
    choice = choose(folder, config="default")
    assert (choice.config.epochs, choice.trial, choice.out) == (12, None, "model-default")
    assert choose(folder, config="default", epochs=3).config.epochs == 3


def test_without_a_length_short_epochs_make_the_searchs_passes(folder: SearchFolder, tmp_path: Path) -> None:
    recipe = tiny_recipe(optim={"batch_size": 10}, freeze={"epoch": 30})
    TrialConfig(recipe=recipe.model_copy(update={"steps_per_epoch": 4})).save(tmp_path / "short.yaml")
    parts = ["train"] * 70 + ["validation"] * 20 + ["selection"] * 10 + ["test"] * 40
    rows = [(f"{row}.png", "a", str(row), part) for row, part in enumerate(parts)]
    write_split(pd.DataFrame(rows, columns=["file", "class", "group", "part"]), folder.split_file)
    # A retrain learns from 100 pictures: ten steps a pass, and twelve passes are 120 steps.
    assert choose(folder, config=str(tmp_path / "short.yaml")).config.epochs == 30
    TrialConfig(recipe=recipe).save(tmp_path / "whole.yaml")
    with pytest.raises(InputError, match=r"freeze.epoch must be at most the 12 epochs of the training"):
        choose(folder, config=str(tmp_path / "whole.yaml"))


def test_a_config_file_brings_its_length_seed_and_drops(folder: SearchFolder, tmp_path: Path) -> None:
    config = config_of(with_scales(record(tiny_trial(schedule=PLATEAU), [0.5] * 5), DROPS))
    config.save(tmp_path / "other.yaml", "From elsewhere.")
    choice = choose(folder, config=str(tmp_path / "other.yaml"))
    assert choice.config == config
    assert choice.out == "model-other"


def test_what_cannot_be_chosen_is_refused_with_what_can(folder: SearchFolder) -> None:
    with pytest.raises(FolderError, match="no trial has a score yet"):
        choose(folder)
    with pytest.raises(FolderError, match="has no trial 4; it has none yet"):
        choose(folder, trial=4)
    write_records(
        folder.records_file, record(trial(0), [], Outcome.FAILED), record(trial(1), [0.5], Outcome.DIVERGED)
    )
    with pytest.raises(FolderError, match="no trial has a score yet"):
        choose(folder)
    with pytest.raises(FolderError, match="has no trial 4; it has 0 to 1"):
        choose(folder, trial=4)
    with pytest.raises(SpaceError, match="must be the name of a built-in recipe"):
        choose(folder, config="no-such-recipe")
    for epochs in (0, -3):
        with pytest.raises(FolderError, match=f"--epochs must be at least 1; received {epochs}"):
            choose(folder, config="default", epochs=epochs)


def test_a_recipe_trained_alone_is_retrained_beside_its_own_model(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "results" / "alone", space=None)
    write_records(
        folder.records_file, record(replace(trial(0), origin="given", source="own.yaml"), [0.5] * 9)
    )
    choice = choose(folder)
    assert (choice.out, choice.title) == ("model-trial-0", "recipe own.yaml")
    assert choose(folder, config="default").out == "model-default"


def test_a_retrain_with_other_recorded_drops_does_not_go_on_from_the_state_of_this_one(
    tmp_path: Path,
) -> None:
    config = config_of(with_scales(record(tiny_trial(schedule=PLATEAU), [0.5] * 5), DROPS))
    other = config.model_copy(update={"lr_scales": (1.0,) * 5})
    files = {_state_file(tmp_path / "model", kind) for kind in (config, other, config.model_copy())}
    assert len(files) == 2
    assert {file.parent for file in files} == {tmp_path}


def test_a_model_that_is_there_is_not_overwritten(folder: SearchFolder) -> None:
    write_records(folder.records_file, record(trial(0), [0.5] * 9))
    (folder.path / "model").mkdir()
    (folder.path / "model" / "weights").write_text("precious")
    with pytest.raises(FolderError, match="model exists already"):
        retrain(folder, choose(folder), runtime=CPU)
    assert (folder.path / "model" / "weights").read_text() == "precious"


def test_a_negative_seed_is_refused(folder: SearchFolder) -> None:
    write_records(folder.records_file, record(trial(0), [0.5] * 9))
    with pytest.raises(FolderError, match="--seed must be at least 0; received -1"):
        retrain(folder, choose(folder), seed=-1, runtime=CPU)


@pytest.mark.parametrize("device", ["toaster", "cuda:77", "meta:no"])
def test_a_device_that_is_not_there_is_refused(
    folder: SearchFolder, capsys: pytest.CaptureFixture[str], device: str
) -> None:
    write_records(folder.records_file, record(trial(0), [0.5] * 9))
    assert command.main([str(folder.path), "--device", device]) == 2
    error = capsys.readouterr().err
    assert f"error: --device {device} cannot be used here: " in error
    assert error.count("\n") == 1
    assert not (folder.path / "model").exists()


def test_a_search_that_is_not_there_is_refused(
    folder: SearchFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(folder.path.parent / "other")]) == 2
    assert "is not a search's folder. Searches in" in capsys.readouterr().err
