"""How large and how slow a recipe's network is, before anything is trained."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spaces.recipe import Recipe
from trainables.models.create import create_model, create_shapes
from trainables.models.dry_run import skip_batch_norms
from trainables.models.errors import ModelError
from trainables.runtime import Runtime

WARM_UP, TIMED = 3, 15
"""Forward passes before the clock runs, and under it."""


def parameters(recipe: Recipe, num_classes: int) -> int:
    """Number of trainable numbers in the network. It is made without memory for them.

    Raises:
        ModelError: The network cannot be made.
    """
    return sum(parameter.numel() for parameter in create_shapes(recipe, num_classes).parameters())


def multiply_adds(recipe: Recipe, num_classes: int) -> int:
    """Multiply-adds of the network for one picture of `geometry.size_px`, at prediction.

    Those of its convolutions, linear layers and attention, which are nearly all that there are. They are
    counted on shapes alone, and in a real pass where shapes are not enough for the network.

    Raises:
        ModelError: The network cannot be made.
    """
    side_px = recipe.geometry.size_px
    try:
        return _counted(skip_batch_norms(create_shapes(recipe, num_classes)), side_px)
    except ModelError:
        raise
    except Exception:  # what networks raise that look at values has no class in common
        return _counted(create_model(recipe, num_classes, weights=False), side_px)


def _counted(model: nn.Module, side_px: int) -> int:
    # The counter takes no parameter that wants a gradient for a layer's input, as class tokens are in some.
    model = model.eval().requires_grad_(False)
    image = torch.zeros(1, 3, side_px, side_px, device=next(model.parameters()).device)
    with FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops() // 2  # it counts a multiply-add as two


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
