"""What a rematch left calibrates the model of its trial, and says why it does not."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from search import alone, evaluate, predict
from search import retrain as command
from search.final import choose, retrain
from search.model.calibrated import calibration_of
from search.rematch.runs import ORIGIN
from search.settings.settings import Settings
from search.storage.folder import FolderError, SearchFolder
from search.trials.records import RecordFile
from search.trials.trials import Outcome
from spaces.recipe import Recipe
from tests.simulated import search_folder, trial
from tests.test_commands import toy_folder
from tests.toy_pictures import CPU
from trainables.answers import AnswersError, answers_file, save_answers
from trainables.calibration import NOT_CALIBRATED, fitted, tempered
from trainables.data import load, prepare, read_split, write_split
from trainables.evaluate import log_probabilities
from trainables.export import load as load_model

CLASSES = ["NA", "anna", "bert"]
EPOCHS = 9
pytestmark = pytest.mark.usefixtures("checked_here")


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """A search of three classes, with 120 pictures in the selection part, in no order of classes."""
    made = search_folder(tmp_path / "results" / "mine")
    rng = np.random.default_rng(0)
    split = pd.DataFrame(
        {
            "file": [f"{number:03}.png" for number in range(400)],
            "class": rng.choice(CLASSES, 400),
            "group": "",
            "part": np.repeat(["train", "selection", "test", "validation"], [200, 120, 50, 30]),
        }
    )
    write_split(split, made.split_file)
    return made


def labels_of(folder: SearchFolder) -> np.ndarray:
    split = read_split(folder.split_file)
    return np.array([CLASSES.index(name) for name in split.loc[split["part"] == "selection", "class"]])


def says(folder: SearchFolder, seed: int, heat: float = 3.0) -> np.ndarray:
    """What a run says of the selection part: often right, and too sure."""
    labels = labels_of(folder)
    rng = np.random.default_rng(seed)
    logits = np.eye(len(CLASSES))[labels] + rng.gumbel(size=(len(labels), len(CLASSES)))
    return tempered(logits, 1 / heat).astype(np.float32)


def leave(
    folder: SearchFolder,
    said: dict[int, np.ndarray],
    *,
    of: int = 4,
    outcome: Outcome | None = Outcome.COMPLETE,
    epochs: int = EPOCHS,
) -> None:
    """Leaves a rematch's runs of a trial."""
    file = RecordFile(folder.rematch_records_file)
    for number, found in said.items():
        file.trial(replace(trial(number, epochs=epochs), origin=ORIGIN, source=str(of)))
        save_answers(answers_file(folder.rematch, number), found.astype(np.float32))
        if outcome is not None:
            file.end(number, outcome)
    file.close()


def test_the_complete_runs_of_the_trial_calibrate_it_and_no_others(folder: SearchFolder) -> None:
    runs = {number: says(folder, number) for number in range(3)}
    leave(folder, runs)
    leave(folder, {3: says(folder, 3, heat=9.0)}, of=5)
    leave(folder, {4: says(folder, 4, heat=9.0)}, outcome=Outcome.FAILED)
    leave(folder, {5: says(folder, 5, heat=9.0)}, outcome=None)
    found, reason = calibration_of(folder, 4, epochs=EPOCHS)
    assert reason is None
    assert found == fitted(labels_of(folder), list(runs.values()))
    assert found.temperature > 1
    assert found.fitted_on is not None
    assert (found.fitted_on.runs, found.fitted_on.pictures) == (3, 120)
    strict, _ = calibration_of(folder, 4, epochs=EPOCHS, false_alarm_rate=0.2)
    assert strict.unknown_below is not None
    assert found.unknown_below is not None
    assert strict.unknown_below > found.unknown_below


def test_labels_come_in_the_order_of_the_data_sets_part(tmp_path: Path) -> None:
    toy_folder(tmp_path / "pictures", 120)
    source, cache = tmp_path / "pictures", tmp_path / "cache"
    shares = {"train": 0.3, "validation": 0.1, "selection": 0.5, "test": 0.1}
    prepared = prepare(source, size_px=16, cache_dir=cache, shares=shares)
    made = search_folder(tmp_path / "results" / "toy")
    write_split(prepared.split, made.split_file)
    data = load(source, read_split(made.split_file), size_px=16, cache_dir=cache)
    labels = data.part("selection").labels
    rng = np.random.default_rng(0)
    said = tempered(np.eye(3)[labels] + rng.gumbel(size=(len(labels), 3)), 0.5).astype(np.float32)
    leave(made, {0: said})
    assert calibration_of(made, 4, epochs=EPOCHS)[0] == fitted(labels, [said])


Arrange = Callable[[SearchFolder], None]


