"""An exported folder is all that others need: timm, or torch alone, in a process that knows nothing of us."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from spaces.recipe import Recipe
from tests.toy_pictures import CPU, HOSTILE, ToyPictures, tiny_recipe, toy_pictures
from trainables.calibration import NOT_CALIBRATED, Calibration, FittedOn
from trainables.evaluate import evaluate
from trainables.export import DESCRIPTION_FILE, ExportError, export, load, registering
from trainables.loop import TrainData, train
from trainables.programs import PROGRAM_FILE

ROOT = Path(__file__).parent.parent
VIT_ARGS = {"depth": 2, "embed_dim": 48, "num_heads": 3}


def recipe(name: str, size_px: int, args: dict[str, Any], **geometry: str) -> Recipe:
    return tiny_recipe(
        model={"name": name, "args": args, "drop_rate": 0.2},
        geometry={"size_px": size_px, **geometry},
        steps_per_epoch=2,
    )


OURS = {
    "plain_cnn": recipe("plain_cnn", 20, {"width": 8, "blocks": 2, "dense": 16, "batch_norm": True}),
    "vgg4_cnn": recipe("vgg4_cnn", 46, {"width": 8, "dense": 24}),
    "mini_xception": recipe("mini_xception", 40, {"width": 8, "dense": 24, "batch_norm": True}, fit="crop"),
}
OF_TIMM = {
    "resnet10t": recipe("resnet10t", 32, {}, fit="pad"),
    "vit_tiny_patch16_224": recipe("vit_tiny_patch16_224", 32, VIT_ARGS),
}
CALIBRATION = Calibration(
    temperature=0.37, fitted_on=FittedOn(runs=3, pictures=240), unknown_below=0.41, false_alarm_rate=0.05
)
CALIBRATED = ("mini_xception", "resnet10t")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder an exported network, trained for two steps, each with what it says of some pictures."""
    root = tmp_path_factory.mktemp("exports")
    for name, trained in {**OURS, **OF_TIMM}.items():
        pictures = toy_pictures(32, 1, classes=len(HOSTILE), size_px=trained.geometry.size_px)
        model = train(trained, TrainData(pictures), lambda *_: None, runtime=CPU, epochs=1)
        squares = torch.rand(5, 3, *[trained.geometry.size_px] * 2)
        (root / name).mkdir()
        calibration = CALIBRATION if name in CALIBRATED else NOT_CALIBRATED
        export(model, trained, HOSTILE, root / name, calibration=calibration)
        classifier = load(root / name)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (classifier.mean, classifier.std))
        with torch.no_grad():
            logits = model((squares - mean) / std)
        said = {"squares": squares, "mean": mean, "std": std, "logits": logits}
        said["probabilities"] = (logits / calibration.temperature).softmax(1)
        torch.save(said, root / f"{name}.pt")
    return root


