"""What the modules of a network put out on the way, read as feature maps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Activation:
    """What a module put out in a forward pass."""

    layer: str
    """The module's name: of several that pass on one tensor, the outermost's."""
    module: nn.Module
    """That computed it."""
    output: Tensor


def forward(model: nn.Module, images: Tensor) -> tuple[Tensor, list[Activation]]:
    """A network's outputs, and the activations on the way to them, in the order in which they were ready.

    What linear layers and dropout put out is left out: queries, values and the matrices of attention, which
    are no features; what is, norms and whole blocks put out as well.
    """
    seen: dict[int, Activation] = {}  # by the tensor's id, which is its own while it is in here

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or isinstance(module, nn.Linear | nn.Dropout):
            return
        # One that is put out again may have been changed in place since.
        known = seen.pop(id(output), Activation(name, module, output))
        outer = name.count(".") < known.layer.count(".")
        seen[id(output)] = replace(known, layer=name) if outer else known

    handles = [
        module.register_forward_hook(partial(note, name)) for name, module in model.named_modules() if name
    ]
    try:
        return model(images), list(seen.values())
    finally:
        for handle in handles:
            handle.remove()


def as_maps(values: Tensor, images: Tensor, prefix_tokens: int = 0) -> Tensor | None:
    """An activation, or its gradient, as feature maps (B, C, h, w); None where it has no spatial extent.

    Of four axes the two in the picture's proportions are height and width: some networks, such as Swin, have
    the channels last. Three axes are tokens, less those in front of the grid, such as a class token.

    Args:
        images: (B, 3, H, W), that it was computed from.
        prefix_tokens: How many tokens the network says are in front of the grid; where that leaves no grid,
            none, one (the class's) and two (a distillation's too) are tried.
    """
    batch, _, height, width = images.shape
    if len(values) != batch:
        return None
    if values.ndim == 4:
        channels_last = values.permute(0, 3, 1, 2)
        maps = min(values, channels_last, key=lambda maps: _distortion(maps, height / width))
        return maps if maps[0, 0].numel() > 1 and _distortion(maps, height / width) < 2 else None
    if values.ndim == 3:
        for prefix in (prefix_tokens, 0, 1, 2):
            tokens = values[:, prefix:]
            count = tokens.shape[1]
            rows, columns = round(math.sqrt(count * height / width)), round(math.sqrt(count * width / height))
            if rows * columns == count > 1:
                return tokens.transpose(1, 2).unflatten(2, (rows, columns))
    return None


def _distortion(maps: Tensor, proportions: float) -> float:
    """By what factor the sides of maps are off the picture's proportions."""
    height, width = maps.shape[2:]
    return math.exp(abs(math.log(height / width / proportions)))