@pytest.mark.parametrize(
    ("arrange", "number", "reason"),
    [
        (lambda folder: None, 4, "there was no rematch, whose runs it would be fitted on"),
        (lambda folder: leave(folder, {0: says(folder, 0)}), 2, "has no complete run of trial 2"),
        (lambda folder: leave(folder, {0: says(folder, 0)}), None, "its recipe is none of the search's"),
        (
            lambda folder: leave(folder, {0: says(folder, 0)}, outcome=Outcome.DIVERGED),
            4,
            "has no complete run of trial 4",
        ),
        (
            lambda folder: leave(folder, {0: says(folder, 0)}, epochs=30),
            4,
            "trained for 9 epochs, and its runs in the rematch for 30",
        ),
    ],
)
def test_without_runs_to_fit_on_nothing_is_calibrated_and_that_is_said(
    folder: SearchFolder, arrange: Arrange, number: int | None, reason: str
) -> None:
    arrange(folder)
    found, said = calibration_of(folder, number, epochs=EPOCHS)
    assert found == NOT_CALIBRATED
    assert said is not None
    assert reason in said


def test_a_small_selection_part_calibrates_nothing(folder: SearchFolder) -> None:
    split = read_split(folder.split_file)
    chosen = split.index[split["part"] == "selection"][30:]
    split.loc[chosen, "part"] = "train"
    write_split(split, folder.split_file)
    leave(folder, {0: says(folder, 0)})
    found, reason = calibration_of(folder, 4, epochs=EPOCHS)
    assert found == NOT_CALIBRATED
    assert reason is not None
    assert reason.endswith("there are 30")


def damage(file: Path, how: str) -> None:
    said = np.load(file)["log_probabilities"]
    if how == "gone":
        file.unlink()
    elif how == "torn":
        file.write_bytes(file.read_bytes()[:200])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "other":
        np.savez(file, logits=said)
    elif how == "pickle":
        np.savez(file, log_probabilities=np.array([object()]))
    elif how == "short":
        np.savez(file, log_probabilities=said[1:])
    else:
        save_answers(file, np.where(said == said.max(), np.float32(np.nan), said))


@pytest.mark.parametrize("how", ["gone", "torn", "empty", "other", "pickle", "short", "nan"])
def test_a_damaged_run_is_named_with_a_way_out(folder: SearchFolder, how: str) -> None:
    leave(folder, {0: says(folder, 0), 1: says(folder, 1)})
    damage(folder.path / "rematch" / "run-1.npz", how)
    with pytest.raises(AnswersError, match=r"run-1\.npz .* move .*rematch\.jsonl away"):
        calibration_of(folder, 4, epochs=EPOCHS)


RECIPE = """
epochs: 3
split: {train: 0.3, validation: 0.1, selection: 0.3, test: 0.3}
recipe:
  model: {name: plain_cnn, args: {width: 8, blocks: 2, dense: 16}}
  geometry: {size_px: 16}
  optim: {lr: 1e-3, batch_size: 32}
"""


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchFolder:
    """A recipe trained alone on toy pictures, with an odd class, in the working folder."""
    monkeypatch.chdir(tmp_path)
    toy_folder(Path("pictures"), 240)
    Path("pictures", "class 2").rename(Path("pictures", 'say "hi", <b>'))
    Path("own.yaml").write_text(RECIPE)
    settings = Settings(
        **{"name": "mine", "data": "pictures", "space": None, "trials": 1, "max_epochs": 3},
        cache_dir="cache",
    )
    config = alone.load_config("own.yaml")
    console = Console(quiet=True)
    return SearchFolder(alone.start(settings, config, "own.yaml", console=console, runtime=CPU).folder)


def metrics_of(model: Path) -> dict[str, Any]:
    return json.loads((model / "metrics.json").read_text(encoding="utf-8"))


def predictions_of(model: Path) -> pd.DataFrame:
    text = {"path": str, "class": str, "predicted": str}
    return pd.read_csv(model / "test_predictions.csv", dtype=text, keep_default_na=False)


