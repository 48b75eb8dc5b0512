"""Records learning curves of real trainings, for `search_quality.py`: random recipes of small networks.

    python benchmarks/record_curves.py --simpsons DIR --cifar10 DIR [--curves 400] [--out FILE]

DIR is a folder of pictures, one folder a class; 2,000 of them are trained on and 1,000 others watched. The
recipes are drawn from quality/small_nets.yaml, in turn for the two, every fourth with a second seed. Each
training is a line of --out (default results/curves.jsonl); run again, it goes on where it stopped, and
several may run side by side. `--pack` then writes them all to quality/curves.json.gz for the benchmark.
Cost: 25 s a curve on one core (400: 3 hours).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import optuna
from optuna.logging import WARNING, set_verbosity

from spaces.space import Space
from spaces.space_files import load_space
from trainables.cache_dir import default_cache_dir
from trainables.data import Pictures, load, prepare
from trainables.loop import TrainData, train
from trainables.runtime import Runtime

HERE = Path(__file__).parent / "quality"
PACKED = HERE / "curves.json.gz"
MAX_EPOCHS = 27
PICTURES = 2_000
WATCHED = 1_000
SIZES_PX = (28, 32)

set_verbosity(WARNING)


def drawn(space: Space, number: int) -> dict[str, Any]:
    """The parameters of recipe `number`: the same on every machine."""
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number)).ask()
    space.suggest(trial, epochs=MAX_EPOCHS)
    return trial.params


def wanted(curves: int) -> Iterator[tuple[str, int, int]]:
    """What is trained, as (pictures, number of the recipe, seed)."""
    count, number = 0, 0
    while count < curves:
        seeds = (0, 1) if number % 8 in (0, 5) else (0,)  # of either pictures every fourth recipe
        for seed in seeds:
            yield ("simpsons", "cifar10")[number % 2], number // 2, seed
            count += 1
        number += 1


def parts(source: Path, size_px: int) -> tuple[Pictures, Pictures]:
    """The 2,000 pictures that are trained on, and the 1,000 that are watched."""
    cache_dir = default_cache_dir()
    split = prepare(source, size_px=size_px, cache_dir=cache_dir).split
    pictures = load(source, split, size_px=size_px, cache_dir=cache_dir).part("train")
    rows = np.random.default_rng(0).permutation(len(pictures))
    return pictures.chosen(rows[:PICTURES]), pictures.chosen(rows[PICTURES : PICTURES + WATCHED])


def recorded(space: Space, params: dict[str, Any], data: dict[int, TrainData], seed: int) -> dict[str, Any]:
    """One training: accuracy on the watched pictures by epoch (None from where it diverged), seconds."""
    recipe = space.recipe(params, epochs=MAX_EPOCHS)
    history: list[dict[str, float]] = []
    train(
        recipe,
        data[recipe.geometry.size_px],
        lambda metrics, checkpoint: history.append(metrics),
        runtime=Runtime(device="cpu", threads=1),
        seed=seed,
        epochs=MAX_EPOCHS,
    )
    scores = [
        round(epoch["val_accuracy"], 4) if np.isfinite(epoch["train_loss"] + epoch["val_loss"]) else None
        for epoch in history
    ]
    return {
        "scores": scores + [None] * (MAX_EPOCHS - len(scores)),
        "epoch_s": round(statistics.median(epoch["epoch_s"] for epoch in history), 3),
    }


def lines(path: Path) -> list[dict[str, Any]]:
    """What a file holds so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def pack(path: Path) -> None:
    """Writes the finished trainings as one small file, in an order that does not depend on who came first."""
    done = [line for line in lines(path) if "scores" in line]
    done.sort(key=lambda line: (line["pictures"], line["number"], line["seed"]))
    text = json.dumps({"max_epochs": MAX_EPOCHS, "curves": done}, separators=(",", ":"))
    PACKED.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{len(done)} curves in {PACKED}, {PACKED.stat().st_size / 1000:.0f} KB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--simpsons", type=Path)
    parser.add_argument("--cifar10", type=Path)
    parser.add_argument("--curves", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("results/curves.jsonl"))
    parser.add_argument("--pack", action="store_true")
    options = parser.parse_args()
    if options.pack:
        return pack(options.out)
    if not (options.simpsons and options.cifar10):
        parser.error("--simpsons DIR and --cifar10 DIR are wanted")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    space = load_space(HERE / "small_nets.yaml")
    data: dict[str, dict[int, TrainData]] = {
        name: {size_px: TrainData(*parts(source, size_px)) for size_px in SIZES_PX}
        for name, source in (("simpsons", options.simpsons), ("cifar10", options.cifar10))
    }
    for pictures, number, seed in wanted(options.curves):
        what = {"pictures": pictures, "number": number, "seed": seed}
        taken = {**what, "by": os.getpid()}
        with filelock.FileLock(f"{options.out}.lock"):
            if any({**line, **what} == line and _alive(line) for line in lines(options.out)):
                continue
            _add(options.out, taken)
        params = drawn(space, 2 * number + (pictures == "cifar10"))
        line = {**what, "params": params, **recorded(space, params, data[pictures], seed)}
        with filelock.FileLock(f"{options.out}.lock"):
            _add(options.out, line)
        print(pictures, number, seed, line["scores"][-1], line["epoch_s"], flush=True)


def _alive(line: dict[str, Any]) -> bool:
    """Whether a line is a finished training, or one whose process still runs."""
    return "scores" in line or Path(f"/proc/{line['by']}").exists()


def _add(path: Path, line: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
