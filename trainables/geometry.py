"""How a batch of pictures of any shape becomes squares: one sampling grid, one interpolation.

A picture lies in the upper-left corner of its batch's canvas. The recipe's `fit` and the random geometry
of augmentation are composed into one map from the square to the picture, so that pixels are interpolated
once.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

BAR = 0.5  # grey of the bars that `pad` adds


def to_square(
    pixels: Tensor,
    extents: Tensor,
    *,
    size_px: int,
    fit: Literal["resize", "crop", "pad"],
    affine: Tensor | None = None,
) -> Tensor:
    """Squares in [0, 1].

    Args:
        pixels: uint8 (B, H, W, 3): canvases.
        extents: int64 (B, 2), on the CPU: height and width of each picture in its canvas, in pixels.
        affine: float (B, 2, 3): random geometry, from the square's coordinates (x, y in [-1, 1]) to the
            coordinates at which the fitted picture is read; None changes nothing. Where it reads
            outside of the picture it sees its mirror image (grey with `pad`).

    Returns:
        float32 (B, 3, size_px, size_px), channels_last in memory.
    """
    images = pixels.permute(0, 3, 1, 2).float().div_(255)
    height, width = pixels.shape[1:3]
    if affine is None and height == width == size_px and bool((extents == size_px).all()):
        return images
    grid, inside = _grid(extents.to(pixels.device), size_px=size_px, fit=fit, affine=affine)
    canvas = torch.tensor([width, height], dtype=torch.float32, device=pixels.device)
    squares = F.grid_sample(images, grid * 2 / canvas - 1, mode="bilinear", align_corners=False)
    if fit == "pad":
        squares = squares * inside[:, None] + BAR * (1 - inside[:, None])
    return squares.contiguous(memory_format=torch.channels_last)


def _grid(extents: Tensor, *, size_px: int, fit: str, affine: Tensor | None) -> tuple[Tensor, Tensor]:
    """Where each square's pixel is read, in canvas pixels (x, y): (B, S, S, 2); and what lies inside."""
    device, batch = extents.device, len(extents)
    centres = (torch.arange(size_px, device=device, dtype=torch.float32) + 0.5) * 2 / size_px - 1
    square = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)
    if affine is None:
        square = square.expand(batch, -1, -1, -1)
    else:
        square = (square.reshape(1, -1, 2) @ affine[:, :, :2].transpose(1, 2) + affine[:, None, :, 2]).view(
            batch, size_px, size_px, 2
        )
    sides = extents.flip(1).to(torch.float32)  # width, height
    span = {
        "resize": sides,
        "crop": sides.amin(1, keepdim=True).expand(-1, 2),
        "pad": sides.amax(1, keepdim=True).expand(-1, 2),
    }[fit]
    points = (sides[:, None, None] + square * span[:, None, None]) / 2
    inside = ((points >= 0) & (points <= sides[:, None, None])).all(-1).float()
    return _mirror(points, sides[:, None, None]), inside


def _mirror(points: Tensor, sides: Tensor) -> Tensor:
    """Folds coordinates back into the picture, at most half a pixel from its border inwards."""
    folded = points.remainder(2 * sides)
    folded = torch.minimum(folded, 2 * sides - folded)
    return torch.minimum(folded.clamp_(min=0.5), sides - 0.5)
