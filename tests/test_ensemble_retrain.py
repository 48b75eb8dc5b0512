"""What `search.retrain --ensemble` makes: trained member by member, and everywhere one model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from search import evaluate, predict
from search import retrain as command
from search.final import TRAINED_ON, choose, retrain
from search.images.explained import NO_LAYERS
from search.model.calibrated import calibration_of_ensemble
from search.model.ensemble import candidate
from search.model.training import fit
from search.rematch.conclude import conclude
from search.report.facts.ensemble import ensemble
from search.results import config_of
from search.storage.folder import FolderError, SearchFolder
from search.trials.trials import Outcome
from spaces.ensemble import EnsembleRecipe, read_recipe
from tests.predictions import runs
from tests.simulated import record, search_folder, trial, write_records
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.answers import answers_file, save_answers
from trainables.calibration import tempered
from trainables.data import load, prepare, read_split, write_split
from trainables.evaluate import log_probabilities
from trainables.export import load as load_model
from trainables.models.create import class_logits, normalization
from trainables.models.ensemble import Ensemble

pytestmark = pytest.mark.usefixtures("checked_here")

EPOCHS, PICTURES = 3, 240
RECIPES = {
    0: tiny_recipe(geometry={"size_px": 16}),
    1: tiny_recipe(model={"name": "small_resnet", "args": {"width": 8}}, geometry={"size_px": 24}),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 48 x 48 px in three classes, under coarse noise, so that a small network often errs."""
    root = tmp_path_factory.mktemp("toy") / "pictures"
    toys = toy_pictures(PICTURES, seed=1, size_px=48)
    noise = np.random.default_rng(2).integers(0, 256, (PICTURES, 8, 8, 3)).repeat(6, 1).repeat(6, 2)
    noisy = (0.25 * toys.pixels + 0.75 * noise).astype(np.uint8)
    for number, (pixels, label) in enumerate(zip(noisy, toys.labels, strict=True)):
        path = root / toys.classes[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return root


def searched(pictures: Path, *, abilities: dict[int, float], name: str = "mine") -> SearchFolder:
    """A search of two trials with a rematch of these answers, in `results` of the working folder."""
    cache = pictures.parent / "cache"
    shares = {"train": 0.3, "validation": 0.1, "selection": 0.3, "test": 0.3}
    prepared = prepare(pictures, size_px=24, cache_dir=cache, shares=shares)
    folder = search_folder(
        Path("results") / name, data=str(pictures), cache_dir=str(cache), max_epochs=EPOCHS
    )
    stored = folder.read_json(folder.settings_file) | {"source": str(pictures)}
    folder.write_json(folder.settings_file, stored)
    write_split(prepared.split, folder.split_file)
    folder.write_json(folder.data_file, prepared.report)
    trials = [
        replace(trial(number, epochs=EPOCHS), recipe=recipe.to_dict()) for number, recipe in RECIPES.items()
    ]
    write_records(
        folder.records_file, *(record(made, [0.2, 0.5, 0.8 - 0.01 * made.number]) for made in trials)
    )
    split = read_split(folder.split_file)
    classes = sorted(split["class"].unique())
    labels = np.array([classes.index(name) for name in split.loc[split["part"] == "selection", "class"]])
    entries = []
    for number, ability in abilities.items():
        for said in runs(labels, 3, 20 + number, ability, seeds=3):
            made = replace(trial(len(entries), epochs=EPOCHS), origin="rematch", source=str(number))
            save_answers(answers_file(folder.rematch, len(entries)), said)
            entries.append(record(made, [0.3] * EPOCHS, Outcome.COMPLETE))
    write_records(folder.rematch_records_file, *entries)
    assert conclude(folder) is not None
    return folder


@pytest.fixture
def folder(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchFolder:
    """Two trials that are tied, and better together."""
    monkeypatch.chdir(tmp_path)
    made = searched(pictures, abilities={0: 2.0, 1: 2.0})
    assert candidate(made).kept
    return made


def metrics_of(model: Path) -> dict[str, Any]:
    return json.loads((model / "metrics.json").read_text(encoding="utf-8"))


def test_the_folder_of_an_ensemble_is_a_model_everywhere(
    folder: SearchFolder, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(folder.path), "--ensemble", "--device", "cpu", "--false-alarm-rate", "0.1"]) == 0
    told = capsys.readouterr().out
    numbers = [member.number for member in candidate(folder).members]
    assert sorted(numbers) == [0, 1]
    assert f"\n{ensemble(candidate(folder).facts())[0]}\n" in told
    assert "Retraining 2 members, one after the other, on train, validation, selection; the test part" in told
    for place, number in enumerate(numbers, start=1):
        assert (
            f"Member {place} of 2: trial {number} ({RECIPES[number].model.name}), 3 epochs\nepoch   1  "
            in told
        )

    # What it says is the mean of what its members say, each by its own size and normalisation.
    model, found = folder.path / "model", metrics_of(folder.path / "model")
    split = read_split(folder.split_file)
    classifier = load_model(model)
    assert isinstance(classifier.model, Ensemble)
    assert (classifier.geometry.size_px, classifier.mean, classifier.std) == (24, [0.0] * 3, [1.0] * 3)
    data = {
        px: load(pictures, split, size_px=px, cache_dir=pictures.parent / "cache").part("test")
        for px in (16, 24)
    }
    test = data[24]
    said = log_probabilities(classifier.model, tiny_recipe(geometry={"size_px": 24}), test, runtime=CPU)
    alone = []
    for number, network in zip(numbers, classifier.model.members, strict=True):
        px = RECIPES[number].geometry.size_px
        alone.append(np.exp(log_probabilities(network, RECIPES[number], data[px], runtime=CPU)))
    large = numbers.index(1)
    # Of the member of 16 px the square comes by way of 24 px: nearly what it sees alone.
    np.testing.assert_allclose(np.exp(said), np.mean(alone, axis=0), atol=0.05)
    assert not np.allclose(np.exp(said), alone[large], atol=0.05)

    # Calibrated on the averaged answers of the rematch.
    calibration, _ = calibration_of_ensemble(folder, numbers, false_alarm_rate=0.1)
    assert classifier.calibration == calibration
    assert found["calibration"] == calibration.model_dump()
    assert found["calibration"]["fitted_on"] == {"runs": 3, "pictures": 72}
    calibrated = np.exp(tempered(said, calibration.temperature))
    table = pd.read_csv(model / "test_predictions.csv")
    np.testing.assert_allclose(table["probability"], calibrated.max(axis=1), rtol=1e-4)
    assert 0.6 < found["test"]["accuracy"] == pytest.approx((calibrated.argmax(1) == test.labels).mean())
    assert (found["test_readings"], found["trial"], found["seed"]) == (1, None, None)
    assert len(folder.readings_file.read_text().splitlines()) == 1

    # model.pt2, predict and evaluate say the same.
    files = [pictures / file for file in test.files]
    assert predict.main([str(model), *map(str, files), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["class"] for answer in answers] == table["predicted"].tolist()
    np.testing.assert_allclose([answer["probability"] for answer in answers], table["probability"], rtol=1e-3)
    assert sum(answer["unknown"] for answer in answers) == found["test"]["called_unknown"]
    program = torch.export.load(model / "model.pt2").module()
    squares = torch.rand(5, 3, 24, 24)
    with torch.no_grad():
        expected = class_logits(classifier.model(squares)) / calibration.temperature
        torch.testing.assert_close(program(squares), expected.softmax(1))
    held = pd.DataFrame({"path": test.files, "label": [test.classes[label] for label in test.labels]})
    held.to_csv(pictures / "held.csv", index=False)
    assert evaluate.main([str(model), "--data", str(pictures / "held.csv"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["test"]
    for name in ("accuracy", "macro_f1", "log_loss", "ece", "called_unknown"):
        assert again[name] == pytest.approx(found["test"][name], rel=1e-3)

    # Its members are named, with what they cost together.
    recipe = read_recipe(found["recipe"])
    assert isinstance(recipe, EnsembleRecipe)
    assert recipe.members == tuple(RECIPES[number] for number in numbers)
    assert set(found["recipe"]) == {"model", "geometry", "members"}
    assert recipe == read_recipe(json.loads((model / "classifier.json").read_text())["recipe"])
    section = found["ensemble"]
    assert {name: section[name] for name in candidate(folder).facts()} == json.loads(
        json.dumps(candidate(folder).facts())
    )
    assert [member["trial"] for member in section["members"]] == numbers
    assert [member["seed"] for member in section["members"]] == [1000 + number for number in numbers]
    assert section["parameters"] == sum(weights.numel() for weights in classifier.model.parameters())
    assert section["latency_ms"] > 0
    assert found["trained_on"] == {
        "parts": ["train", "validation", "selection"],
        "pictures": 168,
        "epochs": None,
        "train_loss": None,
    }

    # The card, the pictures and the page tell that it is one.
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "# Ensemble of 2 networks, 3 classes" in card
    for text in (card, (folder.path / "leaderboard.html").read_text(encoding="utf-8")):
        for line in ensemble(section):
            assert line in text
    assert f"Trial {numbers[1]}: 3 epochs, seed {1000 + numbers[1]}." in card
    looked = json.loads((model / "explained" / "explained.json").read_text())
    assert (looked["missing"], looked["grad_cam"], looked["kernels"]) == ([NO_LAYERS], None, [])
    assert looked["examples"]
    assert "It is an ensemble of trials" in (folder.path / "leaderboard.html").read_text(encoding="utf-8")
    assert not list(folder.path.glob(".model*"))  # no state of a training is left


@pytest.mark.slow
def test_what_was_cut_off_goes_on_to_what_its_members_are_alone(folder: SearchFolder) -> None:
    """Cut off in the first member, and then in the second."""
    heard: list[float] = []

    def until(count: int) -> Callable[[dict[str, float]], None]:
        def hear(epoch: dict[str, float]) -> None:
            if len(heard) == count:
                raise KeyboardInterrupt
            heard.append(epoch["epoch"])

        return hear

    for count in (2, 4):
        with pytest.raises(KeyboardInterrupt):
            retrain(folder, choose(folder, ensemble=True), runtime=CPU, heard=until(count))
        assert not (folder.path / "model").exists()
    whole = load_model(retrain(folder, choose(folder, ensemble=True), runtime=CPU, heard=until(9))).model
    assert heard == [1, 2, 3, 1, 2, 3]
    assert isinstance(whole, Ensemble)
    for trained, member, mean in zip(candidate(folder).members, whole.members, whole.means, strict=True):
        alone = fit(folder, config_of(trained), Path("alone"), parts=TRAINED_ON, runtime=CPU).model
        for name, weights in alone.state_dict().items():
            torch.testing.assert_close(member.state_dict()[name], weights)
        assert mean.flatten().tolist() == pytest.approx(normalization(alone)[0])


def test_what_is_not_better_is_not_trained_and_that_is_told(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = searched(pictures, abilities={0: 2.0, 1: 2.0})
    for run in range(3):  # both say the same
        said = np.load(answers_file(folder.rematch, run))["log_probabilities"]
        save_answers(answers_file(folder.rematch, 3 + run), said)
    conclude(folder)
    assert command.main([str(folder.path), "--ensemble", "--device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert "\nNo ensemble of trials 0 and 1, for it gains nothing on average: on the " in told
    assert "Retraining trial 0, the search's winner (plain_cnn) for 3 epochs on train" in told
    found = metrics_of(folder.path / "model")
    assert (found["trial"], found["ensemble"]["kept"], found["ensemble"]["trials"]) == (0, False, [0, 1])
    assert found["ensemble"]["selection"]["gain"] == 0
    assert not isinstance(load_model(folder.path / "model").model, Ensemble)
    page = (folder.path / "leaderboard.html").read_text(encoding="utf-8")
    assert ensemble(found["ensemble"])[0] in page
    assert "It is an ensemble of trials" not in page
    plain = metrics_of(retrain(folder, choose(folder), out=Path("plain"), runtime=CPU))
    assert plain["ensemble"] is None


Arrange = Callable[[SearchFolder], None]


@pytest.mark.parametrize(
    ("options", "arrange", "error"),
    [
        (
            [],
            lambda folder: folder.rematch_file.unlink(),
            "there was no rematch. Leave --ensemble out, or have",
        ),
        (["--epochs", "5"], lambda folder: None, "Leave --epochs out, or --ensemble."),
        (["--seed", "-1"], lambda folder: None, "--seed must be at least 0"),
    ],
)
def test_what_cannot_be_joined_is_told_before_anything_is_trained(
    folder: SearchFolder,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    arrange: Arrange,
    error: str,
) -> None:
    arrange(folder)
    assert command.main([str(folder.path), "--ensemble", "--device", "cpu", *options]) == 2
    shown = capsys.readouterr()
    assert error in shown.err
    assert "epoch   1" not in shown.out
    for other in (["--trial", "0"], ["--config", "default"]):
        with pytest.raises(SystemExit):
            command.main([str(folder.path), "--ensemble", *other])


def test_a_member_that_diverges_is_named(folder: SearchFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def diverges_second(metrics: dict[str, float]) -> bool:
        calls.append(1)
        return len(calls) == 2

    monkeypatch.setattr("search.model.training.diverged", diverges_second)
    second = candidate(folder).members[1].number
    with pytest.raises(
        FolderError, match=rf"^trial {second} \(.*diverged.*Try another --seed, or leave --ensemble out\."
    ):
        retrain(folder, choose(folder, ensemble=True), runtime=CPU)
    assert not (folder.path / "model").exists()
