"""How large and how slow a recipe's network is, before anything is trained."""

from __future__ import annotations

import statistics
import time

import torch

from spaces.recipe import Recipe
from trainables.models.create import create_model, create_shapes
from trainables.runtime import Runtime

WARM_UP, TIMED = 3, 15
"""Forward passes before the clock runs, and under it."""


def parameters(recipe: Recipe, num_classes: int) -> int:
    """Number of trainable numbers in the network. It is made without memory for them.

    Raises:
        ModelError: The network cannot be made.
    """
    return sum(parameter.numel() for parameter in create_shapes(recipe, num_classes).parameters())


def latency_ms(recipe: Recipe, num_classes: int, device: torch.device) -> float:
    """Milliseconds that the network takes for one picture of `geometry.size_px`, at prediction's precision.

    The median of a few passes with a batch of one, with as many threads as torch is set to.

    Raises:
        ModelError: The network cannot be made.
    """
    model = create_model(recipe, num_classes, weights=False).to(device).eval()
    image = torch.zeros(1, 3, recipe.geometry.size_px, recipe.geometry.size_px, device=device)
    seconds = []
    with torch.no_grad(), Runtime(device=str(device)).autocast():
        for _ in range(WARM_UP + TIMED):
            started = time.perf_counter()
            model(image)
            if device.type != "cpu":
                torch.accelerator.synchronize(device)
            seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[WARM_UP:])
