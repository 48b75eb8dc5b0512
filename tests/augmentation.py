"""What the tests of augmentation share: a smooth picture, and draws that are known."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spaces.augment import Augment
from trainables.augment.draw import NOTHING, Draw, draw

SIDE = 32


def smooth(count: int = 1, side: int = SIDE) -> Tensor:
    """uint8 (B, side, side, 3), without the finest detail."""
    noise = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return (F.avg_pool2d(noise, 5, 1, 2) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def as_images(pixels: Tensor) -> Tensor:
    """float (B, 3, H, W) in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 255


def extents_of(pixels: Tensor) -> Tensor:
    """Pictures that fill their canvases."""
    return torch.tensor([pixels.shape[1:3]] * len(pixels))


def only(**fields: Any) -> Augment:
    """A recipe's section in which nothing happens but what is given."""
    return Augment(**{**NOTHING.model_dump(), **fields})


class Extreme:
    """A generator whose every draw is at one end, the low one (-1) or the high one; chances come true."""

    def __init__(self, end: int) -> None:
        self.end = end

    def uniform(self, low: float, high: float, size: Any) -> np.ndarray:
        return np.full(size, high if self.end > 0 else low)

    def random(self, size: int) -> np.ndarray:
        return np.zeros(size)

    def integers(self, low: Any, high: Any, size: Any = None) -> np.ndarray:
        return np.broadcast_to(low if self.end < 0 else high - 1, size or np.shape(high)).copy()

    def beta(self, a: float, b: float, size: int) -> np.ndarray:
        return np.full(size, 0.5)


def extreme(end: int, batch: int = 1, **fields: Any) -> Draw:
    """The draw of a recipe in which nothing happens but what is given, with everything at one end."""
    drawn = draw(batch, only(**fields), SIDE, cast(np.random.Generator, Extreme(end)))
    assert drawn is not None
    return drawn


def some(batch: int, augment: Augment, seed: int = 0) -> Draw:
    """A random draw."""
    drawn = draw(batch, augment, SIDE, np.random.default_rng(seed))
    assert drawn is not None
    return drawn
