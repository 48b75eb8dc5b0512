"""ONNX and the hub on request, from the commands: what it takes is checked before a training begins, and an
export that fails costs no training."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from search import export as command
from search import predict, retrain, train
from search.model.training import forget
from search.storage.folder import SearchFolder, State
from tests.fake_hub import TOKEN, FakeHub, hub
from tests.test_commands import toy_folder
from trainables import export_check, stranger
from trainables.export import ExportError
from trainables.programs import PROGRAM_FILE

assert hub  # a fixture

RECIPE = """
epochs: 2
recipe:
  model: {name: plain_cnn, args: {width: 8, blocks: 2, dense: 16}}
  geometry: {size_px: 16}
  optim: {lr: 1e-2, batch_size: 16}
"""
OWN = ["own.yaml", "--data", "pictures", "--name", "mine", "--device", "cpu"]


@pytest.fixture(autouse=True)
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with pictures and a recipe; exports are checked in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLASSIFIER_SEARCH_CACHE", "cache")
    toy_folder(Path("pictures"), 120)
    Path("own.yaml").write_text(RECIPE)
    monkeypatch.setattr(export_check, "_ask_a_stranger", stranger.answers)


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts another network into `model.pt2` whenever there is an export."""
    whole = export_check.export

    class Other(torch.nn.Module):
        def forward(self, squares: torch.Tensor) -> torch.Tensor:
            return squares.mean(dim=(2, 3)).softmax(1)

    def spoilt(model: Any, recipe: Any, classes: Any, folder: Path, **options: Any) -> None:
        whole(model, recipe, classes, folder, **options)
        batch = ({0: torch.export.Dim("batch")},)
        program = torch.export.export(Other(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=batch)
        torch.export.save(program, folder / PROGRAM_FILE)

    monkeypatch.setattr(export_check, "export", spoilt)


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".model"))


def test_training_alone_exports_pushes_and_says_so(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*OWN, "--onnx", "--push-to-hub", "me/mine"]) == 0
    said = capsys.readouterr()
    assert "Exporting, and checking the files in a fresh process ...\nTest part, " in said.out
    assert said.out.endswith(f"Pushing results/mine/model to me/mine ...\nOn the hub:  {hub.url}/me/mine\n")
    assert TOKEN not in said.out + said.err
    model = Path("results/mine/model")
    assert {path.name for path in model.iterdir()} == {
        *("config.json", "model.safetensors", "model.pt2", "model.onnx", "classifier.json", "README.md"),
        *("metrics.json", "test_predictions.csv", "explained"),
    }
    assert hub.files["me/mine"]["model.onnx"] == (model / "model.onnx").read_bytes()
    assert "test_predictions.csv" not in hub.files["me/mine"]
    assert json.loads((model / "metrics.json").read_text())["data"] == "pictures"
    here = os.fsencode(Path.cwd())
    assert not [name for name, content in hub.files["me/mine"].items() if here in content]


