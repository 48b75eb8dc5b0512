"""Every built-in recipe learns: its loss falls, and it ends far over chance."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from spaces.recipe import Recipe
from spaces.recipe_files import load_trial_config, recipe_names
from trainables.data import Dataset, load, prepare, read_listing
from trainables.data.demo import demo_source
from trainables.evaluate import evaluate
from trainables.loop import TrainData, train
from trainables.runtime import Runtime

pytestmark = pytest.mark.slow

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
CLASSES = 3
PICTURES = 400
EPOCHS = 8
LONGER = {"resnet101_strong": 16}  # its pictures are hard to see through
FAR = 0.1  # over chance
CARRIER = {"name": "small_resnet", "args": {"width": 16, "depth": 1}}


def as_it_can_run_here(recipe: Recipe) -> Recipe:
    """The recipe itself, or, of one for a large pretrained network, its plan on a small untrained one.

    What was never trained cannot rest, and learns at the rate of the head.
    """
    if not recipe.model.pretrained:
        return recipe
    values = recipe.to_dict()
    values["model"] = {**values["model"], **CARRIER, "pretrained": False}
    values["geometry"]["size_px"] = 32
    values["freeze"]["epoch"] = 0
    values["optim"] |= {"lr": 2e-3, "backbone_lr_mult": 1.0}
    return Recipe.model_validate(values)


@pytest.fixture(scope="module", params=["demo", "simpsons-mnist"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    if request.param == "demo":
        return demo_source(folder)
    archive = SHARED / f"{request.param}-train.tar.gz"
    if not archive.exists():
        pytest.skip("the archive is not here")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / request.param / "train"


def opened(source: Path, recipe: Recipe, cache_dir: Path) -> Dataset:
    count = 2 if recipe.loss.name == "sigmoid" else CLASSES
    size_px = recipe.geometry.size_px
    classes = read_listing(source).classes[:count]
    split = prepare(source, size_px=size_px, classes=classes, cache_dir=cache_dir).split
    train = np.random.default_rng(0).permutation(np.flatnonzero(split["part"] == "train"))
    return load(source, split.drop(index=split.index[train[PICTURES:]]), size_px=size_px, cache_dir=cache_dir)


@pytest.mark.parametrize("name", recipe_names())
def test_a_built_in_recipe_learns(name: str, source: Path, tmp_path: Path) -> None:
    config = load_trial_config(name)
    recipe = as_it_can_run_here(config.recipe)
    data = opened(source, recipe, tmp_path)
    # An epoch of a few steps is no pass: such a recipe has its own length.
    epochs = config.epochs if recipe.steps_per_epoch else LONGER.get(name, EPOCHS)
    assert epochs is not None
    losses: list[float] = []
    model = train(
        recipe,
        TrainData(data.part("train"), data.part("validation")),
        lambda metrics, checkpoint: losses.append(metrics["train_loss"]),
        runtime=Runtime(device="cpu", threads=2),
        epochs=epochs,
    )
    assert losses[-1] < 0.95 * losses[0]
    assert evaluate(model, recipe, data.part("test"))["accuracy"] > 1 / len(data.classes) + FAR
