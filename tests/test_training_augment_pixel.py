"""Blur, inversion, solarising and erasing: torchvision's, of the chosen samples only."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import trainables.torch_setup  # noqa: F401  (before torchvision)

from torchvision.transforms.v2 import functional as reference  # isort: skip

from tests.augmentation import SIDE, as_images, extreme, only, smooth, some
from trainables.augment.gaussian import blur
from trainables.augment.pixel import BLANK, area_px, erase, inside, solarize

IMAGES = as_images(smooth(4))
CHANNELS_LAST = IMAGES.contiguous(memory_format=torch.channels_last)
NONE = torch.inf


def test_blur_is_that_of_torchvision_with_a_sigma_a_sample() -> None:
    sigma_px = torch.tensor([0.5, 0.0, 1.3, 2.0])
    ours = blur(IMAGES.clone(), sigma_px / SIDE)
    for image, before, sigma in zip(ours, IMAGES, sigma_px.tolist(), strict=True):
        expected = reference.gaussian_blur(before, [21, 21], [sigma] * 2) if sigma else before
        # At the border torchvision mirrors the picture.
        torch.testing.assert_close(image[:, 8:-8, 8:-8], expected[:, 8:-8, 8:-8], rtol=0, atol=1e-4)
    assert torch.equal(ours[1], IMAGES[1])


def test_blur_keeps_a_picture_of_one_colour_up_to_its_border() -> None:
    plain = torch.full((1, 3, SIDE, SIDE), 0.7)
    torch.testing.assert_close(blur(plain.clone(), torch.tensor([0.1])), plain)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_blurs_are_as_frequent_and_as_large_as_the_recipe_says(strength: float) -> None:
    sigma = some(4000, only(blur=0.6, blur_sigma=0.04, strength=strength)).blur
    assert (sigma > 0).float().mean() == pytest.approx(0.6 * strength, abs=0.03)
    assert sigma.max() == pytest.approx(0.04 * strength, abs=0.001)
    assert sigma[sigma > 0].mean() == pytest.approx(0.02 * strength, abs=0.001)
    assert extreme(1, blur=0.1).blur.tolist() == pytest.approx([0.02])  # the default


def test_solarizing_is_that_of_torchvision_with_a_threshold_a_sample() -> None:
    ours = solarize(IMAGES.clone(), torch.tensor([0.5, NONE, 0.3, 1.0]))
    expected = [
        reference.solarize(IMAGES[0], 0.5),
        IMAGES[1],
        reference.solarize(IMAGES[2], 0.3),
        reference.solarize(IMAGES[3], 1.0),
    ]
    assert torch.equal(ours, torch.stack(expected))


def test_inverting_is_solarizing_from_0_on() -> None:
    ours = solarize(IMAGES.clone(), extreme(1, 4, invert=0.1).solarize)
    assert torch.equal(ours, reference.invert(IMAGES))


def test_a_sample_that_is_inverted_and_solarized_is_what_torchvision_makes_of_it() -> None:
    ours = solarize(IMAGES.clone(), extreme(1, 4, invert=0.1, solarize=0.1).solarize)
    torch.testing.assert_close(ours, reference.solarize(reference.invert(IMAGES), 0.5))


@pytest.mark.parametrize(("name", "threshold"), [("invert", 0.0), ("solarize", 0.5)])
def test_inverting_and_solarizing_are_as_frequent_as_the_recipe_says(name: str, threshold: float) -> None:
    drawn = some(4000, only(strength=0.5, **{name: 0.6})).solarize
    assert (drawn == threshold).float().mean() == pytest.approx(0.3, abs=0.03)
    assert (drawn.isinf() | (drawn == threshold)).all()


def test_erasing_is_that_of_torchvision_with_a_box_a_sample() -> None:
    boxes = [[3, 5, 10, 9], [0, 0, 0, 0], [0, 0, SIDE, SIDE], [31, 0, 32, 32]]
    ours = erase(IMAGES.clone(), torch.tensor(boxes))
    for image, before, (left, top, right, bottom) in zip(ours, IMAGES, boxes, strict=True):
        blank = torch.full((3, bottom - top, right - left), BLANK)
        expected = reference.erase(before, top, left, bottom - top, right - left, blank)
        assert torch.equal(image, expected)


def test_erased_boxes_are_two_to_twenty_percent_of_the_area_anywhere_in_the_right_share_of_samples() -> None:
    count = 4000
    box = some(count, only(erase=0.6, strength=0.5)).erase
    areas = area_px(box) / SIDE**2
    hit = areas > 0
    assert hit.float().mean() == pytest.approx(0.3, abs=0.03)
    assert areas[hit].min() > 0.012  # sides are whole pixels
    assert areas[hit].max() < 0.22
    assert areas[hit].mean() == pytest.approx(0.11, abs=0.01)
    covered = inside(box, SIDE).squeeze(1)
    assert torch.equal(covered.sum((1, 2)), area_px(box))
    assert covered.any(0).all()  # every place is erased now and then
    sides = (box[hit, 2:] - box[hit, :2]).float()
    assert (sides[:, 0] / sides[:, 1]).log().mean() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("images", [IMAGES, CHANNELS_LAST], ids=["planar", "channels_last"])
def test_either_layout_in_memory_gives_the_same_pictures(images: Tensor) -> None:
    expected = [
        blur(IMAGES.clone(), torch.full((4,), 0.03)),
        solarize(IMAGES.clone(), torch.full((4,), 0.5)),
        erase(IMAGES.clone(), torch.tensor([[3, 5, 10, 9]] * 4)),
    ]
    ours = [
        blur(images.clone(), torch.full((4,), 0.03)),
        solarize(images.clone(), torch.full((4,), 0.5)),
        erase(images.clone(), torch.tensor([[3, 5, 10, 9]] * 4)),
    ]
    torch.testing.assert_close(ours, expected)


def test_two_samples_of_a_batch_are_never_changed_alike() -> None:
    drawn = some(16, only(blur=1.0, erase=1.0))
    assert torch.pdist(drawn.blur[:, None]).min() > 0
    assert torch.pdist(drawn.erase.float()).min() > 0


def test_chances_choose_some_samples_of_a_batch_and_not_others() -> None:
    drawn = some(64, only(grayscale=0.5, invert=0.5, solarize=0.5, blur=0.5, erase=0.5, flip=0.5))
    for chosen in (
        drawn.saturation == 0,
        drawn.solarize == 0,
        drawn.solarize == 0.5,
        drawn.blur > 0,
        area_px(drawn.erase) > 0,
        drawn.homography[:, 0, 0] < 0,
    ):
        assert 5 < chosen.sum() < 59
