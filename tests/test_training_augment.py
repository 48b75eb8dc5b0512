"""Augmentation: torchvision's functions with a draw a sample, and nothing at strength 0."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import trainables.torch_setup  # noqa: F401  (before torchvision)

from torchvision.transforms import InterpolationMode  # isort: skip
from torchvision.transforms.v2 import functional as reference  # isort: skip

from spaces.recipe import Augment, Geometry
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.augment import Draw, augmented, draw, erase, recolour
from trainables.feed import Feed
from trainables.geometry import to_square

SIDE = 24
NOTHING = Augment(flip=0.0, rotate_deg=0.0, shift=0.0, zoom=0.0, brightness=0.0, contrast=0.0, saturation=0.0)


class Extreme:
    """A generator whose every draw is at one end: `end` of -1 or 1 for magnitudes; chances come true."""

    def __init__(self, end: int) -> None:
        self.end = end

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        return np.full(size, high if self.end > 0 else low)

    def random(self, size: int) -> np.ndarray:
        return np.zeros(size)


def extreme(end: int, batch: int = 1, **magnitudes: float) -> Draw:
    """A draw in which only these magnitudes are not zero, all at one end."""
    augment = NOTHING.model_copy(update=magnitudes)
    drawn = draw(batch, augment, cast(np.random.Generator, Extreme(end)))
    assert drawn is not None
    return drawn


def smooth(count: int = 1) -> Tensor:
    """uint8 (B, SIDE, SIDE, 3), without the finest detail."""
    noise = torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return (F.avg_pool2d(noise, 5, 1, 2) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def seen(pixels: Tensor, drawn: Draw) -> Tensor:
    extents = torch.tensor([[SIDE, SIDE]] * len(pixels))
    return to_square(pixels, extents, size_px=SIDE, fit="resize", affine=drawn.affine)


def affine(pixels: Tensor, **parameters: Any) -> Tensor:
    neutral: dict[str, Any] = {"angle": 0.0, "translate": [0.0, 0.0], "scale": 1.0, "shear": [0.0, 0.0]}
    images = pixels.permute(0, 3, 1, 2).float() / 255
    return reference.affine(images, **{**neutral, **parameters}, interpolation=InterpolationMode.BILINEAR)


def middle(images: Tensor) -> Tensor:
    """Where nothing from outside of the picture is seen."""
    return images[..., 7:17, 7:17]


@pytest.mark.parametrize("end", [-1, 1])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_geometry_is_that_of_torchvision(end: int, strength: float) -> None:
    pixels = smooth()
    pairs = [
        (extreme(end, rotate_deg=20.0, strength=strength), {"angle": -20.0 * end * strength}),
        (extreme(end, shift=0.1, strength=strength), {"translate": [-0.1 * SIDE * end * strength] * 2}),
        (extreme(end, zoom=0.25, strength=strength), {"scale": (1 + 0.25 * strength) ** end}),
    ]
    for drawn, parameters in pairs:
        ours, theirs = seen(pixels, drawn), affine(pixels, **parameters)
        torch.testing.assert_close(middle(ours), middle(theirs), rtol=0, atol=1e-5)
        assert (middle(ours) - middle(affine(pixels))).abs().max() > 0.05


def test_a_flip_is_the_very_mirror_image() -> None:
    pixels = smooth()
    flipped = seen(pixels, extreme(1, flip=0.5))
    torch.testing.assert_close(flipped, reference.horizontal_flip(affine(pixels)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("end", [-1, 1])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_recolouring_is_that_of_torchvision(name: str, end: int) -> None:
    images = 0.3 + 0.4 * affine(smooth(2))  # far from black and white: nothing is clipped
    adjust = getattr(reference, f"adjust_{name}")
    ours = recolour(images, extreme(end, 2, **{name: 0.3}))
    torch.testing.assert_close(ours, adjust(images, 1 + 0.3 * end), rtol=0, atol=1e-3)
    assert (ours - images).abs().max() > 0.01


def test_recolouring_adjusts_brightness_then_contrast_then_saturation() -> None:
    images = 0.3 + 0.2 * affine(smooth(2))
    expected = reference.adjust_brightness(images, 1.2)
    expected = reference.adjust_saturation(reference.adjust_contrast(expected, 1.3), 1.4)
    ours = recolour(images, extreme(1, 2, brightness=0.2, contrast=0.3, saturation=0.4))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-3)


def test_grayscale_is_that_of_torchvision() -> None:
    images = affine(smooth(2))
    expected = reference.rgb_to_grayscale(images, num_output_channels=3)
    torch.testing.assert_close(recolour(images, extreme(1, 2, grayscale=1.0)), expected, rtol=0, atol=1e-3)


def test_colours_stay_within_black_and_white() -> None:
    images = recolour(affine(smooth(2)), extreme(1, 2, brightness=1.0, contrast=1.0, saturation=1.0))
    assert images.min() >= 0
    assert images.max() <= 1


def test_erase_blanks_rectangles_of_two_to_twenty_percent_in_the_right_share_of_the_samples() -> None:
    side, count = 100, 2000
    drawn = draw(count, NOTHING.model_copy(update={"erase": 0.6, "strength": 0.5}), np.random.default_rng(0))
    assert drawn is not None
    blank = (erase(torch.zeros(count, 1, side, side), drawn) == 0.5).squeeze(1).float()
    areas = blank.mean((1, 2))
    hit = areas > 0
    assert hit.float().mean() == pytest.approx(0.3, abs=0.03)  # the chance is scaled by the strength
    assert areas[hit].min() > 0.015
    assert areas[hit].max() < 0.215
    assert areas[hit].mean() == pytest.approx(0.11, abs=0.01)
    # Each is a rectangle: as large as its columns times its lines.
    sides = blank.amax(1).mean(1) * blank.amax(2).mean(1)
    torch.testing.assert_close(sides, areas)
    # And they are everywhere.
    assert blank.amax((0, 1))[2:-2].all()
    assert blank.amax((0, 2))[2:-2].all()


def test_every_sample_has_its_own_draw() -> None:
    augment = Augment(erase=1.0, grayscale=0.5)
    pixels, extents = smooth().expand(8, -1, -1, -1), torch.tensor([[SIDE, SIDE]] * 8)
    random = draw(8, augment, np.random.default_rng(0))
    images = augmented(pixels, extents, Geometry(size_px=SIDE), augment, random).flatten(1)
    assert torch.pdist(images).min() > 0.5


def test_draws_stay_within_their_magnitudes_and_reach_near_both_ends() -> None:
    augment = Augment(strength=0.5, brightness=0.4, contrast=0.4, saturation=0.4, zoom=0.5, rotate_deg=90.0)
    drawn = draw(5000, augment, np.random.default_rng(0))
    assert drawn is not None
    for factor in (drawn.brightness, drawn.contrast, drawn.saturation):
        assert factor.min() == pytest.approx(0.8, abs=0.01)
        assert factor.max() == pytest.approx(1.2, abs=0.01)
    scale = torch.linalg.det(drawn.affine[:, :, :2].double()).abs().sqrt()
    assert scale.min() == pytest.approx(1 / 1.25, abs=0.01)
    assert scale.max() == pytest.approx(1.25, abs=0.01)
    assert scale.log().mean() == pytest.approx(0, abs=0.01)  # larger as often as smaller
    angle = torch.atan2(-drawn.affine[:, 0, 1], drawn.affine[:, 1, 1]).rad2deg()
    assert angle.min() == pytest.approx(-45, abs=1)
    assert angle.max() == pytest.approx(45, abs=1)
    assert (drawn.affine[:, 0, 0] < 0).float().mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_at_strength_0_training_sees_the_very_pictures_of_the_evaluation(flip: float) -> None:
    recipe = tiny_recipe(
        geometry={"size_px": 20}, augment={"strength": 0.0, "flip": flip, "erase": 1.0, "grayscale": 1.0}
    )
    pictures = toy_pictures(40, 1)
    feed = Feed(pictures, recipe, CPU, [0.4] * 3, [0.2] * 3)
    evaluated = torch.cat([images for images, _ in feed.evaluation()])
    pictures.served.clear()
    trained = torch.cat([images for images, _, _ in feed.training(feed.steps_per_pass, 0, 1)])
    assert torch.equal(trained, evaluated[pictures.served])


def test_pictures_are_normalised_and_keep_their_labels() -> None:
    pictures = toy_pictures(300, 1)
    feed = Feed(pictures, tiny_recipe(), CPU, [0.1, 0.2, 0.3], [0.5, 0.25, 0.125])
    images, targets = (torch.cat(parts) for parts in zip(*feed.evaluation(), strict=True))
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.25, 0.125])
    expected = ((torch.from_numpy(pictures.pixels) / 255 - mean) / std).permute(0, 3, 1, 2)
    torch.testing.assert_close(images, expected)
    assert targets.tolist() == pictures.labels.tolist()


def test_seed_and_epoch_decide_order_and_augmentation() -> None:
    recipe = tiny_recipe(augment={"strength": 1.0})

    def first(seed: int, epoch: int) -> tuple[Tensor, Tensor, int]:
        return next(Feed(toy_pictures(40, 1), recipe, CPU, [0.5] * 3, [0.25] * 3).training(1, seed, epoch))

    assert torch.equal(first(1, 1)[0], first(1, 1)[0])
    assert not torch.equal(first(1, 1)[0], first(1, 2)[0])
    assert not torch.equal(first(1, 1)[0], first(2, 1)[0])
