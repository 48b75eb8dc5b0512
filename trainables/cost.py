"""What training a network costs a device, measured by a few steps of it."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

from spaces.recipe import Freeze, Recipe
from trainables.checkpoint import Checkpoint
from trainables.data.cache import short_side_px
from trainables.loop import TrainData, train
from trainables.noise import Noise
from trainables.runtime import Runtime

STEPS = 10


@dataclass(frozen=True)
class Cost:
    """A training that has the device for itself."""

    images_per_s: float
    """Pictures a second, augmentation and all; validation apart."""
    busy: float
    """Share of the time in which a GPU computes: in the rest it waits for the host. 1 on a CPU."""
    memory_bytes: int
    """The most that a GPU's memory held; 0 on a CPU."""
    device_bytes: int
    """All memory of the GPU; 0 on a CPU."""
    at_once: int | None
    """Pictures that memory holds at a time; None: a whole batch."""


def measure(recipe: Recipe, num_classes: int, runtime: Runtime) -> Cost:
    """Trains a network for a few steps on noise, with nothing frozen and at its full size.

    Raises:
        ModelError: The network cannot be made.
        torch.OutOfMemoryError: Memory does not hold even small portions of a batch.
    """
    device = runtime.resolved_device()
    on_gpu = device.type == "cuda"
    profiler = profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU])
    side_px = short_side_px(recipe.geometry.size_px)
    pictures = Noise(max(recipe.optim.batch_size, num_classes), side_px, num_classes)
    epochs: list[dict[str, float]] = []

    def report(metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        # The first epoch warms up, the second is timed, the third, which that slows down, is profiled.
        epochs.append(metrics)
        if on_gpu and len(epochs) == 1:
            # What trainings before have left, and what looking for quick algorithms took, is not of this one.
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        if on_gpu and len(epochs) == 2:
            profiler.start()

    try:
        train(_shortened(recipe), TrainData(pictures), report, runtime=runtime, epochs=3)
    finally:
        if on_gpu and len(epochs) >= 2:
            profiler.stop()
    computed_s = 0.0
    if on_gpu:
        computed_s = sum(event.self_device_time_total for event in profiler.key_averages()) / 1e6
    at_once = int(epochs[-1]["at_once"])
    return Cost(
        images_per_s=epochs[1]["images_per_s"],
        # Where the profiler may not look, nothing says that the device has time to spare.
        busy=min(1.0, computed_s / epochs[1]["train_s"]) if computed_s else 1.0,
        memory_bytes=torch.cuda.max_memory_reserved(device) if on_gpu else 0,
        device_bytes=torch.cuda.get_device_properties(device).total_memory if on_gpu else 0,
        at_once=at_once if at_once < recipe.optim.batch_size else None,
    )


def _shortened(recipe: Recipe) -> Recipe:
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update={"pretrained": False, "weights": None}),
            "geometry": recipe.geometry.model_copy(update={"start_px": None}),
            "freeze": Freeze(),
            "steps_per_epoch": STEPS,
            "keep": "last",
        }
    )
