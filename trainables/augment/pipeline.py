"""A draw applied to a batch of stored pictures."""

from __future__ import annotations

from torch import Tensor

from trainables.augment.background import composite
from trainables.augment.colour import recolour
from trainables.augment.draw import Draw
from trainables.augment.gaussian import blur
from trainables.augment.pixel import erase, solarize
from trainables.augment.trivial import auto_contrast, equalize, posterize, sharpen
from trainables.geometry import Fit, to_square


def augmented(pixels: Tensor, extents: Tensor, draw: Draw | None, *, size_px: int, fit: Fit) -> Tensor:
    """Squares with the draw applied, but for its blends: float32 (B, 3, size_px, size_px) in [0, 1].

    Without a draw these are the very pictures that the network is evaluated on.

    Args:
        pixels, extents, size_px, fit: See `geometry.to_square`.
    """
    if draw is None:
        return to_square(pixels, extents, size_px=size_px, fit=fit)
    images = to_square(
        pixels, extents, size_px=size_px, fit=fit, homography=draw.homography, elastic=draw.elastic
    )
    if draw.background.any():
        images = composite(images, draw.background)
    images = recolour(images, draw.brightness, draw.contrast, draw.saturation, draw.hue)
    images = sharpen(images, draw.sharpness)
    images = blur(images, draw.blur)
    images = solarize(images, draw.solarize)
    images = posterize(images, draw.posterize)
    images = auto_contrast(images, draw.auto_contrast)
    images = equalize(images, draw.equalize)
    return erase(images, draw.erase)