CLEAN = """
import json, sys
from pathlib import Path
import torch

torch.set_num_threads(1)
root, ours, of_timm = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3].split(",")
said = {name: torch.load(root / f"{name}.pt") for name in ours + of_timm}
found = {}

def differ(one, other):
    return (one - other).abs().max().item()

def logits(name):
    import timm
    model = timm.create_model(f"local-dir:{root / name}", pretrained=True).eval()
    with torch.no_grad():
        return model((said[name]["squares"] - said[name]["mean"]) / said[name]["std"])

for name, its in said.items():
    program = torch.export.load(root / name / "model.pt2").module()
    expected = its["probabilities"]
    for count in (5, 1):
        answer = program(its["squares"][:count])
        found[f"{name}, {count} with torch alone"] = differ(answer, expected[:count])
assert not {"timm", "torchvision", "trainables", "spaces"} & set(sys.modules)

import trainables.torch_setup
for name in of_timm:
    found[f"{name} with timm alone"] = differ(logits(name), said[name]["logits"])
assert "trainables.models" not in sys.modules

import trainables.models
for name in ours:
    found[f"{name} with timm and our networks"] = differ(logits(name), said[name]["logits"])
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_clean_process_gets_the_same_answers_with_timm_and_with_torch_alone(exports: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLEAN, str(exports), ",".join(OURS), ",".join(OF_TIMM)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 3 * len(OURS | OF_TIMM)
    assert {what: difference for what, difference in found.items() if difference > 1e-5} == {}


@pytest.mark.parametrize("name", [*OURS, *OF_TIMM])
def test_the_description_and_timms_config_say_how_pictures_are_prepared(exports: Path, name: str) -> None:
    trained, classifier = (OURS | OF_TIMM)[name], load(exports / name)
    size_px = trained.geometry.size_px
    assert classifier.geometry == trained.geometry
    assert not classifier.model.training
    described = json.loads((exports / name / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    assert Recipe.model_validate(described["recipe"]) == trained
    config = json.loads((exports / name / "config.json").read_text())["pretrained_cfg"]
    assert config["input_size"] == [3, size_px, size_px]
    assert (config["mean"], config["std"]) == (classifier.mean, classifier.std)
    mode = {"resize": "squash", "crop": "center", "pad": "border"}[trained.geometry.fit]
    assert (config["crop_mode"], config["crop_pct"], config["interpolation"]) == (mode, 1.0, "bilinear")
    assert not [key for key in config if key.startswith("test_")]


def test_class_names_survive_whatever_is_in_them(exports: Path) -> None:
    folder = exports / "plain_cnn"
    assert load(folder).classes == HOSTILE
    config = json.loads((folder / "config.json").read_text())
    assert config["label_names"] == HOSTILE


def test_it_is_said_what_to_import_before_timm_makes_the_network() -> None:
    assert registering(OURS["plain_cnn"], 7) == ["trainables.models"]
    assert registering(OF_TIMM["resnet10t"], 7) == []
    small = tiny_recipe(model={"name": "resnet10t", "args": {}, "stem": "small"})
    assert registering(small, 7) == ["trainables.models"]
    assert registering(recipe("net_of_mine", 32, {}), 7, ("my_networks",)) == ["my_networks"]


def test_a_calibration_is_in_the_description_and_the_program(exports: Path) -> None:
    for name in CALIBRATED:
        folder, said = exports / name, torch.load(exports / f"{name}.pt")
        assert load(folder).calibration == CALIBRATION
        answers = torch.export.load(folder / PROGRAM_FILE).module()(said["squares"])
        torch.testing.assert_close(answers, said["probabilities"])
        assert not torch.allclose(answers, said["logits"].softmax(1), atol=1e-3)
        assert torch.equal(answers.argmax(1), said["logits"].argmax(1))


def test_no_file_holds_paths_of_this_machine(exports: Path, tmp_path: Path) -> None:
    weights = str(tmp_path / "start.safetensors")
    of_weights = OURS["plain_cnn"].model_copy(
        update={"model": OURS["plain_cnn"].model.model_copy(update={"weights": weights})}
    )
    (tmp_path / "model").mkdir()
    export(load(exports / "plain_cnn").model, of_weights, HOSTILE, tmp_path / "model", onnx=True)
    described = json.loads((tmp_path / "model" / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    assert described["recipe"]["model"]["weights"] == "start.safetensors"
    paths = [
        str(place).encode() for place in (ROOT, tmp_path, Path(torch.__file__).parent.parent, Path.home())
    ]
    for file in (tmp_path / "model").iterdir():
        contents = [file.read_bytes()]
        if file.name == PROGRAM_FILE:
            with zipfile.ZipFile(file) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        assert [path for path in paths for content in contents if path in content] == [], file.name


def test_an_export_of_before_there_were_calibrations_has_a_temperature_of_one(folder: Path) -> None:
    described = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    assert described.pop("calibration") == NOT_CALIBRATED.model_dump()
    (folder / DESCRIPTION_FILE).write_text(json.dumps(described))
    found = load(folder).calibration
    assert (found.temperature, found.unknown_below) == (1.0, None)


def test_a_loaded_folder_can_be_exported_again(exports: Path, tmp_path: Path) -> None:
    export(load(exports / "plain_cnn").model, OURS["plain_cnn"], HOSTILE, tmp_path)
    assert load(tmp_path).classes == HOSTILE
    images = torch.rand(2, 3, 20, 20)
    with torch.no_grad():
        assert torch.equal(load(tmp_path).model(images), load(exports / "plain_cnn").model(images))


@pytest.fixture
def folder(exports: Path, tmp_path: Path) -> Path:
    """A copy of an export, to be damaged."""
    return shutil.copytree(exports / "plain_cnn", tmp_path / "model")


def edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **values}))


@pytest.mark.parametrize("content", [None, "", "{", "[1, 2]", "null", '{"classes": ["a"]}', "\udcff"])
def test_a_folder_without_a_sound_description_is_no_classifier(folder: Path, content: str | None) -> None:
    if content is None:
        (folder / DESCRIPTION_FILE).unlink()
    else:
        (folder / DESCRIPTION_FILE).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ExportError, match=r"model is not an exported classifier .*search\.retrain"):
        load(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"geometry": {"size_px": 1}},
        {"geometry": {"size_px": 20, "code": "evil"}},
        {"classes": "abcdefg"},
        {"classes": [1, 2, 3]},
        {"mean": [0.5]},
        {"std": [0.5, 0.5, "x"]},
        {"calibration": {"temperature": 0.0}},
        {"calibration": {"temperature": 1.0, "unknown_below": 1.5}},
    ],
)
def test_a_description_with_wrong_values_is_refused(folder: Path, values: dict[str, object]) -> None:
    edit(folder / DESCRIPTION_FILE, **values)
    with pytest.raises(ExportError, match=f"model is not an exported classifier .*{next(iter(values))}"):
        load(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nowhere is not an exported classifier"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_network_is_refused(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExportError, match="the network cannot be loaded"):
        load(folder)
    (folder / name).unlink()
    with pytest.raises(ExportError, match=name):
        load(folder)


def test_weights_of_another_network_are_refused(folder: Path, exports: Path) -> None:
    shutil.copy(exports / "mini_xception" / "model.safetensors", folder)
    with pytest.raises(ExportError, match="the network cannot be loaded"):
        load(folder)


def test_an_unknown_network_hints_at_import(folder: Path) -> None:
    edit(folder / "config.json", architecture="network_of_mine")
    with pytest.raises(ExportError, match=r"network_of_mine.*name its module with --import"):
        load(folder)


def test_classes_and_outputs_must_be_equally_many(folder: Path) -> None:
    edit(folder / DESCRIPTION_FILE, classes=["a", "b"])
    with pytest.raises(ExportError, match="2 classes, but the network has 7 outputs"):
        load(folder)


def test_a_pickle_in_place_of_the_weights_is_not_loaded(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ExportError, match=r"no model\.safetensors"):
        load(folder)


@pytest.mark.parametrize("name", ["plain_cnn", "resnet10t"])
def test_an_export_scores_as_the_network_did(exports: Path, name: str) -> None:
    trained, classifier = (OURS | OF_TIMM)[name], load(exports / name)
    toy = toy_pictures(32, 1, classes=len(HOSTILE), size_px=trained.geometry.size_px)
    pictures = ToyPictures(toy.pixels, toy.labels, HOSTILE)
    model = train(trained, TrainData(toy), lambda *_: None, runtime=CPU, epochs=1)
    before = evaluate(model, trained, pictures, runtime=CPU)
    after = evaluate(classifier.model, trained, pictures, runtime=CPU)
    assert after["log_loss"] == pytest.approx(before["log_loss"], rel=1e-5)
    assert after["confusion_matrix"] == before["confusion_matrix"]
    assert (exports / name / PROGRAM_FILE).exists()
