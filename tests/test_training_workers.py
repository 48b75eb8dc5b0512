"""Several workers with gloo train what one alone would."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spaces.recipe import Recipe
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.checkpoint import Checkpoint
from trainables.feed import Batch, Feed
from trainables.loop import TrainData, train
from trainables.runtime import Runtime

WORKERS = 2
TRAIN, VAL = toy_pictures(51, 1), toy_pictures(31, 2)  # neither is a multiple of anything
OF_ITS_OWN = {"train_s", "val_s", "epoch_s", "images_per_s", "data_wait_s", "at_once"}

RECIPES = {
    "plain": tiny_recipe(
        augment={"strength": 1.0, "erase": 0.5},
        freeze={"epoch": 1},
        ema={"decay": 0.8},
        schedule={"name": "cosine"},
        loss={"label_smoothing": 0.1},
    ),
    "gradual": tiny_recipe(
        augment={"strength": 0.5, "strong_share": 0.5},
        freeze={"epoch": 2, "then": "gradual"},
        optim={"name": "sgd", "lr": 0.1, "layer_decay": 0.7, "clip_norm": 0.5},
        schedule={"name": "one_cycle"},
        loss={"label_smoothing": 0.1, "balance": "class_weights"},
        keep="best",
    ),
    "sampled": tiny_recipe(loss={"name": "focal", "balance": "sampling"}, optim={"name": "lamb"}),
    "batch norm": tiny_recipe(
        model={"args": {"width": 8, "blocks": 2, "dense": 16, "batch_norm": True}},
        augment={"strength": 0.5, "mixup": 0.5, "cutmix": 0.5, "background": 0.5},  # partners differ
        ema={"decay": 0.8},
    ),
}


def run(recipe: Recipe, runtime: Runtime) -> dict[str, Any]:
    metrics, states = [], []

    def report(epoch_metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        metrics.append({name: value for name, value in epoch_metrics.items() if name not in OF_ITS_OWN})
        states.append(checkpoint)

    ended = train(recipe, TrainData(TRAIN, VAL), report, runtime=runtime, epochs=3)
    model, ema = states[-1].model, states[-1].ema
    return {"metrics": metrics, "model": model, "ema": ema, "ended": ended.state_dict()}


def worker(rank: int, folder: str) -> None:
    """One process of the group."""
    store = torch.distributed.FileStore(f"{folder}/store", WORKERS)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=WORKERS)
    runtime = Runtime(device="cpu", threads=1, rank=rank, world_size=WORKERS)
    results = {name: run(recipe, runtime) for name, recipe in RECIPES.items()}
    torch.save(results, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def of_workers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each worker of two saw."""
    folder = tmp_path_factory.mktemp("workers")
    torch.multiprocessing.spawn(worker, (str(folder),), nprocs=WORKERS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORKERS)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "gradual", "sampled"])
def test_two_workers_have_the_metrics_and_weights_of_one(of_workers: list[dict[str, Any]], name: str) -> None:
    alone = run(RECIPES[name], CPU)
    for together in of_workers:
        for ours, expected in zip(together[name]["metrics"], alone["metrics"], strict=True):
            assert ours == pytest.approx(expected, abs=1e-5)
            # Shares of 51 and of 31 pictures: each is counted once.
            assert ours["train_accuracy"] * 51 == pytest.approx(round(ours["train_accuracy"] * 51), abs=1e-9)
            assert ours["val_accuracy"] * 31 == pytest.approx(round(ours["val_accuracy"] * 31), abs=1e-9)
        for part in ("model", "ended"):
            for key, weight in alone[part].items():
                torch.testing.assert_close(together[name][part][key], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_workers_agree_on_everything_batch_norm_statistics_included(of_workers: list[dict[str, Any]]) -> None:
    one, other = (together["batch norm"] for together in of_workers)
    assert one["metrics"] == other["metrics"]
    for part in ("model", "ema"):
        for name, value in one[part].items():
            assert torch.equal(value, other[part][name]), name


@pytest.mark.parametrize("workers", [2, 3, 5])
@pytest.mark.parametrize("name", ["plain", "gradual", "sampled"])
def test_workers_share_out_the_very_batches_that_one_would_see(name: str, workers: int) -> None:
    recipe = RECIPES[name]

    def batches(rank: int, world_size: int) -> list[Batch]:
        runtime = Runtime(device="cpu", rank=rank, world_size=world_size)
        feed = Feed(TRAIN, recipe, runtime, [0.5] * 3, [0.25] * 3)
        return list(feed.training(feed.steps_per_pass, 1, 1, recipe.geometry.size_px))

    shares = [batches(rank, workers) for rank in range(workers)]
    for step, whole in enumerate(batches(0, 1)):
        assert whole.pictures == len(whole.labels)
        for rank, share in enumerate(shares):
            torch.testing.assert_close(share[step].images, whole.images[rank::workers], rtol=0, atol=1e-5)
            assert torch.equal(share[step].labels, whole.labels[rank::workers])
            assert share[step].pictures == whole.pictures


@pytest.mark.parametrize("workers", [2, 3, 40])
def test_workers_share_out_the_pictures_to_evaluate(workers: int) -> None:
    served = []
    for rank in range(workers):
        pictures = toy_pictures(31, 2)
        runtime = Runtime(device="cpu", rank=rank, world_size=workers)
        list(Feed(pictures, RECIPES["plain"], runtime, [0.5] * 3, [0.25] * 3).evaluation())
        served += pictures.served
    assert sorted(served) == list(range(31))
