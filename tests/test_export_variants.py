"""Every kind of network, stem and head exports, and loads in a process that knows nothing of the training."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import trainables.models  # (before timm: see trainables.torch_setup)

import timm  # isort: skip

from spaces.network_checks import abilities_of
from spaces.recipe import Recipe
from tests.toy_pictures import CPU, ToyPictures, tiny_recipe, toy_pictures
from trainables.evaluate import evaluate
from trainables.export import Classifier, export, load, registering
from trainables.models.create import class_logits, create_model, normalization
from trainables.predict import probabilities

assert trainables.models.__all__

ROOT = Path(__file__).parent.parent
CLASSES = ["anna", "bert"]
ARGS = {"plain_cnn": {"width": 8, "dense": 16}, "small_resnet": {"width": 16}}
SIZE_PX = 32


def variants() -> dict[str, Recipe]:
    """Our networks, a CNN of timm's and a transformer, with all that each takes."""
    found = {}
    for name, stem, dense, loss in itertools.product(
        ("plain_cnn", "small_resnet", "test_resnet", "test_vit"),
        ("standard", "small"),
        (None, 12),
        ("cross_entropy", "sigmoid"),
    ):
        takes = abilities_of(name)
        assert takes is not None
        if (stem == "small" and not takes.small_stem) or (dense and not takes.head_dense):
            continue
        model = {
            "name": name,
            "args": ARGS.get(name, {}),
            "stem": stem,
            "head_dense": dense,
            "drop_rate": 0.3,
            "drop_path_rate": 0.1 if takes.drop_path else 0.0,
            "pool": "avgmax" if takes.pools else None,
        }
        key = f"{name}-{stem}-{'dense' if dense else 'linear'}-{loss}"
        found[key] = tiny_recipe(model=model, geometry={"size_px": SIZE_PX}, loss={"name": loss})
    return found


VARIANTS = variants()

CLEAN = """
import json, sys
from pathlib import Path
import torch

torch.set_num_threads(1)
root = Path(sys.argv[1])
folders = sorted(path for path in root.iterdir() if path.is_dir())
said = {folder: torch.load(folder.with_suffix(".pt")) for folder in folders}
found = {}

for folder in folders:
    program = torch.export.load(folder / "model.pt2").module()
    for count in (1, 5):
        answer = program(said[folder]["squares"][:count])
        found[f"{folder.name}, {count} with torch alone"] = answer - said[folder]["probabilities"][:count]
assert not {"timm", "torchvision", "trainables", "spaces"} & set(sys.modules)

import trainables.models, timm

for folder in folders:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        outputs = model((said[folder]["squares"] - mean) / std)
    found[f"{folder.name} with timm"] = outputs - said[folder]["outputs"]
print(json.dumps({what: difference.abs().max().item() for what, difference in found.items()}))
"""


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a variant, each with what its network said of some pictures."""
    root = tmp_path_factory.mktemp("exports")
    for number, (key, recipe) in enumerate(VARIANTS.items()):
        torch.manual_seed(number)
        model: Any = create_model(recipe, len(CLASSES))
        model(torch.randn(8, 3, SIZE_PX, SIZE_PX))  # moves the statistics of norms
        squares = torch.rand(5, 3, SIZE_PX, SIZE_PX)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalization(model))
        with torch.no_grad():
            outputs = model.eval()((squares - mean) / std)
        said = {"squares": squares, "outputs": outputs, "probabilities": class_logits(outputs).softmax(1)}
        torch.save(said, root / f"{key}.pt")
        (root / key).mkdir()
        export(model, recipe, CLASSES, root / key)
    return root


@pytest.mark.slow
def test_a_clean_process_loads_every_variant_with_timm_and_with_torch_alone(exports: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLEAN, str(exports)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 3 * len(VARIANTS)
    assert {what: difference for what, difference in found.items() if difference > 1e-5} == {}


@pytest.mark.slow
@pytest.mark.parametrize("key", VARIANTS)
def test_a_variant_loads_here_and_says_the_same(exports: Path, key: str) -> None:
    classifier = load(exports / key)
    said = torch.load(exports / f"{key}.pt")
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (classifier.mean, classifier.std))
    with torch.no_grad():
        outputs = classifier.model((said["squares"] - mean) / std)
    torch.testing.assert_close(outputs, said["outputs"])
    assert classifier.classes == CLASSES
    # timm gives it a head for other classes, as it does with its own.
    other = timm.create_model(f"local-dir:{exports / key}", pretrained=True, num_classes=5)
    assert other(said["squares"]).shape == (5, 5)
    config = json.loads((exports / key / "config.json").read_text())
    adapted = "small-" in key or "-dense-" in key
    assert config["architecture"] == ("adapted" if adapted else VARIANTS[key].model.name)
    needs_us = adapted or not key.startswith("test_")
    assert registering(VARIANTS[key], len(CLASSES)) == ["trainables.models"] * needs_us


def test_one_output_is_evaluated_and_predicted_as_two_classes(tmp_path: Path) -> None:
    recipe = tiny_recipe(loss={"name": "sigmoid"})
    model = create_model(recipe, 2).eval()
    toy = toy_pictures(12, 0, classes=2)
    scores = evaluate(model, recipe, ToyPictures(toy.pixels, toy.labels, CLASSES), runtime=CPU)
    assert scores["n"] == 12
    files = []
    for number, pixels in enumerate(toy.pixels):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(files[-1])
    classifier = Classifier(model, CLASSES, recipe.geometry, *normalization(model))
    answers = [answer for _, answer in probabilities(classifier, files, runtime=CPU)]
    found = torch.from_numpy(np.stack(answers))
    assert found.shape == (12, 2)
    torch.testing.assert_close(found.sum(1), torch.ones(12))
    right = found[torch.arange(12), torch.from_numpy(toy.labels)]
    assert scores["log_loss"] == pytest.approx(-right.log().mean().item(), rel=1e-4)
