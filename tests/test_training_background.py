"""Background mixing keeps the character, takes another picture's surroundings, and touches nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.background import centre_prior, frames, measured
from trainables.augment.background import COARSE_PX, STEP, border_distance, composite, keep_mask

SEED = 4000  # neither of those that the thresholds were chosen and reported on


def everybody(images: Tensor) -> Tensor:
    return torch.ones(len(images), dtype=torch.bool)


def noise(batch: int, size_px: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, size_px, size_px, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size_px", [32, 48, 64, 100])
def test_little_of_the_character_is_lost_and_most_of_the_rest_is_replaced(size_px: int) -> None:
    images, true = frames(SEED, 60, size_px)
    iou, lost, replaced = (values.mean() for values in measured(keep_mask(images), true))
    assert lost < 0.08
    assert replaced > 0.55
    assert iou > 0.5
    _, prior_lost, prior_replaced = (values.mean() for values in measured(centre_prior(images), true))
    assert lost < prior_lost + 0.02  # about as careful as a plain disc,
    assert replaced > prior_replaced + 0.25  # and far more useful


def test_hardly_any_frame_loses_much_of_its_character() -> None:
    images, true = frames(SEED, 120, 48)
    _, lost, _ = measured(keep_mask(images), true)
    assert lost.quantile(0.95) < 0.25
    assert lost.max() < 0.5


def test_what_is_left_of_a_picture_where_all_are_mixed_is_its_own_character() -> None:
    images, true = frames(SEED, 60, 48)
    mixed = composite(images, everybody(images))
    changed = (mixed - images).abs().amax(1, keepdim=True)
    assert changed.movedim(0, -1)[true.movedim(0, -1)].mean() < 0.03
    assert changed.movedim(0, -1)[~true.movedim(0, -1)].mean() > 0.1


def test_the_partners_character_does_not_leak_in() -> None:
    plain = torch.full((2, 3, 48, 48), 0.4)
    plain[0, :, 12:, 8:20] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    plain[1, :] = 0.6
    plain[1, :, 12:, 28:40] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    mixed = composite(plain, everybody(plain))
    assert (mixed[0, :, 14:, 10:18] == plain[0, :, 14:, 10:18]).all()  # its own character is whole
    assert mixed[0, :, :6].allclose(torch.tensor(0.6))  # the partner's surroundings are there
    red, _, blue = mixed[0]
    assert (blue - red).max() < 1e-6  # and nothing of its character
    assert (mixed[1, 0] - mixed[1, 2]).max() < 1e-6


def test_what_either_mask_keeps_is_not_replaced() -> None:
    images, _ = frames(SEED, 8, 64)
    mixed, keep = composite(images, everybody(images)), keep_mask(images)
    kept = (torch.maximum(keep, keep.roll(1, 0)) == 1).expand_as(images)
    assert 0.2 < kept.float().mean() < 0.9
    assert (mixed[kept] == images[kept]).all()


def test_the_rest_is_a_blend_of_both_pictures_by_the_larger_of_their_masks() -> None:
    images, _ = frames(SEED, 8, COARSE_PX)  # masks that are not enlarged can be compared without error
    keep = keep_mask(images)
    expected = torch.lerp(images.roll(1, 0), images, torch.maximum(keep, keep.roll(1, 0)))
    torch.testing.assert_close(composite(images, everybody(images)), expected)


def test_samples_that_are_not_chosen_are_untouched_and_the_chosen_do_not_depend_on_them() -> None:
    images, _ = frames(SEED, 7, 32)
    before = images.clone()
    chosen = torch.tensor([True, False, False, True, True, False, False])
    mixed = composite(images, chosen)
    assert torch.equal(images, before)
    assert torch.equal(mixed[~chosen], images[~chosen])
    assert torch.equal(mixed[chosen], composite(images, everybody(images))[chosen])
    assert not torch.equal(mixed[0], images[0])
    assert torch.equal(composite(images, ~everybody(images)), images)


def test_a_picture_alone_stays_as_it_is() -> None:
    images, _ = frames(SEED, 1, 32)
    assert torch.equal(composite(images, everybody(images)), images)


def test_layout_in_memory_and_gradients_are_as_a_training_wants_them() -> None:
    images = noise(4, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    mixed = composite(images, everybody(images))
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    assert not mixed.requires_grad
    assert not keep_mask(images).requires_grad


@pytest.mark.parametrize("size_px", [16, 28, COARSE_PX, COARSE_PX + 1, 97])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0, "noise"])
def test_any_picture_has_a_mask_from_0_to_1_and_a_mixture_from_0_to_1(
    size_px: int, level: float | str
) -> None:
    images = noise(4, size_px) if level == "noise" else torch.full((4, 3, size_px, size_px), level)
    keep, mixed = keep_mask(images), composite(images, everybody(images))
    assert keep.shape == (4, 1, size_px, size_px)
    assert mixed.shape == images.shape
    for values in (keep, mixed):
        assert values.isfinite().all()
        assert values.min() >= 0
        assert values.max() <= 1


def test_without_anything_to_see_the_mask_is_a_centre_prior() -> None:
    keep = keep_mask(torch.full((1, 3, 64, 64), 0.3))[0, 0]
    assert keep[0].max() == keep[:, 0].max() == keep[:, -1].max() == 0
    assert keep[24:, 24:40].min() == 1


def test_a_mirrored_picture_has_the_mirrored_mask() -> None:
    images, _ = frames(SEED, 8, 64)
    torch.testing.assert_close(keep_mask(images.flip(-1)), keep_mask(images).flip(-1), rtol=0, atol=1e-4)


def test_the_distance_is_that_of_the_cheapest_way_along_a_line_and_then_a_column() -> None:
    size = 6
    images = noise(2, size, seed=3)
    found = border_distance(images)
    assert torch.allclose(found.mean((1, 2, 3)), torch.ones(2))
    for image, relative in zip(images.double().numpy(), found[:, 0].double().numpy(), strict=True):
        distance = cheapest(image)
        np.testing.assert_allclose(relative, distance / distance.mean(), rtol=1e-4)


def cheapest(image: np.ndarray) -> np.ndarray:
    """By the definition: every border pixel, every way with one turn."""
    size = image.shape[-1]
    border = [(y, x) for y in range(size) for x in range(size) if y == 0 or x in (0, size - 1)]
    usual = np.concatenate([image[:, :, 0], image[:, :, -1], image[:, 0]], axis=-1).mean(-1)

    def way(pixels: np.ndarray) -> float:
        return float(np.abs(np.diff(pixels, axis=-1)).sum() + STEP * (pixels.shape[-1] - 1))

    def between(a: int, b: int) -> slice:
        return slice(min(a, b), max(a, b) + 1)

    distance = np.full((size, size), np.inf)
    for (y, x), (top, side) in itertools.product(np.ndindex(size, size), border):
        along, down = image[:, top, between(side, x)], image[:, between(top, y), x]
        start = float(np.abs(image[:, top, side] - usual).sum()) + STEP
        distance[y, x] = min(distance[y, x], start + way(along) + way(down))
    return distance
