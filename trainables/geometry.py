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

from spaces.recipe import Geometry
from trainables.augment.gaussian import elastic_field

Fit = Literal["resize", "crop", "pad"]

BAR = 0.5  # grey of the bars that `pad` adds
CPU_PIXELS = 1 << 16  # that a CPU maps and reads at once: what it makes on the way then stays in its cache
HORIZON = 1e-3  # least depth of a point in perspective: at 0 it would be infinitely far away


def training_px(geometry: Geometry, epoch: int, epochs: int) -> int:
    """Side of the square in an epoch, counted from 1, of a training of `epochs`.

    It starts at `start_px` and grows evenly, in steps of 8 pixels, so that `size_px` is reached after
    `grow_share` of the training (Tan & Le 2021, "EfficientNetV2").
    """
    start, end, growing = geometry.start_px, geometry.size_px, geometry.grow_share * epochs
    if start is None or epoch - 1 >= growing:
        return end
    side = start + (end - start) * (epoch - 1) / growing
    return max(start, int(side) // 8 * 8)


def to_square(
    pixels: Tensor,
    extents: Tensor,
    *,
    size_px: int,
    fit: Fit,
    homography: Tensor | None = None,
    elastic: Tensor | None = None,
) -> Tensor:
    """Squares in [0, 1].

    Args:
        pixels: uint8 (B, H, W, 3): canvases.
        extents: int64 (B, 2), on the CPU: height and width of each picture in its canvas, in pixels.
        homography: float32 (B, 3, 3), on the CPU: random geometry, from the square's coordinates (x, y, 1
            with x, y in [-1, 1]) to those at which the fitted picture is read. Where it reads outside of
            the picture it sees its mirror image (grey with `pad`).
        elastic: float32 (B, 2, G, G), on the CPU: nodes of a field that is added to the square's x and y
            before that; see `gaussian.elastic_field`.

    Returns:
        float32 (B, 3, size_px, size_px).
    """
    unchanged = homography is None and elastic is None
    if unchanged and pixels.shape[1:3] == (size_px, size_px) and bool((extents == size_px).all()):
        return _floats(pixels)
    sides = extents.flip(1).float()  # width, height
    to_picture = _fitting(sides, fit)
    matrix = to_picture if homography is None else to_picture @ homography
    device = pixels.device
    square = _pixel_centres(size_px, device)
    squares = torch.empty(len(pixels), 3, size_px, size_px, device=device)
    at_once = max(1, CPU_PIXELS // size_px**2) if device.type == "cpu" else len(pixels)
    for start in range(0, len(pixels), at_once):
        some = slice(start, start + at_once)
        points = square.expand(len(matrix[some]), -1, -1, -1)
        if elastic is not None:
            points = points + elastic_field(elastic[some].to(device, non_blocking=True), size_px)
        squares[some] = _read(pixels[some], sides[some], _mapped(points, matrix[some]), bars=fit == "pad")
    return squares


def _floats(pixels: Tensor) -> Tensor:
    """Pictures uint8 (B, H, W, 3) as float32 (B, 3, H, W) in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).float().div_(255)


def _pixel_centres(size_px: int, device: torch.device) -> Tensor:
    """The square's coordinates x and y of each of its pixels: float32 (2, S, S)."""
    centres = (torch.arange(size_px, device=device, dtype=torch.float32) + 0.5) * 2 / size_px - 1
    return torch.stack(torch.meshgrid(centres, centres, indexing="xy"))


def _fitting(sides: Tensor, fit: Fit) -> Tensor:
    """From coordinates of the fitted picture to places, in units of twice the picture's sides.

    The picture lies from 0.5 to 1 along both axes, so that the border between it and its mirror image is at
    0.5, and everything repeats after 1.

    Args:
        sides: float32 (B, 2): width and height.

    Returns:
        float32 (B, 3, 3).
    """
    span = {
        "resize": sides,
        "crop": sides.amin(1, keepdim=True),
        "pad": sides.amax(1, keepdim=True),
    }[fit]
    matrix = torch.diag_embed(F.pad(span / (4 * sides), (0, 1), value=1.0))
    matrix[:, :2, 2] = 0.75
    return matrix


def _mapped(points: Tensor, matrix: Tensor) -> Tensor:
    """Points x and y, float32 (B, 2, S, S), after a homography each, (B, 3, 3), on the CPU."""
    flat = not matrix[:, 2, :2].any()
    matrix = matrix[:, : 2 if flat else 3].to(points.device, non_blocking=True)
    mapped = torch.baddbmm(matrix[:, :, 2:], matrix[:, :, :2], points.flatten(2)).unflatten(
        2, points.shape[2:]
    )
    return mapped if flat else mapped[:, :2].div_(mapped[:, 2:].clamp_(min=HORIZON))


def _read(pixels: Tensor, sides: Tensor, places: Tensor, *, bars: bool) -> Tensor:
    """What is seen at these places: float32 (B, 3, S, S) in [0, 1].

    Args:
        pixels, sides: See `to_square` and `_fitting`.
        places: float32 (B, 2, S, S), see `_fitting`; overwritten.
        bars: Whether there is grey outside of the picture, and no mirror image.
    """
    outside = ((places < 0.5) | (places > 1)).any(1, keepdim=True) if bars else None
    # Distances from the picture's left or upper border, over twice its side; its mirror image has the same.
    # Nothing is read from behind its last pixel, for in the canvas something else may lie there.
    folded = places.abs_().frac_().sub_(0.5).abs_()
    canvas = torch.tensor([pixels.shape[2], pixels.shape[1]])
    last, scale = (
        value.to(pixels.device, non_blocking=True)[:, :, None, None]
        for value in (0.5 - 0.25 / sides, 4 * sides / canvas)
    )
    grid = folded.clamp_(max=last).mul_(scale).sub_(1).permute(0, 2, 3, 1)
    seen = F.grid_sample(_floats(pixels), grid, padding_mode="border", align_corners=False)
    return seen if outside is None else seen.masked_fill_(outside, BAR)