def test_a_retrain_exports_to_onnx_when_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(OWN) == 0
    assert not Path("results/mine/model/model.onnx").exists()
    assert retrain.main(["results/mine", "--device", "cpu", "--onnx"]) == 0
    model = Path("results/mine/model-trial-0")
    assert (model / "model.onnx").exists()
    assert "`model.onnx`" in (model / "README.md").read_text(encoding="utf-8")
    assert predict.main([str(model), "pictures", "--device", "cpu"]) == 1  # one of them is broken


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--onnx"], "--onnx: onnxscript is not installed here. Install what it needs, or leave the option"),
        (["--push-to-hub", "mine"], "--push-to-hub mine: must be USER/NAME"),
        (["--push-to-hub", "you/mine"], "the token may write to me, us, not to you"),
        (["--public"], "--public says who may see"),
    ],
)
def test_what_is_missing_is_told_before_a_training_begins(
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name)
    )
    assert train.main([*OWN, *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not Path("results").exists()
    monkeypatch.setattr(importlib.util, "find_spec", find)
    assert train.main(OWN) == 0
    capsys.readouterr()
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name)
    )
    assert retrain.main(["results/mine", "--device", "cpu", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "epoch" not in captured.out
    assert not Path("results/mine/model-trial-0").exists()


def test_a_hub_that_cannot_be_asked_is_noted_and_the_model_is_kept_when_the_push_fails(
    hub: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert train.main([*OWN, "--push-to-hub", "me/mine"]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("Note: the hub could not be asked whether it will take the model: ")
    again = "python -m search.export results/mine/model --push-to-hub me/mine"
    assert said.err.rstrip().endswith(f"The model stays. To try again: {again}")
    assert SearchFolder(Path("results/mine")).state is State.FINISHED
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    assert command.main(again.split()[3:]) == 0
    assert set(hub.files["me/mine"]) >= {"model.safetensors", "README.md"}


def test_an_export_that_fails_leaves_no_model_and_costs_neither_training_nor_reading(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(monkeypatch)
    assert train.main(OWN) == 2
    error = capsys.readouterr().err
    assert "model.pt2 differs by up to " in error
    assert "go on with the export by python -m search.train --name mine --resume." in error
    folder = SearchFolder(Path("results/mine"))
    assert folder.state is State.CUT_OFF
    assert not folder.model.exists()
    assert not folder.readings_file.exists()
    assert [name.endswith(".checkpoint.pt") for name in hidden(folder.path)] == [True]


def test_after_an_export_that_failed_the_same_command_trains_nothing_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(OWN) == 0
    folder = SearchFolder(Path("results/mine"))
    again = ["results/mine", "--device", "cpu"]
    assert retrain.main([*again, "--out", "whole"]) == 0
    readings = folder.readings_file.read_text()
    capsys.readouterr()
    with monkeypatch.context() as patched:
        spoil(patched)
        assert retrain.main(again) == 2
    said = capsys.readouterr()
    assert "epoch   2 of 2 " in said.out
    assert "The training is not lost: the same command goes on with the export." in said.err
    assert not (folder.path / "model-trial-0").exists()
    assert folder.readings_file.read_text() == readings

    assert retrain.main(again) == 0
    assert "images/s" not in capsys.readouterr().out
    assert hidden(folder.path) == []
    same = [
        json.loads((model / "metrics.json").read_text())["test"]
        for model in (Path("whole"), folder.path / "model-trial-0")
    ]
    assert same[0] == same[1]


def test_a_resume_goes_on_with_the_export_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        spoil(patched)
        assert train.main([*OWN, "--onnx"]) == 2
    assert "--name mine --resume --onnx." in capsys.readouterr().err
    assert train.main(["--name", "mine", "--resume", "--device", "cpu", "--onnx"]) == 0
    assert "images/s" not in capsys.readouterr().out
    folder = SearchFolder(Path("results/mine"))
    assert folder.state is State.FINISHED
    assert (folder.model / "model.onnx").exists()
    assert folder.read_json(folder.model / "metrics.json")["test_readings"] == 1


def test_onnx_can_be_added_to_a_model_that_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(OWN) == 0
    model = Path("results/mine/model")
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    with monkeypatch.context() as patched:
        spoil(patched)
        with pytest.raises(ExportError, match=r"model\.pt2 differs by up to"):
            command.add_onnx(model)
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before
    assert hidden(model.parent) == []

    capsys.readouterr()
    assert command.main([str(model), "--onnx"]) == 0
    assert capsys.readouterr().out == f"ONNX:  {model / 'model.onnx'}\n"
    changed = {path for path in model.rglob("*") if path.is_file() and before.get(path) != path.read_bytes()}
    assert changed == {model / "model.onnx", model / "README.md"}
    assert "`model.onnx`" in (model / "README.md").read_text(encoding="utf-8")
    assert hidden(model.parent) == []


def test_a_finished_training_is_exported_to_onnx_by_a_resume(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(OWN) == 0
    again = ["--name", "mine", "--resume", "--device", "cpu", "--onnx"]
    for _ in range(2):
        assert train.main(again) == 0
        assert "nothing was trained or tested again" in capsys.readouterr().out
        assert "`model.onnx`" in Path("results/mine/model/README.md").read_text(encoding="utf-8")
        assert Path("results/mine/model/model.onnx").exists()


def test_a_folder_with_damaged_metrics_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(OWN) == 0
    model = Path("results/mine/model")
    SearchFolder.write_json(model / "metrics.json", {"data": None})
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    assert command.main([str(model), "--onnx"]) == 2
    assert "classifier.json or metrics.json is damaged" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before


def test_states_that_were_given_up_for_a_model_go_with_its_own(tmp_path: Path) -> None:
    digits, others = "0123456789ab", [".model-trial-3.0123456789ab.checkpoint.pt", ".model.x.checkpoint.pt"]
    for name in (f".model.{digits}.checkpoint.pt", f".model.{digits[::-1]}.checkpoint.pt", *others):
        (tmp_path / name).touch()
    forget(tmp_path / "model")
    assert sorted(path.name for path in tmp_path.glob(".model*")) == others


def test_onnx_is_not_added_without_pictures_to_check_it_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(OWN) == 0
    model = Path("results/mine/model")
    for picture in (model / "explained").iterdir():
        picture.unlink()
    assert command.main([str(model), "--onnx"]) == 2
    assert "has no pictures to check an export on. Retrain with --onnx." in capsys.readouterr().err
    assert not (model / "model.onnx").exists()
