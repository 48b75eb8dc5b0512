"""Colour: torchvision's functions with a draw a sample, hue that of YIQ, all as one matrix."""

from __future__ import annotations

import colorsys

import pytest
import torch
from torch import Tensor

import trainables.torch_setup  # noqa: F401  (before torchvision)

from torchvision.transforms.v2 import functional as reference  # isort: skip

from spaces.augment import Augment
from tests.augmentation import extreme, only, some
from trainables.augment.colour import LUMA, colour_matrix, recolour
from trainables.augment.draw import Draw

MUTED = 0.3 + 0.3 * torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
"""Far from black and white: nothing is clamped on the way."""


def recoloured(images: Tensor, drawn: Draw) -> Tensor:
    return recolour(images, drawn.brightness, drawn.contrast, drawn.saturation, drawn.hue)


def turned(images: Tensor, hue: float) -> Tensor:
    one, turn = torch.ones(len(images)), torch.full((len(images),), hue)
    return recolour(images, one, one, one, turn)


def hue_of(colour: Tensor) -> float:
    """In HSV, as a share of a whole turn."""
    return colorsys.rgb_to_hsv(*colour.tolist())[0]


@pytest.mark.parametrize("end", [-1, 1])
@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_the_largest_change_is_that_of_torchvision(name: str, strength: float, end: int) -> None:
    adjust = getattr(reference, f"adjust_{name}")
    ours = recoloured(MUTED, extreme(end, 2, strength=strength, **{name: 0.3}))
    torch.testing.assert_close(ours, adjust(MUTED, 1 + 0.3 * strength * end), rtol=0, atol=1e-4)
    assert (ours - MUTED).abs().max() > 0.01


def test_brightness_comes_before_contrast_and_contrast_before_saturation() -> None:
    expected = reference.adjust_brightness(MUTED, 1.2)
    expected = reference.adjust_saturation(reference.adjust_contrast(expected, 1.3), 1.4)
    ours = recoloured(MUTED, extreme(1, 2, brightness=0.2, contrast=0.3, saturation=0.4))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


def test_grayscale_is_that_of_torchvision_whatever_the_saturation() -> None:
    expected = reference.rgb_to_grayscale(MUTED, num_output_channels=3)
    ours = recoloured(MUTED, extreme(1, 2, grayscale=0.1, saturation=0.5))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("turn", [-0.3, -0.05, 0.1, 0.5])
def test_hue_turns_the_plane_of_i_and_q_as_the_standard_library_defines_it(turn: float) -> None:
    # colorsys rounds the luma's weights to two digits.
    before, after = (
        images.permute(0, 2, 3, 1).reshape(-1, 3).tolist() for images in (MUTED, turned(MUTED, turn))
    )
    rotation = torch.polar(torch.tensor(1.0), torch.tensor(-2 * torch.pi * turn))
    for one, other in list(zip(before, after, strict=True))[::97]:
        (luma, i, q), (luma_after, i_after, q_after) = colorsys.rgb_to_yiq(*one), colorsys.rgb_to_yiq(*other)
        expected = complex(i, q) * complex(rotation)
        assert luma_after == pytest.approx(luma, abs=3e-3)
        assert abs(complex(i_after, q_after) - expected) < 3e-3


def test_hue_keeps_the_luma_and_a_whole_turn_changes_nothing() -> None:
    def luma(images: Tensor) -> Tensor:
        return torch.einsum("c,bchw->bhw", LUMA, images)

    third = turned(MUTED, 1 / 3)
    torch.testing.assert_close(luma(third), luma(MUTED), rtol=0, atol=1e-5)
    assert (third - MUTED).abs().max() > 0.05
    torch.testing.assert_close(turned(third, 2 / 3), MUTED, rtol=0, atol=1e-5)


@pytest.mark.parametrize("turn", [-0.1, 0.1])
@pytest.mark.parametrize("colour", [(0.5, 0.4, 0.4), (0.4, 0.5, 0.4), (0.4, 0.4, 0.5), (0.45, 0.5, 0.4)])
def test_hue_turns_as_far_as_torchvision_give_or_take(
    colour: tuple[float, float, float], turn: float
) -> None:
    image = torch.tensor(colour).view(1, 3, 1, 1)
    ours, theirs = hue_of(turned(image, turn).flatten()), hue_of(reference.adjust_hue(image, turn).flatten())
    assert (ours - theirs + 0.5) % 1 - 0.5 == pytest.approx(0, abs=0.06)
    # What it does not share: the largest and the smallest value.
    assert reference.adjust_hue(image, turn).max() == pytest.approx(max(colour), abs=1e-5)


def test_grey_stays_grey_under_saturation_and_hue() -> None:
    matrix = colour_matrix(torch.tensor([0.3, 1.7]), torch.tensor([0.2, -0.4]))
    torch.testing.assert_close(matrix.sum(-1), torch.ones(2, 3))


def test_saturation_and_hue_exchange() -> None:
    one, hue, saturation = torch.ones(1), torch.tensor([0.15]), torch.tensor([1.5])
    apart = colour_matrix(one, hue) @ colour_matrix(saturation, 0 * hue)
    torch.testing.assert_close(colour_matrix(saturation, hue), apart)


def test_colours_stay_within_black_and_white() -> None:
    images = recoloured(MUTED, extreme(1, 2, contrast=1.0, saturation=1.0, brightness=0.3))
    assert images.min() == 0
    assert images.max() == 1


def test_what_changes_nothing_costs_nothing() -> None:
    assert recoloured(MUTED, some(2, only(rotate_deg=10.0))) is MUTED


def test_draws_stay_within_their_magnitudes_and_reach_near_both_ends() -> None:
    drawn = some(5000, Augment(strength=0.5, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2))
    for factor in (drawn.brightness, drawn.contrast, drawn.saturation):
        assert factor.min() == pytest.approx(0.8, abs=0.01)
        assert factor.max() == pytest.approx(1.2, abs=0.01)
    assert drawn.hue.min() == pytest.approx(-0.1, abs=0.01)
    assert drawn.hue.max() == pytest.approx(0.1, abs=0.01)
    grey = some(5000, only(grayscale=0.6, strength=0.5)).saturation == 0
    assert grey.float().mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_two_samples_of_a_batch_never_have_the_same_colours(name: str) -> None:
    images = MUTED[:1].expand(16, -1, -1, -1)
    assert torch.pdist(recoloured(images, some(16, only(**{name: 0.3}))).flatten(1)).min() > 1e-3
