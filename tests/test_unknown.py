"""What the commands say of a picture that a model takes for none of its classes."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search import evaluate, predict
from tests.pictures import class_folders
from tests.toy_pictures import CPU, tiny_recipe
from trainables import export
from trainables.calibration import Calibration
from trainables.export import Classifier
from trainables.models.create import create_model, normalization
from trainables.predict import probabilities

CLASSES = ["<b>bold", "[red]", "unknown"]
COUNT = 7
BELOW = 10
"""Pictures that are called unknown."""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "pictures", dict.fromkeys(CLASSES, COUNT))


@pytest.fixture
def classifier(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    """One that calls about half of the pictures unknown; what every path loads."""
    recipe = tiny_recipe()
    model = create_model(recipe, len(CLASSES)).eval()
    plain = Classifier(model, CLASSES, recipe.geometry, *normalization(model))
    files = sorted(pictures.rglob("*.png"))
    best = sorted(float(found.max()) for _, found in probabilities(plain, files, runtime=CPU))  # type: ignore[union-attr]
    between = (best[BELOW - 1] + best[BELOW]) / 2
    found = replace(plain, calibration=Calibration(unknown_below=between))
    monkeypatch.setattr(export, "load", lambda path: found)
    return found


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert predict.main(["model", *arguments, "--device", "cpu"]) == 0
    return capsys.readouterr().out


def answers(capsys: pytest.CaptureFixture[str], pictures: Path) -> list[dict[str, Any]]:
    return json.loads(said(capsys, str(pictures), "--json"))


def test_as_json_the_best_class_stays_and_unknown_says_whether_it_counts(
    classifier: Classifier, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answers(capsys, pictures)
    below = classifier.calibration.unknown_below
    assert below is not None
    assert sum(answer["unknown"] for answer in found) == BELOW
    for answer in found:
        assert set(answer) == {"path", "class", "probability", "unknown", "top"}
        assert answer["unknown"] == (answer["probability"] < below)
        assert answer["class"] == answer["top"][0]["class"]


def test_csv_and_text_say_the_same(
    classifier: Classifier, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answers(capsys, pictures)
    rows = list(csv.DictReader(io.StringIO(said(capsys, str(pictures), "--csv", "--top", "2"))))
    assert list(rows[0]) == ["path", "class", "probability", "class_2", "probability_2", "unknown"]
    assert [(row["class"], row["unknown"]) for row in rows] == [
        (answer["class"], "true" if answer["unknown"] else "false") for answer in found
    ]
    for answer, line in zip(found, said(capsys, str(pictures)).splitlines()[1:], strict=True):
        expected = [answer["path"], answer["class"], f"{answer['probability']:.3f}"]
        others = [f"{best['class']} {best['probability']:.3f}" for best in answer["top"]]
        if answer["unknown"]:
            expected[1] = "unknown"
        else:
            others = others[1:]
        assert line.split() == " ".join([*expected, ", ".join(others)]).split()


def test_a_model_without_a_threshold_says_that_it_cannot_tell(
    classifier: Classifier,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = replace(classifier, calibration=Calibration(temperature=1.3))
    monkeypatch.setattr(export, "load", lambda path: plain)
    assert {answer["unknown"] for answer in answers(capsys, pictures)} == {None}
    rows = csv.DictReader(io.StringIO(said(capsys, str(pictures), "--csv")))
    assert {row["unknown"] for row in rows} == {""}
    assert evaluate.main(["model", "--data", str(pictures), "--device", "cpu"]) == 0
    assert "unknown" not in capsys.readouterr().out


def test_evaluating_counts_the_known_pictures_that_are_called_unknown(
    classifier: Classifier, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["model", "--data", str(pictures), "--device", "cpu"]
    assert evaluate.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["called_unknown"] == BELOW
    assert evaluate.main(arguments) == 0
    assert capsys.readouterr().out.rstrip().endswith(f", {BELOW} called unknown")


def test_the_help_of_predict_says_what_unknown_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        predict.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "is called unknown where its best class is less probable than the model's threshold" in text
