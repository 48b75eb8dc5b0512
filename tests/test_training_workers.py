"""Several workers with gloo train what one alone would."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spaces.recipe import Recipe
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.checkpoint import Checkpoint
from trainables.feed import Feed
from trainables.loop import TrainData, train
from trainables.runtime import Runtime

WORKERS = 2
TRAIN, VAL = toy_pictures(51, 1), toy_pictures(31, 2)  # neither is a multiple of anything
TIMES = {"train_s", "val_s", "epoch_s", "images_per_s"}

RECIPES = {
    "plain": tiny_recipe(
        augment={"strength": 1.0, "erase": 0.5},
        freeze={"epoch": 1},
        ema={"decay": 0.8},
        schedule={"name": "cosine"},
        loss={"label_smoothing": 0.1},
    ),
    "batch norm": tiny_recipe(
        model={"args": {"width": 8, "blocks": 2, "dense": 16, "batch_norm": True}}, ema={"decay": 0.8}
    ),
}


def run(recipe: Recipe, runtime: Runtime) -> dict[str, Any]:
    metrics, states = [], []

    def report(epoch_metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        metrics.append({name: value for name, value in epoch_metrics.items() if name not in TIMES})
        states.append(checkpoint)

    train(recipe, TrainData(TRAIN, VAL), report, runtime=runtime, epochs=3)
    return {"metrics": metrics, "model": states[-1].model, "ema": states[-1].ema}


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
def test_two_workers_have_the_metrics_and_weights_of_one(of_workers: list[dict[str, Any]]) -> None:
    alone = run(RECIPES["plain"], CPU)
    for together in of_workers:
        for ours, expected in zip(together["plain"]["metrics"], alone["metrics"], strict=True):
            assert ours == pytest.approx(expected, abs=1e-5)
            # Shares of 51 and of 31 pictures: each is counted once.
            assert ours["train_accuracy"] * 51 == pytest.approx(round(ours["train_accuracy"] * 51), abs=1e-9)
            assert ours["val_accuracy"] * 31 == pytest.approx(round(ours["val_accuracy"] * 31), abs=1e-9)
        for name, weight in alone["model"].items():
            torch.testing.assert_close(together["plain"]["model"][name], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_workers_agree_on_everything_batch_norm_statistics_included(of_workers: list[dict[str, Any]]) -> None:
    one, other = (together["batch norm"] for together in of_workers)
    assert one["metrics"] == other["metrics"]
    for part in ("model", "ema"):
        for name, value in one[part].items():
            assert torch.equal(value, other[part][name]), name


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_workers_share_out_the_very_batches_that_one_would_see(workers: int) -> None:
    recipe = RECIPES["plain"]

    def batches(rank: int, world_size: int) -> list[tuple[torch.Tensor, torch.Tensor, int]]:
        runtime = Runtime(device="cpu", rank=rank, world_size=world_size)
        feed = Feed(TRAIN, recipe, runtime, [0.5] * 3, [0.25] * 3)
        return list(feed.training(feed.steps_per_pass, seed=1, epoch=1))

    shares = [batches(rank, workers) for rank in range(workers)]
    for step, (images, targets, count) in enumerate(batches(0, 1)):
        assert count == len(targets)
        for rank, share in enumerate(shares):
            torch.testing.assert_close(share[step][0], images[rank::workers], rtol=0, atol=1e-5)
            assert torch.equal(share[step][1], targets[rank::workers])
            assert share[step][2] == count


@pytest.mark.parametrize("workers", [2, 3, 40])
def test_workers_share_out_the_pictures_to_evaluate(workers: int) -> None:
    served = []
    for rank in range(workers):
        pictures = toy_pictures(31, 2)
        runtime = Runtime(device="cpu", rank=rank, world_size=workers)
        list(Feed(pictures, RECIPES["plain"], runtime, [0.5] * 3, [0.25] * 3).evaluation())
        served += pictures.served
    assert sorted(served) == list(range(31))
