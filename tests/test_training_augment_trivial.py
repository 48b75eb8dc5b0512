"""TrivialAugment is torchvision's `TrivialAugmentWide`, operation by operation."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch

import trainables.torch_setup  # noqa: F401  (before torchvision)

from torchvision.transforms import InterpolationMode  # isort: skip
from torchvision.transforms.v2 import TrivialAugmentWide  # isort: skip

from spaces.augment import Augment
from tests.augmentation import SIDE, as_images, extents_of, only, smooth, some
from trainables.augment.draw import Draw, draw
from trainables.augment.pipeline import augmented
from trainables.augment.trivial import LEVELS, OPERATIONS

REFERENCE = cast(Any, TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR))
THEIR_NAMES = list(REFERENCE._AUGMENTATION_SPACE)
TRIVIAL = only(strong_share=1.0, strong_by="trivial", strong={"flip": 0.0})


class Chosen:
    """A generator that chooses one operation, at one level, with one sign."""

    def __init__(self, operation: str, level: int, sign: float) -> None:
        self.operation, self.level, self.sign = OPERATIONS.index(operation), level, sign

    def integers(self, low: Any, high: Any = None, size: Any = None) -> np.ndarray:
        known = {len(OPERATIONS): self.operation, LEVELS: self.level}
        return np.full(size or np.shape(high), known.get(low, 0) if high is None else 0)

    def choice(self, options: Any, size: int) -> np.ndarray:
        return np.full(size, self.sign)

    def random(self, size: int) -> np.ndarray:
        return np.full(size, 0.5)

    def uniform(self, low: float, high: float, size: Any) -> np.ndarray:
        return np.full(size, (low + high) / 2)

    def beta(self, a: float, b: float, size: int) -> np.ndarray:
        return np.full(size, 0.5)


def chosen(operation: str, level: int = 10, sign: float = 1.0, strength: float = 1.0) -> Draw:
    augment = TRIVIAL.model_copy(update={"strength": strength})
    generator = cast(np.random.Generator, Chosen(operation, level, sign))
    drawn = draw(2, augment, SIDE, generator)
    assert drawn is not None
    return drawn


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("level", [0, 11, 30])
@pytest.mark.parametrize(("ours", "theirs"), list(zip(OPERATIONS, THEIR_NAMES, strict=True)))
def test_an_operation_is_that_of_torchvision(ours: str, theirs: str, level: int, sign: float) -> None:
    pixels = smooth(2)
    squares = augmented(pixels, extents_of(pixels), chosen(ours, level, sign), size_px=SIDE, fit="resize")
    magnitudes, signed = REFERENCE._AUGMENTATION_SPACE[theirs]
    scale = magnitudes(LEVELS, SIDE, SIDE)
    magnitude = 0.0 if scale is None else float(scale[level]) * (sign if signed else 1.0)

    def reference(images: torch.Tensor) -> torch.Tensor:
        return REFERENCE._apply_image_or_video_transform(
            images, theirs, magnitude, interpolation=InterpolationMode.BILINEAR, fill={}
        )

    # Where torchvision fills in black, ours shows the mirror image.
    moves = ours.startswith(("shear", "translate", "rotate"))
    inside = reference(torch.ones(2, 3, SIDE, SIDE)) > 1 - 1e-5 if moves else torch.ones(2, 3, SIDE, SIDE) > 0
    torch.testing.assert_close(squares[inside], reference(as_images(pixels))[inside], rtol=0, atol=1e-4)


def test_every_operation_changes_the_picture() -> None:
    pixels = smooth(2)
    for operation in OPERATIONS[1:]:
        drawn = chosen(operation, level=15)
        squares = augmented(pixels, extents_of(pixels), drawn, size_px=SIDE, fit="resize")
        assert (squares - as_images(pixels)).abs().mean() > 1e-3, operation


def test_strength_scales_the_level_and_how_often_an_operation_without_one_happens() -> None:
    assert chosen("brightness", 20, strength=0.5).brightness.tolist() == pytest.approx([1 + 0.99 / 3] * 2)
    assert chosen("posterize", 30, strength=0.5).posterize.tolist() == [5, 5]
    assert chosen("solarize", 30, strength=0.5).solarize.tolist() == [0.5, 0.5]
    stretched = some(14_000, TRIVIAL.model_copy(update={"strength": 0.5}))
    for operation in (stretched.auto_contrast, stretched.equalize):
        assert operation.float().mean() == pytest.approx(0.5 / len(OPERATIONS), abs=0.005)


def test_a_sample_gets_one_operation_each_as_often_as_the_others() -> None:
    drawn = some(14_000, TRIVIAL)
    linear, moved = drawn.homography[:, :2, :2], drawn.homography[:, :2, 2] != 0
    identity = torch.eye(2)
    turned = (linear[:, 0, 1] != 0) & (linear[:, 1, 0] != 0)
    happened = {
        "shear_x": (linear[:, 0, 1] != 0) & ~turned,
        "shear_y": (linear[:, 1, 0] != 0) & ~turned,
        "translate_x": moved[:, 0] & (linear == identity).all((1, 2)),
        "translate_y": moved[:, 1] & (linear == identity).all((1, 2)),
        "rotate": turned,
        "brightness": drawn.brightness != 1,
        "color": drawn.saturation != 1,
        "contrast": drawn.contrast != 1,
        "sharpness": drawn.sharpness != 1,
        "posterize": drawn.posterize.isfinite(),
        "solarize": drawn.solarize.isfinite(),
        "auto_contrast": drawn.auto_contrast,
        "equalize": drawn.equalize,
    }
    assert sum(each.int() for each in happened.values()).max() == 1
    for operation, hit in happened.items():
        assert hit.float().mean() == pytest.approx(1 / len(OPERATIONS), abs=0.008), operation


def test_it_takes_the_place_of_the_strong_policy_but_for_mirror_images() -> None:
    augment = Augment(strong_share=0.5, strong_by="trivial", rotate_deg=0.0, hue=0.3, flip=0.0)
    drawn = some(4000, augment)  # the strong policy has a flip of 0.5, a hue and much else
    strong = drawn.hue == 0
    assert strong.float().mean() == pytest.approx(0.5, abs=0.03)
    assert (drawn.blur == 0).all()
    flipped = drawn.homography[:, 0, 0] * drawn.homography[:, 1, 1] < 0
    assert not flipped[~strong].any()
    assert flipped[strong].float().mean() == pytest.approx(0.5, abs=0.1)
    assert drawn.posterize[~strong].isinf().all()
    assert (drawn.sharpness[~strong] == 1).all()
