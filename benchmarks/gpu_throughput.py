"""How near does training come to what a GPU can do, and what do several small trials on one GPU bring?

    python benchmarks/gpu_throughput.py        (about 6 minutes; needs a GPU)
    python benchmarks/gpu_throughput.py --device cpu --steps 1 --rounds 1 --batch 2    (tries every line)

First table: ResNet-50 and ResNet-101, 224 px, 1,000 classes, SGD, autocast (bfloat16), channels_last, the
same batch for all, pictures a second in turn:

- *timm's benchmark*: the training step of timm's `benchmark.py` (`--bench train --amp --channels-last`): a
  random batch on the device, cross-entropy, torch's autocast, timm's SGD, a wait for the device after each
  step.
- *timm's step*: the same without those waits.
- *our step*: `trainables.step.Step` with one batch on the device.
- *our training*: `trainables.loop.train` with the weak policy and all that it does besides; its
  `images_per_s`.

Model FLOP utilisation is 3 x the forward pass's floating-point operations (a multiplication and an
addition are two; backward takes twice the forward) x pictures a second, over the GPU's peak.

Second table: trainings of small networks at 28 px, batch 64, as processes on one GPU at once: pictures a
second of all together, over those of one alone, which is what one after the other comes to. Starting is
not counted: all have done an epoch before the clock runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import trainables.torch_setup  # noqa: F401  (before timm, which imports torchvision)

import timm  # isort: skip
from timm.optim import create_optimizer_v2  # isort: skip

from spaces.recipe import Recipe
from trainables.feed import Feed
from trainables.loop import TrainData, train
from trainables.loss import TrainingLoss
from trainables.models.create import create_model, create_shapes, normalization
from trainables.models.optimizer import create_optimizer
from trainables.noise import Noise
from trainables.process import set_up
from trainables.runtime import Runtime
from trainables.step import Step

LARGE = ("resnet50", "resnet101")
SMALL = {
    "plain_cnn": {"width": 32, "batch_norm": True},
    "small_resnet": {"width": 32, "depth": 1},
}
LARGE_PX, LARGE_CLASSES, SMALL_PX, SMALL_BATCH = 224, 1000, 28, 64
PEAK_TFLOPS = {
    "B200": 2250.0,
    "H200": 989.4,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.4,
    "A100": 311.9,
    "L40S": 362.1,
    "L4": 121.0,
    "T4": 65.1,
    "V100": 125.0,
}
"""Of the tensor cores in bfloat16 (T4, V100: float16), dense, by NVIDIA's data sheets. The first that a GPU's
name holds as words is its own."""

BENCHMARK = "timm's benchmark"

Loop = Callable[[int], None]
"""Takes so many optimizer steps."""


def large_recipe(name: str, batch: int, steps: int) -> Recipe:
    return Recipe.model_validate(
        {
            "model": {"name": name},
            "geometry": {"size_px": LARGE_PX},
            "optim": {"name": "sgd", "lr": 1e-4, "batch_size": batch},
            "steps_per_epoch": steps,
        }
    )


def training_flops(recipe: Recipe, classes: int) -> float:
    """Floating-point operations of a training step, a picture."""
    model = create_shapes(recipe, classes)
    size_px = recipe.geometry.size_px
    images = torch.zeros(2, 3, size_px, size_px, device=next(model.parameters()).device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    return 3 * counter.get_total_flops() / len(images)


def peak_tflops(gpu: str) -> float | None:
    """The peak of a GPU by its name; None: not in the table."""
    words = f" {gpu} ".replace("-", " ")
    return next((peak for name, peak in PEAK_TFLOPS.items() if f" {name} " in words), None)


def timms(name: str, batch: int, runtime: Runtime, *, waits: bool) -> Loop:
    """The training step of timm's benchmark."""
    device = runtime.resolved_device()
    model = timm.create_model(name).to(device, memory_format=torch.channels_last).train()
    loss_of = nn.CrossEntropyLoss().to(device)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=1e-4)
    images = torch.randn(batch, 3, LARGE_PX, LARGE_PX, device=device)
    images = images.contiguous(memory_format=torch.channels_last)

    def loop(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            with runtime.autocast():
                output = model(images)
                target = torch.empty(batch, device=device, dtype=torch.long).random_(model.num_classes)
                loss_of(output, target).backward()
            optimizer.step()
            if waits:
                wait_for(device)

    return loop


def our_step(recipe: Recipe, pictures: Noise, runtime: Runtime) -> Loop:
    """Our step, with a batch of our own feed."""
    device = runtime.resolved_device()
    model = create_model(recipe, LARGE_CLASSES).to(device, memory_format=torch.channels_last).train()
    (batch,) = Feed(pictures, recipe, runtime, *normalization(model)).training(1, 0, 1, LARGE_PX)
    loss = TrainingLoss(recipe.loss, pictures.labels, LARGE_CLASSES, device)
    step = Step(model, loss, create_optimizer(model, recipe.optim), runtime, clip_norm=None)

    def loop(steps: int) -> None:
        for _ in range(steps):
            step(model, batch)

    return loop


def timed(loop: Loop, batch: int, steps: int, device: torch.device) -> float:
    """Pictures a second, after a fifth as many steps to warm up."""
    loop(max(1, steps // 5))
    wait_for(device)
    began = time.perf_counter()
    loop(steps)
    wait_for(device)
    return steps * batch / (time.perf_counter() - began)


def our_training(recipe: Recipe, pictures: Noise, runtime: Runtime) -> float:
    """Pictures a second of our whole training, in the second of two epochs."""
    speeds: list[float] = []
    train(
        recipe,
        TrainData(pictures),
        lambda metrics, checkpoint: speeds.append(metrics["images_per_s"]),
        runtime=runtime,
        epochs=2,
    )
    return speeds[-1]


def large(name: str, runtime: Runtime, options: argparse.Namespace) -> dict[str, float]:
    """Pictures a second of each side: medians over rounds."""
    recipe = large_recipe(name, options.batch, options.steps)
    pictures = Noise(8 * options.batch, LARGE_PX, LARGE_CLASSES)

    def speed(loop: Loop) -> float:
        return timed(loop, options.batch, options.steps, runtime.resolved_device())

    sides: dict[str, Callable[[], float]] = {
        BENCHMARK: lambda: speed(timms(name, options.batch, runtime, waits=True)),
        "timm's step": lambda: speed(timms(name, options.batch, runtime, waits=False)),
        "our step": lambda: speed(our_step(recipe, pictures, runtime)),
        "our training": lambda: our_training(recipe, pictures, runtime),
    }
    found: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, of_side in sides.items():
            found[side].append(of_side())
        print(
            f"  {name}: " + ", ".join(f"{side} {speeds[-1]:.1f}" for side, speeds in found.items()),
            flush=True,
        )
    return {side: statistics.median(speeds) for side, speeds in found.items()}


def small_trial(name: str, runtime: Runtime, steps: int, ready: Barrier, result: Connection) -> None:
    """A training in a process of its own: when its measured epochs began and ended, by the common clock."""
    recipe = Recipe.model_validate(
        {
            "model": {"name": name, "args": SMALL[name]},
            "geometry": {"size_px": SMALL_PX},
            "optim": {"batch_size": SMALL_BATCH},
            "steps_per_epoch": steps,
        }
    )
    times: list[float] = []

    def report(metrics: dict[str, float], checkpoint: object) -> None:
        if not times:
            ready.wait()
        times.append(time.monotonic())

    pictures = Noise(8000, SMALL_PX, 10)
    train(recipe, TrainData(pictures), report, runtime=runtime, epochs=3)
    result.send((times[0], times[-1]))


def together(name: str, count: int, runtime: Runtime, steps: int) -> float:
    """Pictures a second of so many trainings at once, all together."""
    context = multiprocessing.get_context("spawn")
    share = Runtime(
        device=runtime.device,
        gpu_share=0.9 / count,
        threads=max(1, (os.cpu_count() or 1) // count),
    )
    ready, pipes = context.Barrier(count), [context.Pipe() for _ in range(count)]
    processes = [
        context.Process(target=small_trial, args=(name, share, steps, ready, there), daemon=True)
        for _, there in pipes
    ]
    for process, (_, there) in zip(processes, pipes, strict=True):
        process.start()
        there.close()  # a process that dies is then heard of
    began, ended = zip(*(here.recv() for here, _ in pipes), strict=True)
    for process in processes:
        process.join()
    return count * 2 * steps * SMALL_BATCH / (max(ended) - min(began))


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=256, help="pictures a step of the large networks")
    parser.add_argument("--steps", type=int, default=50, help="of the large networks, a round")
    parser.add_argument("--small-steps", type=int, help="of the small ones, an epoch (40 x --steps)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--peak-tflops", type=float, help="of a GPU that is not in the table")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.exit(2, "gpu_throughput needs a GPU, and torch sees none: not measured.\n")
    runtime = Runtime(device=options.device)
    set_up(runtime)
    device = runtime.resolved_device()
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    peak = options.peak_tflops or peak_tflops(gpu)

    speeds = {name: large(name, runtime, options) for name in LARGE}
    print(
        f"\n{gpu}, torch {torch.__version__}, {LARGE_PX} px, batch {options.batch}, "
        f"{runtime.autocast_dtype()}, peak {f'{peak:g} TFLOP/s' if peak else 'unknown: give --peak-tflops'}"
    )
    print("| network | side | pictures a second | of timm's benchmark | model FLOP utilisation |")
    print("|---|---|---|---|---|")
    for name, of_sides in speeds.items():
        flops = training_flops(large_recipe(name, options.batch, 1), LARGE_CLASSES)
        for side, speed in of_sides.items():
            used = f"{speed * flops / (peak * 1e12):.1%}" if peak else ""
            print(f"| {name} | {side} | {speed:.1f} | {speed / of_sides[BENCHMARK]:.3f} | {used} |")

    steps = options.small_steps or 40 * options.steps
    print(
        f"\nTrainings at once on one {gpu}, {SMALL_PX} px, batch {SMALL_BATCH}: "
        "pictures a second (over one alone)"
    )
    print("| network | " + " | ".join(f"{count}" for count in options.processes) + " |")
    print("|---|" + "---|" * len(options.processes))
    for name in SMALL:
        rates = [together(name, count, runtime, steps) for count in options.processes]
        print(
            f"| {name} | " + " | ".join(f"{rate:.0f} ({rate / rates[0]:.2f}x)" for rate in rates) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
