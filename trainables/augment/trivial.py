"""TrivialAugment (Müller & Hutter 2021): one operation a sample, at a random level of a wide range.

The operations and their ranges are those of torchvision's `TrivialAugmentWide`. Most are what a policy has
too, and only fill a draw in another way; the pixel operations that no policy has follow here.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import trainables.torch_setup  # noqa: F401  (before torchvision)

from torchvision.transforms.v2 import functional as torchvision  # isort: skip

from trainables.augment import homography
from trainables.augment.pixel import change_some

OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "auto_contrast",
    "equalize",
)
LEVELS = 31
FACTOR = 0.99  # the largest change of brightness, color, contrast and sharpness, and tangent of the shear
TRANSLATE_PX = 32
ROTATE_DEG = 135.0
POSTERIZE_BITS = (8, 2)


def fill(
    values: dict[str, np.ndarray],
    chosen: np.ndarray,
    strength: float,
    size_px: int,
    rng: np.random.Generator,
) -> None:
    """Writes one random operation for each chosen sample into the values of a `Draw`.

    Args:
        values: Arrays for the fields of `draw.Draw`, in which the chosen samples are unchanged in all but
            geometry; replaced in place.
        chosen: bool (B,).
        strength: Scales the magnitudes, and how often an operation without one happens.
        size_px: Side of the square.
    """
    batch = len(chosen)
    operation = rng.integers(len(OPERATIONS), size=batch)
    level = strength * rng.integers(LEVELS, size=batch) / (LEVELS - 1)
    signed = level * rng.choice([-1.0, 1.0], batch)
    happens = rng.random(batch) < strength

    def drawn(name: str) -> np.ndarray:
        return chosen & (operation == OPERATIONS.index(name))

    def only(name: str, magnitude: np.ndarray) -> np.ndarray:
        return np.where(drawn(name), magnitude, 0.0)

    slope_x, slope_y = only("shear_x", FACTOR * signed), only("shear_y", FACTOR * signed)
    half_sides = np.trunc(TRANSLATE_PX * signed) * 2 / size_px
    values["homography"] = (
        values["homography"]
        @ homography.shift(-slope_x, -slope_y)  # the sheared picture keeps its upper left corner
        @ homography.shear(np.arctan(slope_x), np.arctan(slope_y))
        @ homography.rotation(only("rotate", np.radians(-ROTATE_DEG) * signed))
        @ homography.shift(only("translate_x", half_sides), only("translate_y", half_sides))
    )
    values["brightness"] += only("brightness", FACTOR * signed)
    values["saturation"] += only("color", FACTOR * signed)
    values["contrast"] += only("contrast", FACTOR * signed)
    values["sharpness"] += only("sharpness", FACTOR * signed)
    most, least = POSTERIZE_BITS
    values["posterize"] = np.where(drawn("posterize"), np.round(most - (most - least) * level), np.inf)
    values["solarize"] = np.where(drawn("solarize"), 1 - level, values["solarize"])
    values["auto_contrast"] = drawn("auto_contrast") & happens
    values["equalize"] = drawn("equalize") & happens


def sharpen(images: Tensor, factor: Tensor) -> Tensor:
    """Blends samples with a smoothed version, as torchvision's `adjust_sharpness`; the border stays.

    Args:
        images: float (B, 3, S, S) in [0, 1]; changed in place.
        factor: float32 (B,), on the CPU: 0 is the smoothed version, 1 changes nothing, 2 sharpens.
    """

    def sharpened(samples: Tensor, factor: Tensor) -> Tensor:
        kernel = torch.ones(3, 1, 3, 3, device=samples.device) / 13
        kernel[:, :, 1, 1] *= 5
        smooth = samples.clone()
        smooth[..., 1:-1, 1:-1] = F.conv2d(samples, kernel, groups=3)
        return torch.lerp(smooth, samples, factor.view(-1, 1, 1, 1)).clamp_(0, 1)

    return change_some(images, factor != 1, sharpened, factor)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Leaves 2 to the power of `bits` values a channel, rounded down.

    Args:
        images: float (B, 3, S, S) in [0, 1]; changed in place.
        bits: float32 (B,), on the CPU: infinity leaves a sample alone.
    """

    def posterized(samples: Tensor, bits: Tensor) -> Tensor:
        levels = (2**bits).view(-1, 1, 1, 1)
        return torch.minimum((samples * levels).floor_(), levels - 1) / levels

    return change_some(images, bits.isfinite(), posterized, bits)


def auto_contrast(images: Tensor, chosen: Tensor) -> Tensor:
    """Stretches each channel of the chosen samples, bool (B,) on the CPU, to reach from 0 to 1."""
    return change_some(images, chosen, torchvision.autocontrast)


def equalize(images: Tensor, chosen: Tensor) -> Tensor:
    """Makes all values of a channel equally frequent in the chosen samples, bool (B,) on the CPU."""
    return change_some(images, chosen, torchvision.equalize)
