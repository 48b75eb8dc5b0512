"""What does our training loop cost over the training itself? An epoch of ours beside a hand-written loop.

    python benchmarks/epoch.py --data DIR [--runs 7]        (6 to 12 minutes for 8,000 pictures on 2 cores)

The network is a `plain_cnn` of three blocks of two 3x3 convolutions (64, 128, 256 filters) with batch
norm, at 28 px, batch 64, AdamW, on all pictures of DIR. *Ours* is `trainables.loop.train`, pictures from
the cache's memory map; the time is the epoch's own `train_s`. *By hand* is as little as trains the same
network: all pictures normalised beforehand as one float tensor in memory, channels_last, picked by one
indexing a batch; no augmentation, metrics or schedule; the optimizer fused or not, whichever a first trial
finds quicker here. All run in one process, in turn, so freed memory is kept for both
(`benchmarks/freed_memory.py`).

With all cores at work, anything else that runs slows torch by far more than its share: run it alone, and
look at the load, which is printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from spaces.recipe import Recipe
from trainables.cache_dir import default_cache_dir
from trainables.data import Pictures, load, prepare
from trainables.loop import TrainData, train
from trainables.models.create import create_model, normalization
from trainables.process import set_up
from trainables.runtime import Runtime

SIZE_PX, BATCH, LR, WEIGHT_DECAY = 28, 64, 1e-3, 0.01
TARGETS = {"ours, no augmentation": 1.10, "ours, weak policy": 1.20}
"""What an epoch may take over that of the hand-written loop, at most."""


def recipe(strength: float) -> Recipe:
    """The training, with the default weak policy at this strength."""
    args = {"width": 64, "blocks": 3, "convs": 2, "dense": 128, "batch_norm": True}
    return Recipe.model_validate(
        {
            "model": {"name": "plain_cnn", "args": args},
            "geometry": {"size_px": SIZE_PX},
            "augment": {"strength": strength},
            "optim": {"lr": LR, "weight_decay": WEIGHT_DECAY, "batch_size": BATCH},
        }
    )


def pictures_of(source: Path, count: int | None) -> Pictures:
    """All pictures of a source, or so many drawn from them, from the ordinary cache."""
    everything = {"train": 1.0, "validation": 0.0, "selection": 0.0, "test": 0.0}
    cache_dir = default_cache_dir()
    split = prepare(source, size_px=SIZE_PX, shares=everything, cache_dir=cache_dir).split
    part = load(source, split, size_px=SIZE_PX, cache_dir=cache_dir).part("train")
    return part.chosen(np.random.default_rng(0).permutation(len(part))[:count]) if count else part


def ours(pictures: Pictures, runtime: Runtime, strength: float) -> float:
    """Seconds of an epoch of our loop."""
    epochs: list[dict[str, float]] = []
    train(
        recipe(strength),
        TrainData(pictures),
        lambda metrics, checkpoint: epochs.append(metrics),
        runtime=runtime,
        epochs=1,
    )
    return epochs[0]["train_s"]


def by_hand(pictures: Pictures, *, fused: bool) -> float:
    """Seconds of an epoch of the hand-written loop."""
    torch.manual_seed(0)
    model = create_model(recipe(0.0), len(pictures.classes)).to(memory_format=torch.channels_last).train()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalization(model))
    pixels, _ = pictures.batch(np.arange(len(pictures)))
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(pictures.labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=fused)

    started = time.perf_counter()
    for rows in torch.randperm(len(labels)).split(BATCH):
        loss = F.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return time.perf_counter() - started


def fused_is_quicker(pictures: Pictures) -> bool:
    """Which AdamW is quicker on this machine: the best of three short epochs each, in turn."""
    few = pictures.chosen(np.arange(min(len(pictures), 20 * BATCH)))
    runs = [(by_hand(few, fused=False), by_hand(few, fused=True)) for _ in range(4)][1:]
    plain, fused = map(min, zip(*runs, strict=True))
    print(f"AdamW by hand: {plain:.2f} s for {len(few)} pictures, fused {fused:.2f} s")
    return fused < plain


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder with one folder a class")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--pictures", type=int, help="only so many")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    runtime = Runtime(device="cpu", threads=options.threads)
    set_up(runtime)
    pictures = pictures_of(options.data, options.pictures)
    print(f"{len(pictures)} pictures, {options.threads} threads, torch {torch.__version__}")
    fused = fused_is_quicker(pictures)
    sides: dict[str, Callable[[], float]] = {
        "by hand": lambda: by_hand(pictures, fused=fused),
        "ours, no augmentation": lambda: ours(pictures, runtime, 0.0),
        "ours, weak policy": lambda: ours(pictures, runtime, 1.0),
    }
    print(f"{'run':>4} {'load':>5} " + " ".join(f"{name:>22}" for name in sides) + "   seconds")
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(options.runs):
        load_before = os.getloadavg()[0]
        for name, side in sides.items():
            spent[name].append(side())
        print(
            f"{number:>4} {load_before:>5.2f} " + " ".join(f"{spent[name][-1]:>22.2f}" for name in sides),
            flush=True,
        )

    medians = {name: statistics.median(seconds) for name, seconds in spent.items()}
    print(f"\n| an epoch of {len(pictures)} pictures | median, s | least | most | ratio | at most |")
    print("|---|---|---|---|---|---|")
    for name, seconds in spent.items():
        ratio = medians[name] / medians["by hand"]
        print(
            f"| {name} | {medians[name]:.2f} | {min(seconds):.2f} | {max(seconds):.2f} | {ratio:.3f} | "
            f"{f'{TARGETS[name]:.2f}' if name in TARGETS else ''} |"
        )


if __name__ == "__main__":
    main()
