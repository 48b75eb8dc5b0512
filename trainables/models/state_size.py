"""How much room the state of a training takes, before there is one."""

from __future__ import annotations

import functools
import math

import torch
from timm.optim import create_optimizer_v2
from torch import nn

from spaces.recipe import Recipe
from trainables.models.create import create_shapes

SIDE = 64
"""Of a layer that an optimizer is tried on: large enough that numbers of whole layers count for little."""
TENSOR_BYTES = 1024
"""Of a file, at most, for each tensor in it, beside its values: its name, its place, and a step count."""


def state_bytes(recipe: Recipe, num_classes: int) -> int:
    """Bytes of a training's checkpoint, at most: the weights, their average and the best ones, where the
    recipe asks for them, and what the optimizer keeps of each.

    Raises:
        ModelError: The network cannot be made.
    """
    network = create_shapes(recipe, num_classes)
    states = list(network.state_dict().values())
    weights = sum(state.numel() * state.element_size() for state in states)
    trained = sum(weight.numel() * weight.element_size() for weight in network.parameters())
    copies, kept = _copies(recipe), _kept(recipe.optim.name)
    return math.ceil(copies * weights + kept * trained + TENSOR_BYTES * len(states) * (copies + kept + 1))


def numbers_a_weight(recipe: Recipe) -> float:
    """How many numbers a training's checkpoint holds for each weight."""
    return _copies(recipe) + _kept(recipe.optim.name)


def _copies(recipe: Recipe) -> int:
    return 1 + (recipe.ema.decay is not None) + (recipe.keep == "best")


@functools.cache
def _kept(optimizer_name: str) -> float:
    """Numbers that an optimizer keeps for each weight, found out on a layer."""
    layer = nn.Linear(SIDE, SIDE, bias=False)
    optimizer = create_optimizer_v2(layer, opt=optimizer_name, lr=1e-3, momentum=0.9)
    layer(torch.ones(1, SIDE)).sum().backward()
    optimizer.step()
    values = optimizer.state_dict()["state"].values()
    numbers = sum(value.numel() for state in values for value in state.values() if torch.is_tensor(value))
    return max(1.0, numbers / layer.weight.numel())  # some keep less of matrices than of other weights
