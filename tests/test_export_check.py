"""An export is checked by what its files say in a fresh process; one that says something else is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from spaces.recipe import Recipe
from tests.commands import ROOT, run_program
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables import stranger
from trainables.calibration import Calibration, FittedOn
from trainables.data import short_side_px
from trainables.export import ExportError, export, load
from trainables.export_check import Answers, answers, check_export, export_checked, some_squares
from trainables.loop import TrainData, train
from trainables.models.create import create_model, normalization
from trainables.predict import probabilities
from trainables.programs import write_programs

CLASSES = ["anna", "bert", "carl"]
CALIBRATED = Calibration(temperature=0.6, fitted_on=FittedOn(runs=3, pictures=90))
RECIPE = tiny_recipe(geometry={"size_px": 16, "fit": "crop"})
OURS = ["trainables.models"]


def squares(recipe: Recipe = RECIPE) -> torch.Tensor:
    return some_squares(toy_pictures(40, 1, size_px=20), recipe.geometry)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answers]:
    """A trained network's export with all files, and what the network said before it was exported."""
    folder = tmp_path_factory.mktemp("sound")
    model = train(RECIPE, TrainData(toy_pictures(64, 1)), lambda *_: None, runtime=CPU, epochs=2)
    expected = answers(model, squares(), CALIBRATED)
    export(model, RECIPE, CLASSES, folder, calibration=CALIBRATED, onnx=True)
    return folder, expected


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check runs in this process."""
    monkeypatch.setattr("trainables.export_check._ask_a_stranger", stranger.answers)


@pytest.fixture
def folder(sound: tuple[Path, Answers], tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return shutil.copytree(sound[0], tmp_path / "model")


def test_the_pictures_of_a_check_are_what_predict_makes_of_them(tmp_path: Path) -> None:
    from PIL import Image

    toy = toy_pictures(6, 1, size_px=short_side_px(16))  # as they lie in the cache
    files = []
    for number, pixels in enumerate(toy.pixels):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(files[-1])
    export_to = tmp_path / "model"
    export_to.mkdir()
    model = create_model(RECIPE, 3).eval()
    export(model, RECIPE, CLASSES, export_to, calibration=CALIBRATED)
    expected = answers(model, some_squares(toy, RECIPE.geometry), CALIBRATED)
    found = np.stack([said for _, said in probabilities(load(export_to), files, runtime=CPU)])
    np.testing.assert_allclose(expected.probabilities, found, atol=1e-6)


def test_a_few_pictures_from_all_over_a_part_are_asked_about() -> None:
    many, few = toy_pictures(500, 1), toy_pictures(3, 1)
    assert some_squares(many, RECIPE.geometry).shape == (16, 3, 16, 16)
    assert (many.served[0], many.served[-1], len(set(many.served))) == (0, 499, 16)
    assert some_squares(few, RECIPE.geometry).shape == (3, 3, 16, 16)


@pytest.mark.slow
def test_a_sound_export_passes_in_a_fresh_process(
    sound: tuple[Path, Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    run = subprocess.run

    def noted(command: list[str], **options: Any) -> Any:
        ran.append(command)
        return run(command, **options)

    monkeypatch.setattr("subprocess.run", noted)
    check_export(*sound, OURS)
    (command,) = ran
    assert command[:3] == [sys.executable, "-m", "trainables.stranger"]


@pytest.mark.slow
def test_every_file_that_says_something_else_is_named_with_how_much(
    folder: Path, sound: tuple[Path, Answers]
) -> None:
    weights = load_file(folder / "model.safetensors")
    name = max(weights, key=lambda name: weights[name].ndim)
    weights[name] += 0.05
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    other = create_model(RECIPE, 3).eval()
    mean, std = normalization(other)
    write_programs(other, folder, mean=mean, std=std, temperature=0.6, size_px=16, onnx=True)
    with pytest.raises(ExportError) as raised:
        check_export(folder, sound[1], OURS)
    said = str(raised.value)
    assert "do not say what the trained network says, in a fresh process, of 16 pictures" in said
    for file in ("model.pt2", "model.onnx", "model.safetensors"):
        assert f"{file} differs by up to " in said
    with torch.no_grad():
        off = np.abs(
            torch.export.load(folder / "model.pt2").module()(sound[1].squares).numpy()
            - sound[1].probabilities
        ).max()
    assert f"model.pt2 differs by up to {off:.3g} (allowed: 0.001)" in said


def test_timm_and_the_users_modules_are_imported_after_the_programs_have_answered(
    sound: tuple[Path, Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def ask(folder: Path, squares: np.ndarray, files: list[str], modules: list[str]) -> Any:
        asked.append((files, modules))
        return stranger.answers(folder, squares, files, modules)

    monkeypatch.setattr("trainables.export_check._ask_a_stranger", ask)
    check_export(*sound, OURS)
    assert asked == [(["model.pt2", "model.onnx", "model.safetensors"], OURS)]


@pytest.mark.parametrize("file", ["model.pt2", "model.onnx", "model.safetensors"])
@pytest.mark.usefixtures("here")
def test_a_damaged_file_is_named(folder: Path, sound: tuple[Path, Answers], file: str) -> None:
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExportError, match=rf"of 16 pictures: {file} cannot be used \(\w+: [^;]*$"):
        check_export(folder, sound[1], OURS)


@pytest.mark.usefixtures("here")
def test_another_temperature_mean_or_class_is_found(folder: Path, sound: tuple[Path, Answers]) -> None:
    model = load(folder).model
    mean, std = normalization(model)
    write_programs(model, folder, mean=mean, std=std, temperature=1.0, size_px=16, onnx=False)
    with pytest.raises(ExportError, match=r"pictures: model\.pt2 differs by up to"):
        check_export(folder, sound[1], OURS)
    write_programs(model, folder, mean=mean, std=std, temperature=0.6, size_px=16, onnx=False)
    check_export(folder, sound[1], OURS)

    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"]["mean"] = [0.4, 0.5, 0.5]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExportError, match=r"pictures: model\.safetensors differs by up to"):
        check_export(folder, sound[1], OURS)

    two = Answers(sound[1].squares, sound[1].outputs[:, :2], sound[1].probabilities[:, :2])
    with pytest.raises(ExportError, match=r"puts out \(3,\) values a picture in place of \(2,\)"):
        check_export(folder, two, OURS)


@pytest.mark.usefixtures("here")
def test_a_network_that_puts_out_what_is_no_number_is_found(
    folder: Path, sound: tuple[Path, Answers]
) -> None:
    weights = load_file(folder / "model.safetensors")
    weights = {name: tensor * torch.nan for name, tensor in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ExportError, match=r"model\.safetensors differs by up to nan"):
        check_export(folder, sound[1], OURS)


@pytest.mark.slow
def test_a_process_that_dies_fails_the_export_with_its_last_word(
    sound: tuple[Path, Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(ExportError, match=r"ended with status 1: without a word"):
        check_export(*sound, OURS)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("loss", ["cross_entropy", "sigmoid"])
def test_an_export_with_all_files_is_made_and_checked_by_one_call(tmp_path: Path, loss: str) -> None:
    recipe = tiny_recipe(loss={"name": loss})
    export_checked(
        create_model(recipe, 2).eval(),
        recipe,
        CLASSES[:2],
        tmp_path,
        squares=squares(recipe),
        calibration=CALIBRATED,
        onnx=True,
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        *("config.json", "model.safetensors", "model.pt2", "model.onnx", "classifier.json")
    }


@pytest.mark.usefixtures("here")
def test_onnx_takes_any_number_of_squares_and_puts_out_calibrated_probabilities(
    sound: tuple[Path, Answers],
) -> None:
    import onnxruntime

    folder, expected = sound
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (entry,), (out,) = session.get_inputs(), session.get_outputs()
    assert (entry.name, entry.type, entry.shape[1:]) == ("squares", "tensor(float)", [3, 16, 16])
    assert (out.name, out.shape[1:]) == ("probabilities", [3])
    for count in (1, 7, 16):
        (found,) = session.run(None, {"squares": expected.squares[:count].numpy()})
        np.testing.assert_allclose(found, expected.probabilities[:count], atol=1e-5)


LONELY = """
import json, sys
from pathlib import Path
import numpy as np
from trainables import stranger

