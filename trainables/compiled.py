"""`torch.compile`, where the rest of a training is long enough to win by it.

On an A100, networks train 1.41 times as fast in the geometric mean (Ansel et al. 2024, "PyTorch 2"). On one
CPU core, compiling took 23 s for a small network, which then was slower by half, and 34 s for a ResNet-18,
which was faster by an eighth: too little for what is trained there.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from spaces.recipe import Recipe
from trainables.runtime import Runtime

DEVICES = frozenset({"cuda"})
GAIN = 0.2
"""Share of the time that is saved: less than that, to be sure."""
COMPILING_S = 120.0
"""What is spent: on two shapes forth and back, because batches differ by a picture."""


def pays(recipe: Recipe, runtime: Runtime, rest_s: float) -> bool:
    """Whether compiling saves more than it costs in a training that would go on for so long.

    Not where pictures grow, for each size is compiled anew, nor with several workers, of whom each would
    decide for itself.
    """
    possible = runtime.resolved_device().type in DEVICES and runtime.world_size == 1
    return possible and recipe.geometry.start_px is None and GAIN * rest_s > COMPILING_S


def compiled(module: nn.Module) -> nn.Module:
    """The network with the same weights, compiled when it is first used; what cannot be, runs as it is."""
    torch._dynamo.config.suppress_errors = True
    return cast(nn.Module, torch.compile(module, dynamic=False))
