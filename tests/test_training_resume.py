"""A training that goes on from a checkpoint has the numbers of one that was never interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from spaces.recipe import Recipe
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.checkpoint import Checkpoint, CheckpointError
from trainables.loop import TrainData, train

DATA = TrainData(toy_pictures(50, 1), toy_pictures(30, 2, random_labels=True))
TIMES = {"train_s", "val_s", "epoch_s", "images_per_s", "data_wait_s"}
EPOCHS = 5
SEED = 3

RECIPES = {
    "everything random, cosine, unfreezing all": tiny_recipe(
        model={
            "name": "plain_cnn",
            "drop_rate": 0.3,
            "args": {"width": 8, "blocks": 2, "dense": 16, "batch_norm": True},
        },
        augment={"strength": 1.0, "erase": 0.5, "grayscale": 0.3},
        schedule={"name": "cosine"},
        ema={"decay": 0.9},
        freeze={"epoch": 2},
        loss={"label_smoothing": 0.1},
    ),
    "plateau, unfreezing the last stage, short epochs": tiny_recipe(
        model={"drop_rate": 0.3},
        schedule={"name": "plateau", "factor": 0.3, "patience_epochs": 0},
        freeze={"epoch": 3, "then": "last_stage"},
        steps_per_epoch=3,
    ),
    "gradual, SGD in one cycle, layer decay, clipped, mixed, the best average kept": tiny_recipe(
        model={"drop_rate": 0.3, "args": {"width": 8, "blocks": 3, "dense": 16, "batch_norm": True}},
        augment={"strength": 0.5, "strong_share": 0.5, "background": 0.3, "mixup": 0.4, "cutmix": 0.4},
        optim={"name": "sgd", "layer_decay": 0.7, "clip_norm": 0.5},
        schedule={"name": "one_cycle"},
        freeze={"epoch": 2, "then": "gradual"},
        loss={"label_smoothing": 0.1, "balance": "class_weights"},
        ema={"decay": 0.9},
        keep="best",
    ),
    "growing pictures, balanced sampling, lion, warm-up and steps": tiny_recipe(
        model={"name": "test_resnet", "drop_rate": 0.2, "drop_path_rate": 0.1, "args": {}},
        geometry={"size_px": 32, "start_px": 16},
        optim={"name": "lion", "lr": 1e-3},
        schedule={"name": "step", "warmup_share": 0.3},
        freeze={"epoch": 1, "then": "last_two_stages"},
        loss={"name": "focal", "balance": "sampling"},
    ),
    "plateau after a warm-up, lamb, logit adjustment, the best kept": tiny_recipe(
        optim={"name": "lamb"},
        schedule={"name": "plateau", "warmup_share": 0.3, "factor": 0.3, "patience_epochs": 0},
        loss={"balance": "logit_adjustment"},
        keep="best",
    ),
    "ended by patience": tiny_recipe(schedule={"name": "plateau"}, ema={"decay": 0.9}, patience_epochs=2),
    "diverged, the best kept": tiny_recipe(
        optim={"lr": 1e30, "head_lr_mult": 1e-30}, freeze={"epoch": 2}, keep="best"
    ),
    "diverged": tiny_recipe(optim={"lr": 1e30}),
}


def run(
    recipe: Recipe, folder: Path, resume: Checkpoint | None = None
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Trains and saves each epoch's checkpoint: the weights, and each epoch's metrics but for the times."""
    metrics = []

    def report(epoch_metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        metrics.append({name: value for name, value in epoch_metrics.items() if name not in TIMES})
        checkpoint.save(folder / f"{checkpoint.epoch}.pt")

    model = train(recipe, DATA, report, runtime=CPU, seed=SEED, epochs=EPOCHS, resume=resume)
    return model.state_dict(), metrics


@pytest.mark.parametrize("name", RECIPES)
def test_resumed_after_any_epoch_it_ends_with_the_very_same_numbers(name: str, tmp_path: Path) -> None:
    weights, metrics = run(RECIPES[name], tmp_path)
    for epoch in range(1, len(metrics) + 1):
        again = tmp_path / f"from {epoch}"
        again.mkdir()
        torch.rand(epoch)  # the process has drawn other numbers meanwhile
        resumed, later = run(RECIPES[name], again, Checkpoint.load(tmp_path / f"{epoch}.pt"))
        assert repr(later) == repr(metrics[epoch:])  # NaN is not equal to itself
        for key, weight in resumed.items():
            torch.testing.assert_close(weight, weights[key], rtol=0, atol=0, equal_nan=True)


def test_a_training_that_its_patience_ended_has_nothing_left_to_do(tmp_path: Path) -> None:
    _, metrics = run(RECIPES["ended by patience"], tmp_path)
    assert len(metrics) < EPOCHS
    _, later = run(RECIPES["ended by patience"], tmp_path, Checkpoint.load(tmp_path / f"{len(metrics)}.pt"))
    assert later == []


def test_a_checkpoint_can_be_handed_on_from_one_resumed_training_to_the_next(tmp_path: Path) -> None:
    recipe = RECIPES["everything random, cosine, unfreezing all"]
    weights, _ = run(recipe, tmp_path)
    for epoch in range(1, EPOCHS):
        again = tmp_path / f"from {epoch}"
        again.mkdir()
        run(recipe, again, Checkpoint.load(tmp_path / f"{epoch}.pt"))
        (again / f"{epoch + 1}.pt").replace(tmp_path / f"{epoch + 1}.pt")
    resumed, _ = run(recipe, tmp_path, Checkpoint.load(tmp_path / f"{EPOCHS}.pt"))
    assert all(torch.equal(weight, weights[key]) for key, weight in resumed.items())


def test_a_checkpoint_of_another_recipe_is_refused_naming_what_differs(tmp_path: Path) -> None:
    run(RECIPES["ended by patience"], tmp_path)
    checkpoint = Checkpoint.load(tmp_path / "1.pt")
    other = tiny_recipe(schedule={"name": "cosine"}, ema={"decay": 0.9}, patience_epochs=2)
    with pytest.raises(CheckpointError, match=r"its recipe\.schedule\.name is plateau and not cosine\.$"):
        train(other, DATA, lambda *_: None, runtime=CPU, seed=SEED, epochs=EPOCHS, resume=checkpoint)
    with pytest.raises(CheckpointError, match=r"its epochs is 5 and not 9, seed is 3 and not 4\.$"):
        train(
            RECIPES["ended by patience"],
            DATA,
            lambda *_: None,
            runtime=CPU,
            seed=4,
            epochs=9,
            resume=checkpoint,
        )