found = stranger.answers(Path({folder!r}), np.zeros((2, 3, 16, 16), np.float32), {files!r}, [])
assert all(isinstance(answer, list) for answer in found.values()), found
print(sorted(name for name in sys.modules if name.partition(".")[0] in
             ("timm", "torchvision", "trainables", "spaces", "search", "pandas")))
"""


@pytest.mark.slow
def test_the_fresh_process_loads_programs_without_timm_and_without_us(sound: tuple[Path, Answers]) -> None:
    done = run_program(LONELY.format(folder=str(sound[0]), files=["model.pt2", "model.onnx"]))
    done.check_returncode()
    assert done.stdout.strip() == "['trainables', 'trainables.stranger']"


@pytest.mark.slow
def test_a_network_of_timms_needs_none_of_us(tmp_path: Path) -> None:
    recipe = tiny_recipe(model={"name": "test_resnet", "args": {}}, geometry={"size_px": 32})
    model = create_model(recipe, 3).eval()
    export(model, recipe, CLASSES, tmp_path)
    program = f"""
import timm, torch
from safetensors.torch import load_file
model = timm.create_model("local-dir:{tmp_path}", pretrained=True)
weights = load_file("{tmp_path}/model.safetensors")
assert model.state_dict().keys() == weights.keys()
assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
print(model.num_classes, model.pretrained_cfg["label_names"], model.pretrained_cfg["input_size"])
"""
    prologue = "import runpy; runpy.run_path({!r})\n".format(str(ROOT / "trainables" / "torch_setup.py"))
    done = subprocess.run(
        [sys.executable, "-P", "-c", prologue + program],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3 ['anna', 'bert', 'carl'] (3, 32, 32)"
