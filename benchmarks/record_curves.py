"""Records learning curves of real trainings, for `search_quality.py`: random recipes of small networks.

    python benchmarks/record_curves.py --simpsons DIR --cifar10 DIR [--curves 400] [--chosen 60] [--out FILE]

DIR is a folder of pictures, one folder a class; 2,000 of them are trained on and 1,000 others watched. The
recipes are drawn from quality/small_nets.yaml, in turn for the two, every fourth with a second seed. After
--curves of these come --chosen: each is what the surrogate (quality/curves.py, needs scikit-learn) takes for
the best when it is fitted to all that are finished; every second one of a given family of networks.

Each training is a line of --out (default results/curves.jsonl; it begins with what is packed), which says
where its recipe is from. Run again, it goes on where it stopped, and several may run side by side. `--pack`
then writes them all to quality/curves.json.gz for the benchmark. Cost: 25 s a curve on one core (400: 3
hours), and 10 s more to choose.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import optuna
from optuna.logging import WARNING, set_verbosity

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from benchmarks.quality.recorded import KINDS, MAX_EPOCHS, PACKED, SPACE, WATCHED, Kind, as_recorded
from spaces.errors import InputError
from spaces.space import Space
from spaces.space_files import load_space
from trainables.cache_dir import default_cache_dir
from trainables.data import Pictures, load, prepare
from trainables.loop import TrainData, train
from trainables.runtime import Runtime

PICTURES = 2_000
SIZES_PX = (28, 32)
FITTED_FROM = 50
"""Trainings, at least."""
FAMILIES = (None, "plain_cnn", None, "mini_xception", None, "binary_cnn")
"""Of chosen recipes, in turn; None: whichever is best."""

set_verbosity(WARNING)


def drawn(space: Space, number: int) -> dict[str, Any]:
    """The parameters of recipe `number`: the same on every machine."""
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number)).ask()
    space.suggest(trial, epochs=MAX_EPOCHS)
    return trial.params


def chosen(done: list[dict[str, Any]], pictures: Kind, number: int) -> tuple[dict[str, Any], float]:
    """The parameters of the recipe that looks best after the trainings that are done, and its final score."""
    from benchmarks.quality.bests import best_not_recorded  # needs scikit-learn
    from benchmarks.quality.curves import Surrogate

    trainings = as_recorded(done)
    if len(trainings) < FITTED_FROM:
        raise InputError(
            f"{FITTED_FROM} trainings must be finished before more are chosen; received {len(trainings)}: "
            "record more by --curves, or say --chosen 0"
        )
    rng = np.random.default_rng([number, KINDS.index(pictures)])
    return best_not_recorded(Surrogate(trainings), pictures, rng, family=FAMILIES[number % len(FAMILIES)])


def wanted(curves: int, more: int) -> Iterator[dict[str, Any]]:
    """What is trained: so many random recipes, and so many more that the surrogate chooses."""
    count, number = 0, 0
    while count < curves:
        seeds = (0, 1) if number % 8 in (0, 5) else (0,)  # of either pictures every fourth recipe
        for seed in seeds:
            yield {"pictures": KINDS[number % 2], "source": "random", "number": number // 2, "seed": seed}
            count += 1
        number += 1
    for number in range(more):
        yield {"pictures": KINDS[number % 2], "source": "surrogate", "number": number // 2, "seed": 0}


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


def unpack(path: Path) -> None:
    """Begins a file with the trainings that are packed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for line in json.loads(gzip.decompress(PACKED.read_bytes()))["curves"]:
        _add(path, line)


def pack(path: Path) -> None:
    """Writes the finished trainings as one small file, in an order that does not depend on who came first."""
    done = [line for line in lines(path) if "scores" in line]
    done.sort(key=lambda line: (line["pictures"], line["source"], line["number"], line["seed"]))
    text = json.dumps({"max_epochs": MAX_EPOCHS, "curves": done}, separators=(",", ":"))
    PACKED.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{len(done)} curves in {PACKED}, {PACKED.stat().st_size / 1000:.0f} KB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--simpsons", type=Path)
    parser.add_argument("--cifar10", type=Path)
    parser.add_argument("--curves", type=int, default=400)
    parser.add_argument("--chosen", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("results/curves.jsonl"))
    parser.add_argument("--pack", action="store_true")
    options = parser.parse_args()
    if not options.out.exists() and PACKED.exists():
        unpack(options.out)
    if options.pack:
        return pack(options.out)
    if not (options.simpsons and options.cifar10):
        parser.error("--simpsons DIR and --cifar10 DIR are wanted")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    space = load_space(SPACE)
    data: dict[str, dict[int, TrainData]] = {
        name: {size_px: TrainData(*parts(source, size_px)) for size_px in SIZES_PX}
        for name, source in (("simpsons", options.simpsons), ("cifar10", options.cifar10))
    }
    for what in wanted(options.curves, options.chosen):
        taken = {**what, "by": os.getpid()}
        with filelock.FileLock(f"{options.out}.lock"):
            so_far = lines(options.out)
            if any({**line, **what} == line and _alive(line) for line in so_far):
                continue
            _add(options.out, taken)
        pictures, number, seed = what["pictures"], what["number"], what["seed"]
        if what["source"] == "random":
            line = {**what, "params": drawn(space, 2 * number + (pictures == "cifar10"))}
        else:
            params, predicted = chosen(so_far, pictures, number)
            line = {**what, "params": params, "predicted": round(predicted, 4)}
        line |= recorded(space, line["params"], data[pictures], seed)
        with filelock.FileLock(f"{options.out}.lock"):
            _add(options.out, line)
        print(*what.values(), line["scores"][-1], line.get("predicted", ""), line["epoch_s"], flush=True)


def _alive(line: dict[str, Any]) -> bool:
    """Whether a line is a finished training, or one whose process still runs."""
    return "scores" in line or Path(f"/proc/{line['by']}").exists()


def _add(path: Path, line: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
