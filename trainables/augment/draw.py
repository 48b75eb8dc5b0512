"""The random parameters of a batch: a draw a sample, on the CPU, before any pixel is touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from spaces.augment import Augment, Policy
from trainables.augment import homography, trivial
from trainables.augment.mix import draw_blends

NODES = 5
"""Of the elastic field, along each axis."""
CROP_RATIO, ERASE_RATIO = 4 / 3, 3.3
"""Of the sides of a window and of a blanked box, the longer to the shorter one, at most."""
ERASE_AREA = (0.02, 0.2)
"""Of a blanked box, as shares of the square's."""
NOTHING = Policy(**{name: 0.0 for name in Policy.model_fields if name != "blur_sigma"})
"""The policy that changes nothing."""


@dataclass(frozen=True)
class Draw:
    """The random parameters of a batch of B samples, on the CPU."""

    homography: Tensor
    """float32 (B, 3, 3): from the square's coordinates to those at which the picture is read; see
    `homography`."""
    elastic: Tensor | None
    """float32 (B, 2, NODES, NODES): how far the points that are read move along x and y, in half sides; None
    when the recipe has none. See `gaussian.elastic_field`."""
    background: Tensor
    """bool (B,): whether the surroundings are replaced."""
    brightness: Tensor
    """float32 (B,): factor; contrast and saturation likewise. See `colour`."""
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    """float32 (B,): whole turns."""
    blur: Tensor
    """float32 (B,): standard deviation as a share of the side; 0 is none."""
    solarize: Tensor
    """float32 (B,): values from here on become their negatives; infinity is none."""
    sharpness: Tensor
    """float32 (B,): factor. This and the next three are TrivialAugment's; see `trivial`."""
    posterize: Tensor
    """float32 (B,): bits that are left; infinity is all."""
    auto_contrast: Tensor
    """bool (B,)."""
    equalize: Tensor
    """bool (B,)."""
    erase: Tensor
    """int64 (B, 4): the blanked box in pixels; see `pixel.inside`. Empty is none."""
    blend: Tensor
    """float32 (B,): the partner's share within `blend_box`, int64 (B, 4); see `mix`."""
    blend_box: Tensor

    def rows(self, rows: slice) -> Self:
        """The parameters of some of the samples."""
        drawn = {name: value[rows] for name, value in vars(self).items() if value is not None}
        return replace(self, **drawn)


def draw(batch: int, augment: Augment, size_px: int, rng: np.random.Generator) -> Draw | None:
    """Draws the parameters of a batch; None when the strength is 0: then nothing at all is changed.

    Args:
        size_px: Side of the squares, for what is measured in pixels.
    """
    if augment.strength == 0:
        return None
    strong = rng.random(batch) < augment.strong_share
    limits = _limits(augment, strong)

    def either_way(name: str) -> np.ndarray:
        return rng.uniform(-1, 1, batch) * limits[name]

    def happens(name: str) -> np.ndarray:
        return rng.random(batch) < limits[name]

    saturation = np.where(happens("grayscale"), 0.0, 1 + either_way("saturation"))
    inverted = np.where(happens("invert"), 0.0, np.inf)
    values: dict[str, np.ndarray] = {
        "homography": _homography(limits, batch, rng),
        "background": rng.random(batch) < augment.background * augment.strength,
        "brightness": 1 + either_way("brightness"),
        "contrast": 1 + either_way("contrast"),
        "saturation": saturation,
        "hue": either_way("hue"),
        "blur": happens("blur") * rng.uniform(0, 1, batch) * limits["blur_sigma"],
        "solarize": np.where(happens("solarize"), 0.5, inverted),
        "sharpness": np.ones(batch),
        "posterize": np.full(batch, np.inf),
        "auto_contrast": np.zeros(batch, bool),
        "equalize": np.zeros(batch, bool),
        "erase": _erase_boxes(happens("erase"), size_px, rng),
    }
    if augment.strong_by == "trivial":
        trivial.fill(values, strong, augment.strength, size_px, rng)
    values["blend"], values["blend_box"] = draw_blends(batch, augment, size_px, rng)
    elastic = None
    if limits["elastic"].any():
        nodes = rng.uniform(-1, 1, (batch, 2, NODES, NODES))
        elastic = _tensor(nodes * 2 * limits["elastic"][:, None, None, None])
    return Draw(elastic=elastic, **{name: _tensor(value) for name, value in values.items()})


def _tensor(values: np.ndarray) -> Tensor:
    tensor = torch.from_numpy(values)
    return tensor.float() if tensor.is_floating_point() else tensor


def _limits(augment: Augment, strong: np.ndarray) -> dict[str, np.ndarray]:
    """Each field of `Policy` as it is for each sample, float (B,), scaled by the strength."""
    policy = augment.strong
    if augment.strong_by == "trivial":  # which replaces all of the policy but mirror images
        policy = NOTHING.model_copy(update={"flip": policy.flip})
    return {
        name: np.where(strong, getattr(policy, name), getattr(augment, name))
        * (1.0 if name == "flip" else augment.strength)
        for name in Policy.model_fields
    }


def _homography(limits: dict[str, np.ndarray], batch: int, rng: np.random.Generator) -> np.ndarray:
    """All of a sample's geometry but the elastic part: float64 (B, 3, 3)."""

    def even() -> np.ndarray:
        return rng.uniform(-1, 1, batch)

    area = 1 - limits["crop"] * rng.uniform(0, 1, batch)
    ratio = np.minimum(CROP_RATIO, 1 / area) ** even()  # a window of more than that would not fit
    width, height = np.sqrt(area * ratio), np.sqrt(area / ratio)
    shear, turn = np.radians(limits["shear_deg"]), np.radians(limits["rotate_deg"])
    far = 2 * limits["shift"]  # in half sides
    composed = (
        homography.window(even() * (1 - width), even() * (1 - height), width, height)
        @ homography.mirror(rng.random(batch) < limits["flip"])
        # 1+m and 1/(1+m) are opposites: larger as often as smaller.
        @ homography.zoom((1 + limits["zoom"]) ** even())
        @ homography.shear(even() * shear, even() * shear)
        @ homography.rotation(even() * turn)
        @ homography.shift(even() * far, even() * far)
    )
    if limits["perspective"].any():
        inwards = rng.uniform(0, 1, (batch, 4, 2)) * limits["perspective"][:, None, None]
        composed = composed @ homography.perspective(homography.CORNERS * (1 - inwards))
    return composed


def _erase_boxes(erased: np.ndarray, size_px: int, rng: np.random.Generator) -> np.ndarray:
    """Boxes of evenly drawn area and of any place, int64 (B, 4); empty where not `erased`, bool (B,)."""
    area = rng.uniform(*ERASE_AREA, len(erased))
    ratio = ERASE_RATIO ** rng.uniform(-1, 1, len(erased))
    sides = np.rint(size_px * np.sqrt(np.stack([area * ratio, area / ratio], axis=1))).astype(np.int64)
    start = rng.integers(0, size_px - sides + 1)
    return np.concatenate([start, start + sides], axis=1) * erased[:, None]
