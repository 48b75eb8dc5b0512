"""Every built-in recipe learns: its loss falls, and it ends far over chance."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from spaces.recipe import Recipe
from spaces.recipe_files import load_trial_config, recipe_names
from trainables.data import Dataset, load, prepare, read_listing
from trainables.data.demo import demo_source
from trainables.evaluate import evaluate
from trainables.loop import TrainData, train
from trainables.runtime import Runtime

pytestmark = pytest.mark.slow

CPU = Runtime(device="cpu", threads=1)
SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
CLASSES = 3
PICTURES = 400
EPOCHS = 8
FAR = 0.15  # over chance
CARRIER = {"name": "test_resnet", "stem": "small"}
"""A ResNet of timm's as small as can be, for the plans of the large ones."""


def carried(recipe: Recipe, old_epochs: int, epochs: int, weights: Path) -> Recipe:
    """The plan for a large pretrained network on the small one, whose few steps want a higher rate."""
    values = recipe.to_dict()
    values["model"] |= {**CARRIER, "pretrained": False, "weights": str(weights)}
    values["geometry"]["size_px"] = 32
    values["optim"]["lr"] = 4e-3
    return Recipe.model_validate(values).rescaled(old_epochs, epochs)


def in_small(recipe: Recipe, batch_size: int) -> Recipe:
    """A plan of batches for thousands of pictures, with the small network and the rate in proportion."""
    values = recipe.to_dict()
    values["model"] |= CARRIER
    values["optim"] |= {
        "lr": recipe.optim.lr * batch_size / recipe.optim.batch_size,
        "batch_size": batch_size,
    }
    return Recipe.model_validate(values)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The carrier, trained on characters of the demo that no test uses."""
    folder = tmp_path_factory.mktemp("pretrained")
    source = demo_source(folder)
    others = read_listing(source).classes[CLASSES:]
    split = prepare(source, size_px=32, classes=others, cache_dir=folder).split
    data = load(source, split, size_px=32, cache_dir=folder)
    recipe = Recipe.model_validate({"model": CARRIER, "geometry": {"size_px": 32}, "optim": {"lr": 3e-3}})
    parts = TrainData(data.part("train"), data.part("validation"))
    model = train(recipe, parts, lambda metrics, checkpoint: None, runtime=CPU, epochs=EPOCHS // 2)
    torch.save(model.state_dict(), folder / "weights.pt")
    return folder / "weights.pt"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real pictures; the demo's where they are not here."""
    folder = tmp_path_factory.mktemp("pictures")
    archive = SHARED / "simpsons-mnist-train.tar.gz"
    if not archive.exists():
        return demo_source(folder)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / "simpsons-mnist" / "train"


def opened(source: Path, recipe: Recipe, cache_dir: Path) -> Dataset:
    count = 2 if recipe.loss.name == "sigmoid" else CLASSES
    size_px = recipe.geometry.size_px
    classes = read_listing(source).classes[:count]
    split = prepare(source, size_px=size_px, classes=classes, cache_dir=cache_dir).split
    train = np.random.default_rng(0).permutation(np.flatnonzero(split["part"] == "train"))
    return load(source, split.drop(index=split.index[train[PICTURES:]]), size_px=size_px, cache_dir=cache_dir)


@pytest.mark.parametrize("name", recipe_names())
def test_a_built_in_recipe_learns(name: str, source: Path, weights: Path, tmp_path: Path) -> None:
    config = load_trial_config(name)
    recipe, epochs = config.recipe, EPOCHS
    if recipe.steps_per_epoch:  # its epochs are no passes: such a recipe has its own length
        epochs = config.epochs or epochs
    if recipe.model.pretrained:
        recipe = carried(recipe, config.epochs or epochs, epochs, weights)
        assert recipe.freeze.epoch > 0
    if recipe.optim.batch_size > PICTURES:
        recipe = in_small(recipe, batch_size=16)
    data = opened(source, recipe, tmp_path)
    losses: list[float] = []
    model = train(
        recipe,
        TrainData(data.part("train"), data.part("validation")),
        lambda metrics, checkpoint: losses.append(metrics["train_loss"]),
        runtime=CPU,
        epochs=epochs,
    )
    accuracy = evaluate(model, recipe, data.part("test"), runtime=CPU)["accuracy"]
    assert losses[-1] < 0.95 * losses[0]
    assert accuracy > 1 / len(data.classes) + FAR
