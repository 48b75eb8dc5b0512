"""Simple augmentation: geometry as one affine map, colour as one matrix, blanked rectangles as a mask.

Parameters are drawn for each sample, on the CPU, from the generator that the caller passes; they are then
applied to the batch on its device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from spaces.recipe import Augment, Geometry
from trainables.geometry import to_square

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow and torchvision


@dataclass(frozen=True)
class Draw:
    """The random parameters of a batch of B samples."""

    affine: Tensor
    """float32 (B, 2, 3): see `geometry.to_square`."""
    brightness: Tensor
    """float32 (B,): factor; contrast and saturation likewise, 1 changes nothing."""
    contrast: Tensor
    saturation: Tensor
    erase: Tensor
    """float32 (B, 4): left, top, right, bottom of the blanked rectangle as shares of the side; empty
    where left equals right."""

    def to(self, device: torch.device) -> Self:
        """The same parameters on a device."""
        return type(self)(**{name: value.to(device) for name, value in vars(self).items()})

    def rows(self, rows: slice) -> Self:
        """The parameters of some of the samples."""
        return type(self)(**{name: value[rows] for name, value in vars(self).items()})


def draw(batch: int, augment: Augment, rng: np.random.Generator) -> Draw | None:
    """Draws the parameters of a batch; None when the strength is 0: then nothing at all is changed."""
    strength = augment.strength
    if strength == 0:
        return None

    def either_way(magnitude: float) -> np.ndarray:
        return rng.uniform(-1, 1, batch) * magnitude * strength

    angle = either_way(math.radians(augment.rotate_deg))
    # Reading from a span of 1/z of the picture shows it z times as large; 1+m and 1/(1+m) are opposites.
    scale = (1 + augment.zoom * strength) ** -rng.uniform(-1, 1, batch)
    mirror = np.where(rng.random(batch) < augment.flip, -1.0, 1.0)
    shift_x, shift_y = 2 * either_way(augment.shift), 2 * either_way(augment.shift)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    affine = np.stack(
        [np.stack([cos * mirror, -sin, shift_x], 1), np.stack([sin * mirror, cos, shift_y], 1)], 1
    )
    saturation = 1 + either_way(augment.saturation)
    saturation[rng.random(batch) < augment.grayscale * strength] = 0.0
    values = {
        "affine": affine,
        "brightness": 1 + either_way(augment.brightness),
        "contrast": 1 + either_way(augment.contrast),
        "saturation": saturation,
        "erase": _rectangles(batch, augment.erase * strength, rng),
    }
    return Draw(**{name: torch.from_numpy(value.astype(np.float32)) for name, value in values.items()})


def _rectangles(batch: int, chance: float, rng: np.random.Generator) -> np.ndarray:
    """Rectangles of 2 to 20% of the area, sides at most 1:3.3 (Zhong et al. 2017), as shares: (B, 4)."""
    area = rng.uniform(0.02, 0.2, batch)
    ratio = np.exp(rng.uniform(-math.log(3.3), math.log(3.3), batch))
    width, height = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
    left, top = rng.random(batch) * (1 - width), rng.random(batch) * (1 - height)
    blank = (rng.random(batch) < chance)[:, None]
    return np.where(blank, np.stack([left, top, left + width, top + height], 1), 0.0)


def augmented(
    pixels: Tensor, extents: Tensor, geometry: Geometry, augment: Augment, draw: Draw | None
) -> Tensor:
    """Squares of a batch with its draw applied; see `geometry.to_square` for shapes.

    Without a draw these are the very pictures that the network is evaluated on.
    """
    if draw is not None:
        draw = draw.to(pixels.device)
    affine = None if draw is None else draw.affine
    squares = to_square(pixels, extents, size_px=geometry.size_px, fit=geometry.fit, affine=affine)
    if draw is None:
        return squares
    images = recolour(squares, draw)
    return erase(images, draw) if augment.erase else images


def recolour(images: Tensor, draw: Draw) -> Tensor:
    """Brightness, contrast and saturation of a batch, float (B, 3, S, S) in [0, 1], as one matrix.

    The three factors mean what they mean in torchvision (blend with black, with the picture's mean grey,
    with its own grey version), applied in this order; values are clamped once, at the end.
    """
    luma = torch.tensor(LUMA, device=images.device)
    grey = luma.expand(3, 3)
    identity = torch.eye(3, device=images.device)
    saturation = draw.saturation[:, None, None]
    saturate = saturation * identity + (1 - saturation) * grey
    matrix = saturate * (draw.contrast * draw.brightness)[:, None, None]
    mean_grey = images.mean((2, 3)) @ luma
    # The rows of `saturate` sum to one, so a grey offset passes through it unchanged.
    offset = (1 - draw.contrast) * draw.brightness * mean_grey
    mixed = torch.einsum("bij,bjhw->bihw", matrix, images) + offset[:, None, None, None]
    return mixed.clamp_(0, 1).contiguous(memory_format=torch.channels_last)


def erase(images: Tensor, draw: Draw) -> Tensor:
    """Blanks each sample's rectangle to middle grey; images (B, 3, S, S) in [0, 1]."""
    size = images.shape[-1]
    centres = (torch.arange(size, device=images.device) + 0.5) / size
    left, top, right, bottom = draw.erase[:, :, None].unbind(1)
    columns = (centres >= left) & (centres < right)
    lines = (centres >= top) & (centres < bottom)
    blank = (lines[:, :, None] & columns[:, None, :])[:, None]
    return images.masked_fill(blank, 0.5)
