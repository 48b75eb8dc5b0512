"""The weights of a network's first and last convolutions, the strongest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from trainables.explain.activations import forward

MOST = 64
"""Kernels of a layer; rows, and columns, of a matrix of 1x1 ones."""

Which = Literal["first", "last_spatial", "last_pointwise"]


@dataclass(frozen=True)
class Kernels:
    """Some weights of one convolution."""

    which: Which
    layer: str
    shape: tuple[int, ...]
    """Of all its weights: outputs, inputs (of a group, where it has groups), height, width."""
    weights: np.ndarray
    """float32. Kernels, the strongest first: (n, 3, h, w) where the network's first layer sees RGB, else
    (n, h, w), each from one input to one output. Of a pointwise convolution a matrix (n, m): its strongest
    outputs in rows and inputs in columns, in the layer's order."""


def kernels(model: nn.Module, image: Tensor) -> list[Kernels]:
    """Of the first convolution, the last one with kernels over 1x1, and the last pointwise one.

    The order is that of computation. Those of a network that are not there, or are the first one, are not in
    the list. A convolution of single pixels, such as one behind the pooling, is a dense layer and does not
    count. The network is in evaluation mode afterwards.

    Args:
        image: float32 (1, 3, H, W): normalised, on the network's device.
    """
    model.eval()
    with torch.no_grad():
        _, activations = forward(model, image)
    layers = [
        entry.module
        for entry in activations
        if isinstance(entry.module, nn.Conv2d) and entry.output.shape[2:].numel() > 1
    ]
    chosen: dict[nn.Conv2d, Which] = {}
    for layer in layers[:1]:
        chosen[layer] = "first"
    for layer in [layer for layer in layers if min(layer.kernel_size) > 1][-1:]:
        chosen.setdefault(layer, "last_spatial")
    for layer in [layer for layer in layers if layer.kernel_size == (1, 1)][-1:]:
        chosen.setdefault(layer, "last_pointwise")
    names = {module: name for name, module in model.named_modules()}
    return [_of(layer, names[layer], which) for layer, which in chosen.items()]


def _of(layer: nn.Conv2d, name: str, which: Which) -> Kernels:
    weight = layer.weight.detach().float().cpu()
    if which == "last_pointwise":
        matrix = weight[:, :, 0, 0]
        matrix = matrix[_strongest(matrix).sort().values]
        taken = matrix[:, _strongest(matrix.T).sort().values]
    else:
        taken = weight if weight.shape[1] == 3 and which == "first" else weight.flatten(0, 1)
        taken = taken[_strongest(taken)]
    return Kernels(which, name, tuple(weight.shape), taken.numpy())


def _strongest(weights: Tensor) -> Tensor:
    """Places along the first axis, by decreasing norm."""
    return weights.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:MOST]
