"""How long to 94% and to 96% on CIFAR-10, with a recipe that is shipped?

    python benchmarks/cifar10.py --data cifar10/train [--epochs 20 40] [--seeds 3]        (minutes on a GPU)

Trains on 45,000 of the 50,000 training pictures and validates on the other 5,000 after each epoch. Seconds
are by the clock, from the call of `trainables.loop.train` on: making the network, sending the pictures to
the device, finding quick algorithms and all validations included; decoding the files, once a machine, is
not. Under one cycle the accuracy comes at the end, so a lower target wants a shorter training: give both
lengths.

airbench (Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", and its repository) states, on
one A100, trained on all 50,000 pictures, tested on the 10,000, a warm-up run left out: 94% in 2.6 to 3.8 s
and 96% in 27 to 46 s by networks and trainings made for it, and 96% in 7 minutes by a standard training of
a ResNet-18.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from spaces.recipe_files import load_trial_config
from trainables.cache_dir import default_cache_dir
from trainables.data import Dataset, load, prepare
from trainables.loop import TrainData, train
from trainables.runtime import Runtime

RECIPE = "cifar_resnet18"
SHARES = {"train": 0.9, "validation": 0.1, "selection": 0.0, "test": 0.0}
TARGETS = (0.94, 0.96)


@dataclass(frozen=True)
class Run:
    """One training, epoch by epoch."""

    seconds: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    def seconds_to(self, accuracy: float) -> float | None:
        """When it was first reached; None: never."""
        reached = zip(self.seconds, self.accuracies, strict=True)
        return next((at for at, seen in reached if seen >= accuracy), None)


def run(data: Dataset, runtime: Runtime, *, epochs: int, seed: int) -> Run:
    """Trains the recipe at this length, and prints an epoch a line."""
    config = load_trial_config(RECIPE)
    recipe = config.recipe.rescaled(config.epochs or epochs, epochs)
    done = Run()
    started = time.perf_counter()

    def report(metrics: dict[str, float], checkpoint: object) -> None:
        done.seconds.append(time.perf_counter() - started)
        done.accuracies.append(metrics["val_accuracy"])
        print(
            f"{epochs:>6} epochs, seed {seed}, epoch {metrics['epoch']:>3.0f}: {done.seconds[-1]:>8.2f} s, "
            f"validation accuracy {metrics['val_accuracy']:.4f}, training {metrics['train_s']:.2f} s "
            f"({metrics['images_per_s']:.0f} pictures a second)",
            flush=True,
        )

    parts = TrainData(data.part("train"), data.part("validation"))
    train(recipe, parts, report, runtime=runtime, seed=seed, epochs=epochs)
    return done


def row(epochs: int, runs: list[Run]) -> str:
    """A line of the table: mean accuracy, median seconds of the seeds that reach a target."""
    cells = [f"{epochs}", f"{statistics.mean(run.accuracies[-1] for run in runs):.4f}"]
    cells.append(f"{statistics.median(run.seconds[-1] for run in runs):.1f}")
    for target in TARGETS:
        times = [seconds for run in runs if (seconds := run.seconds_to(target)) is not None]
        median = f"{statistics.median(times):.1f}" if times else "not reached"
        cells.append(f"{median} ({len(times)} of {len(runs)})")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="CIFAR-10's training pictures, a folder a class"
    )
    parser.add_argument("--epochs", type=int, nargs="+", default=[load_trial_config(RECIPE).epochs])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    runtime = Runtime(device=options.device)
    device = runtime.resolved_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)

    size_px, cache_dir = load_trial_config(RECIPE).recipe.geometry.size_px, default_cache_dir()
    split = prepare(options.data, size_px=size_px, shares=SHARES, cache_dir=cache_dir).split
    data = load(options.data, split, size_px=size_px, cache_dir=cache_dir)
    print(f"{name}, torch {torch.__version__}; {split['part'].value_counts().to_dict()}")
    runs = {
        epochs: [run(data, runtime, epochs=epochs, seed=seed) for seed in range(options.seeds)]
        for epochs in options.epochs
    }
    print(f"\n{RECIPE} on {name}, {options.seeds} seeds")
    print("| epochs | validation accuracy | s in all | s to 94% (seeds) | s to 96% (seeds) |")
    print("|---|---|---|---|---|")
    for epochs, of_length in runs.items():
        print(row(epochs, of_length))


if __name__ == "__main__":
    main()
