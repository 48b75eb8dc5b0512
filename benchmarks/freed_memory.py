"""What is it worth to keep freed memory, and how many pictures should a CPU evaluate at once?

    python benchmarks/freed_memory.py [--rounds 3]        (about 5 minutes)

First table: the same optimizer steps in processes in which `trainables.process.set_up` has made glibc keep
what is freed, and in others in which it has not, in turn. Second table: the validation pass of
`trainables.evaluate.evaluated`, for several sizes of `trainables.feed.EVALUATED_AT_ONCE`, in processes
that keep freed memory as trainings do.

One thread, which is not the process's first one, as in a trial of Ray Tune: glibc gives such a thread a
heap of its own. Milliseconds a picture are processor time of that thread, which other programs disturb
less than time by the clock, and page faults are its own: medians over steps, then over rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection

import torch

from spaces.recipe import Recipe
from trainables import feed
from trainables.evaluate import evaluated
from trainables.feed import Batch, Feed
from trainables.loss import TrainingLoss
from trainables.models.create import create_model, normalization
from trainables.models.optimizer import create_optimizer
from trainables.noise import Noise
from trainables.process import set_up
from trainables.runtime import Runtime
from trainables.step import Step

RECIPES = {
    f"{name}, {size_px} px": Recipe.model_validate(
        {"model": {"name": name, "args": args}, "geometry": {"size_px": size_px}}
    )
    for name, size_px, args in (
        ("plain_cnn", 32, {"width": 32, "batch_norm": True}),
        ("small_resnet", 32, {"width": 32}),
        ("resnet18", 64, {}),
    )
}
BATCH, EVALUATED, CLASSES = 64, 1024, 10
CPU = Runtime(device="cpu", threads=1)
AT_ONCE = (64, 256, 1024)

Cost = tuple[float, float]
"""Milliseconds and page faults a picture."""
Work = Callable[[Recipe, int, int], list[Cost]]
"""Does something with a network in one setting, so many times."""


def steps(recipe: Recipe, keep: bool, count: int) -> list[Cost]:
    """Trains a network for so many steps."""
    torch.set_num_threads(1)
    if keep:
        set_up(CPU)
    model = create_model(recipe, CLASSES).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % CLASSES
    loss = TrainingLoss(recipe.loss, labels.numpy(), CLASSES, torch.device("cpu"))
    step = Step(model, loss, create_optimizer(model, recipe.optim), CPU, clip_norm=None)
    images = torch.randn(BATCH, 3, recipe.geometry.size_px, recipe.geometry.size_px)
    batch = Batch(images.contiguous(memory_format=torch.channels_last), labels, None, BATCH)
    return [spent(lambda: step(model, batch), BATCH) for _ in range(count)]


def passes(recipe: Recipe, at_once: int, count: int) -> list[Cost]:
    """Evaluates a network on the same pictures so many times."""
    set_up(CPU)
    feed.EVALUATED_AT_ONCE["cpu"] = at_once
    model = create_model(recipe, CLASSES).to(memory_format=torch.channels_last)
    noise = Feed(Noise(EVALUATED, recipe.geometry.size_px, CLASSES), recipe, CPU, *normalization(model))
    return [spent(lambda: evaluated(model, noise, CPU, CLASSES), EVALUATED) for _ in range(count)]


def spent(work: Callable[[], object], pictures: int) -> Cost:
    """What a piece of work takes of this thread."""
    before, began = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt, time.thread_time()
    work()
    spent_s = time.thread_time() - began
    faults = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before
    return spent_s * 1000 / pictures, faults / pictures


def median_of(costs: Iterable[Cost]) -> Cost:
    of_ms, of_faults = zip(*costs, strict=True)
    return statistics.median(of_ms), statistics.median(of_faults)


def child(work: Work, setting: int, count: int, result: Connection) -> None:
    """Does the work for each network, in a second thread as Ray Tune runs trials; the first two warm up."""

    def all_networks() -> None:
        result.send(
            {name: median_of(work(recipe, setting, count + 2)[2:]) for name, recipe in RECIPES.items()}
        )

    thread = threading.Thread(target=all_networks)
    thread.start()
    thread.join()
    result.close()


def compared(work: Work, settings: Sequence[int], count: int, rounds: int) -> dict[str, dict[int, Cost]]:
    """What each network costs with each setting: medians over processes that take turns."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, dict[int, list[Cost]]] = {name: defaultdict(list) for name in RECIPES}
    for _ in range(rounds):
        for setting in settings:
            here, there = context.Pipe()
            process = context.Process(target=child, args=(work, setting, count, there))
            process.start()
            there.close()
            for name, cost in here.recv().items():
                found[name][setting].append(cost)
            process.join()
    return {
        name: {setting: median_of(costs) for setting, costs in of_settings.items()}
        for name, of_settings in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--passes", type=int, default=2)
    options = parser.parse_args()

    kept = compared(steps, (False, True), options.steps, options.rounds)
    print(f"| steps of {BATCH} | ms a picture, given back | kept | ratio | faults a picture | kept |")
    print("|---|---|---|---|---|---|")
    for name, of_settings in kept.items():
        (given_ms, given_faults), (kept_ms, kept_faults) = of_settings[False], of_settings[True]
        print(
            f"| {name} | {given_ms:.3f} | {kept_ms:.3f} | {kept_ms / given_ms:.2f} | {given_faults:.1f} | "
            f"{kept_faults:.1f} |",
            flush=True,
        )

    at_once = compared(passes, AT_ONCE, options.passes, options.rounds)
    print("\n| validation, ms a picture | " + " | ".join(f"{count} at once" for count in AT_ONCE) + " |")
    print("|---|" + "---|" * len(AT_ONCE))
    for name, of_settings in at_once.items():
        print(f"| {name} | " + " | ".join(f"{of_settings[count][0]:.3f}" for count in AT_ONCE) + " |")


if __name__ == "__main__":
    main()
