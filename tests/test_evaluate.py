"""Which pictures `search.evaluate` takes: of the test part where there is one, of the classes asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from search.evaluate import evaluate, learnt_from
from search.storage.folder import SearchFolder
from spaces.errors import InputError
from tests.pictures import class_folders
from tests.toy_pictures import tiny_recipe
from trainables import export
from trainables.export import Classifier
from trainables.models.create import create_model, normalization

MODEL = Path("model")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Pictures in a train and a test part; `cleo` has none for testing, and `dora` only those."""
    class_folders(tmp_path / "parts" / "train", {"anna": 3, "bert": 3, "cleo": 3})
    class_folders(tmp_path / "parts" / "test", {"anna": 2, "bert": 2, "dora": 2})
    return tmp_path / "parts"


def model_of(classes: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe()
    model = create_model(recipe, len(classes)).eval()
    classifier = Classifier(model, list(classes), recipe.geometry, *normalization(model))
    monkeypatch.setattr(export, "load", lambda path: classifier)


def test_of_the_classes_asked_for_the_test_part_is_taken(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_of(["anna", "bert", "cleo"], monkeypatch)
    found = evaluate(MODEL, parts, classes=["anna", "bert"], device="cpu")
    assert (found["part"], found["only"], found["test"]["n"]) == ("test", ["anna", "bert"], 4)
    flat = evaluate(MODEL, parts / "train", device="cpu")
    assert (flat["part"], flat["only"], flat["test"]["n"]) == ("all", None, 9)


def test_pictures_for_training_never_stand_in_for_a_test_part(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_of(["anna", "bert", "cleo"], monkeypatch)
    with pytest.raises(InputError, match="parts has no pictures of cleo in its test part"):
        evaluate(MODEL, parts, classes=["cleo"], device="cpu")


def test_classes_that_the_model_does_not_know_are_refused_where_they_would_be_evaluated(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_of(["anna", "bert"], monkeypatch)
    with pytest.raises(InputError, match=r"not know: dora\. It .* To leave them out: --classes anna,bert$"):
        evaluate(MODEL, parts, device="cpu")
    assert evaluate(MODEL, parts, classes=["bert"], device="cpu")["test"]["n"] == 2


def test_no_command_is_suggested_that_would_take_a_name_with_a_comma_for_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_folders(tmp_path / "data", {"anna": 2, "bert, the elder": 2, "dora": 2})
    model_of(["anna", "bert, the elder"], monkeypatch)
    with pytest.raises(InputError, match=r"does not know: dora\. It knows: anna, bert, the elder\.$"):
        evaluate(MODEL, tmp_path / "data", device="cpu")


def test_pictures_that_the_search_has_learnt_from_are_counted(parts: Path, tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path / "mine")
    folder.path.mkdir()
    rows = [("a/1.png", "train"), ("a/2.png", "validation"), ("a/3.png", "selection"), ("a/4.png", "test")]
    split = pd.DataFrame(
        [(file, "a", "", part) for file, part in rows], columns=["file", "class", "group", "part"]
    )
    split.to_csv(folder.split_file, index=False)
    folder.write_json(folder.settings_file, {"source": str(parts)})
    asked = [file for file, _ in rows[1:]] + ["a/5.png"]
    assert learnt_from(folder.model, parts, asked) == 2
    assert learnt_from(folder.model, parts / "train", asked) == 0
    assert learnt_from(tmp_path / "elsewhere" / "model", parts, asked) == 0
