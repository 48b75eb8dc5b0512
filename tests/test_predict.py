"""Predicting from files says what evaluating the cached pictures said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from search import predict as command
from spaces.recipe import Recipe
from tests.pictures import BROKEN, class_folders, noise, save, truncated_jpeg
from tests.toy_pictures import CPU, tiny_recipe
from trainables.calibration import Calibration, tempered
from trainables.data import Dataset, DecodeError, load, prepare
from trainables.evaluate import evaluate
from trainables.export import Classifier
from trainables.loop import TrainData, train
from trainables.metrics import Tally
from trainables.models.create import normalization
from trainables.predict import BATCH, probabilities

CLASSES = {"anna": 40, "bert": 40}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several shapes, larger and smaller than what the network sees."""
    root = class_folders(tmp_path_factory.mktemp("data") / "pictures", CLASSES)
    for number, shape in enumerate([(50, 30), (16, 16), (9, 40), (200, 300)]):
        save(root / "anna" / f"other {number}.png", noise(*shape, seed=number))
    return root


@pytest.fixture(scope="module", params=["resize", "crop", "pad"])
def trained(
    request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Recipe, Classifier, Dataset]:
    recipe = tiny_recipe(geometry={"size_px": 16, "fit": request.param})
    cache_dir = tmp_path_factory.mktemp("cache")
    prepared = prepare(root, size_px=16, cache_dir=cache_dir)
    data = load(root, prepared.split, size_px=16, cache_dir=cache_dir)
    model = train(recipe, TrainData(data.part("train")), lambda *_: None, runtime=CPU, epochs=1)
    return recipe, Classifier(model, data.classes, recipe.geometry, *normalization(model)), data


def test_files_are_answered_as_the_cached_pictures_were(
    trained: tuple[Recipe, Classifier, Dataset], root: Path
) -> None:
    recipe, classifier, data = trained
    pictures = data.part("train", "validation", "selection", "test")
    assert len(pictures) > BATCH
    expected = evaluate(classifier.model, recipe, pictures, runtime=CPU)
    tally = Tally(2, torch.device("cpu"))
    answers = list(probabilities(classifier, [root / file for file in pictures.files], runtime=CPU))
    assert [file for file, _ in answers] == [root / file for file in pictures.files]
    for label, (_, found) in zip(pictures.labels, answers, strict=True):
        assert isinstance(found, np.ndarray)
        assert found.shape == (2,)
        assert found.sum() == pytest.approx(1, abs=1e-5)
        tally.add(torch.from_numpy(found).log()[None], torch.tensor([label]))
    assert tally.confusion.tolist() == expected["confusion_matrix"]
    assert tally.loss == pytest.approx(expected["log_loss"], rel=1e-4)


def test_a_temperature_makes_probabilities_softer_and_changes_no_answer(
    trained: tuple[Recipe, Classifier, Dataset], root: Path
) -> None:
    files = sorted((root / "anna").iterdir())
    calibrated = replace(trained[1], calibration=Calibration(temperature=2.5))
    plain, soft = (
        np.stack([found for _, found in probabilities(classifier, files, runtime=CPU)])
        for classifier in (trained[1], calibrated)
    )
    np.testing.assert_allclose(soft, np.exp(tempered(np.log(plain), 2.5)), rtol=1e-4)
    assert (soft.argmax(axis=1) == plain.argmax(axis=1)).all()
    assert (soft.max(axis=1) < plain.max(axis=1)).all()


def test_a_file_that_cannot_be_read_is_answered_with_the_reason_and_the_others_are_predicted(
    trained: tuple[Recipe, Classifier, Dataset], root: Path, tmp_path: Path
) -> None:
    for name, content in BROKEN.items():
        (tmp_path / name).write_bytes(content)
    good = sorted((root / "anna").iterdir())[: len(BROKEN)]
    mixed = [file for pair in zip(good, sorted(tmp_path.iterdir()), strict=True) for file in pair]
    answers = list(probabilities(trained[1], mixed, runtime=CPU))
    assert [file for file, _ in answers] == mixed
    alone = dict(probabilities(trained[1], good, runtime=CPU))
    for file, found in answers:
        if file in alone:
            np.testing.assert_allclose(found, alone[file], rtol=1e-4)
        else:
            assert isinstance(found, DecodeError)
            assert str(found)


def test_a_batch_of_nothing_but_broken_files_is_answered(
    trained: tuple[Recipe, Classifier, Dataset], tmp_path: Path
) -> None:
    missing = [tmp_path / f"{number}.png" for number in range(BATCH + 1)]
    answers = list(probabilities(trained[1], missing, runtime=CPU))
    assert [(file, str(found)) for file, found in answers] == [(file, "no such file") for file in missing]
    assert list(probabilities(trained[1], [], runtime=CPU)) == []


@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]])
def test_what_cannot_be_read_ends_the_command_with_1_when_the_others_are_done(
    trained: tuple[Recipe, Classifier, Dataset],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    form: list[str],
) -> None:
    monkeypatch.setattr("trainables.export.load", lambda model: trained[1])
    good = [str(file) for file in sorted((root / "anna").iterdir())[:2]]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(truncated_jpeg())
    pictures = [good[0], str(broken), good[1]]
    assert command.main(["model", *pictures, "--device", "cpu", *form]) == 1
    out, error = capsys.readouterr()
    assert error.startswith(f"{broken}: ")
    assert error.count("\n") == 1
    assert all(file in out for file in good)
    assert str(broken) not in out
    assert command.main(["model", *good, "--device", "cpu", *form]) == 0
    assert capsys.readouterr().err == ""
    assert command.main(["model", str(broken), "--device", "cpu", *form]) == 1


@pytest.mark.parametrize("top", ["0", "-1"])
def test_fewer_than_one_class_a_picture_is_refused(capsys: pytest.CaptureFixture[str], top: str) -> None:
    assert command.main(["model", "new.jpg", "--top", top]) == 2
    assert capsys.readouterr().err == f"error: --top must be at least 1; received {top}.\n"