def test_a_model_says_everywhere_the_same_with_its_calibration(
    trained: SearchFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plain = metrics_of(trained.model)
    assert (plain["calibration"], plain["test_uncalibrated"]) == (None, None)
    assert plain["not_calibrated"] == "there was no rematch, whose runs it would be fitted on"
    assert plain["test"]["called_unknown"] is None

    # What a run of a rematch says of the selection part: here the trained network itself, all too sure.
    split = read_split(trained.split_file)
    data = load(Path("pictures"), split, size_px=16, cache_dir=Path("cache"))
    network, recipe = load_model(trained.model).model, Recipe.model_validate(plain["recipe"])
    said = log_probabilities(network, recipe, data.part("selection"), runtime=CPU)
    leave(trained, {0: tempered(said, 0.2)}, of=0, epochs=3)
    expected, _ = calibration_of(trained, 0, epochs=3, false_alarm_rate=0.3)

    model = retrain(trained, choose(trained, trial=0), false_alarm_rate=0.3, runtime=CPU)
    found, classifier = metrics_of(model), load_model(model)
    assert found["calibration"] == expected.model_dump()
    assert (found["calibration"]["fitted_on"], found["not_calibrated"]) == ({"runs": 1, "pictures": 72}, None)
    assert found["test_uncalibrated"]["log_loss"] != found["test"]["log_loss"]
    assert classifier.calibration == expected

    assert 0.5 < found["test"]["accuracy"] < 1  # else little would follow

    # metrics.json, test_predictions.csv, model.pt2, predict and evaluate.
    table, test = predictions_of(model), data.part("test")
    assert table["path"].tolist() == test.files
    assert table["class"].tolist() == [data.classes[label] for label in test.labels]
    assert (table["class"] == table["predicted"]).mean() == pytest.approx(found["test"]["accuracy"])
    assert -np.log(table["probability_of_class"]).mean() == pytest.approx(found["test"]["log_loss"], rel=1e-6)
    below = expected.unknown_below
    assert below is not None
    assert 0 < (table["probability"] < below).sum() == found["test"]["called_unknown"] < len(table)

    program = torch.export.load(model / "model.pt2").module()
    assert predict.main([str(model), *(f"pictures/{file}" for file in test.files), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["class"] for answer in answers] == table["predicted"].tolist()
    np.testing.assert_allclose([answer["probability"] for answer in answers], table["probability"], rtol=1e-4)
    assert sum(answer["unknown"] for answer in answers) == found["test"]["called_unknown"]
    # The pictures are of the network's own size: squares as they are.
    pixels, _ = test.batch(np.arange(len(table)))
    squares = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    best = program(squares).max(dim=1)
    np.testing.assert_allclose(best.values.detach(), table["probability"], rtol=1e-4)
    assert [data.classes[place] for place in best.indices] == table["predicted"].tolist()

    (tmp_path / "held").mkdir()
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerows([["path", "label"], *zip(table["path"], table["class"], strict=True)])
    Path("pictures", "held.csv").write_text(rows.getvalue())
    assert evaluate.main([str(model), "--data", "pictures/held.csv", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["test"]
    assert set(again) == set(found["test"])
    for name in ("accuracy", "macro_f1", "log_loss", "ece", "called_unknown"):
        assert again[name] == pytest.approx(found["test"][name], rel=1e-4)


def test_a_retrain_says_what_it_is_calibrated_on_or_why_it_is_not(
    trained: SearchFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(trained, {0: np.log(np.full((72, 3), 1 / 3))}, of=0, epochs=3)
    arguments = [str(trained.path), "--device", "cpu"]
    assert command.main([*arguments, "--false-alarm-rate", "0"]) == 0
    assert "Calibrated by the rematch: temperature 1.000\n" in capsys.readouterr().out
    assert command.main([*arguments, "--false-alarm-rate", "0.1", "--out", "strict"]) == 0
    strict = metrics_of(Path("strict"))["test"]["called_unknown"]
    assert f"unknown below 0.333 ({strict} of 72 test pictures)\n" in capsys.readouterr().out
    assert command.main([*arguments, "--config", "own.yaml"]) == 0
    said = capsys.readouterr().out
    assert "Not calibrated, and nothing is called unknown: its recipe is none of" in said
    assert json.loads((trained.path / "model-own" / "classifier.json").read_text())["calibration"] == (
        NOT_CALIBRATED.model_dump()
    )


def test_a_damaged_rematch_costs_no_training_and_no_reading_of_the_test_part(trained: SearchFolder) -> None:
    leave(trained, {0: np.log(np.full((72, 3), 1 / 3))}, of=0, epochs=3)
    file = trained.path / "rematch" / "run-0.npz"
    whole, readings = file.read_bytes(), trained.readings_file.read_bytes()
    file.write_bytes(whole[:100])
    choice = choose(trained, trial=0)
    with pytest.raises(AnswersError, match=r"run-0\.npz"):
        retrain(trained, choice, runtime=CPU)
    assert trained.readings_file.read_bytes() == readings
    assert not (trained.path / choice.out).exists()
    file.write_bytes(whole)
    heard: list[float] = []
    retrain(trained, choice, runtime=CPU, heard=lambda metrics: heard.append(metrics["epoch"]))
    assert heard == []  # nothing was trained again


def test_a_false_alarm_rate_that_is_no_share_is_refused(trained: SearchFolder) -> None:
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(FolderError, match="--false-alarm-rate must be at least 0 and less than 1"):
            retrain(trained, choose(trained, trial=0), false_alarm_rate=rate, runtime=CPU)
