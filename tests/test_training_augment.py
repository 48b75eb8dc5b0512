"""The whole pipeline, and the feed that runs it: nothing at strength 0, a draw a sample, one order."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import trainables.torch_setup  # noqa: F401  (before torchvision)

from torchvision.transforms.v2 import functional as reference  # isort: skip

from spaces.augment import STRONG, Augment, Policy
from tests.augmentation import SIDE, as_images, extents_of, extreme, only, smooth, some
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.augment.background import composite
from trainables.augment.draw import draw
from trainables.augment.pipeline import augmented
from trainables.feed import Batch, Feed
from trainables.geometry import to_square
from trainables.runtime import Runtime

MEAN, STD = [0.1, 0.2, 0.3], [0.5, 0.25, 0.125]
EVERYTHING = {
    **STRONG,
    "strong_share": 0.5,
    "background": 0.5,
    "mixup": 0.4,
    "cutmix": 0.4,
}


def feed(count: int = 40, **sections: object) -> Feed:
    return Feed(toy_pictures(count, 1), tiny_recipe(**sections), CPU, MEAN, STD)


def first(seed: int = 0, epoch: int = 1, size_px: int = 16, **sections: object) -> Batch:
    return next(feed(**sections).training(1, seed, epoch, size_px))


def test_changes_come_in_one_order_geometry_background_colour_blur_solarize_erase() -> None:
    pixels = smooth(4)
    drawn = extreme(1, 4, rotate_deg=20.0, background=0.1, brightness=0.4, blur=0.1, solarize=0.1, erase=0.1)
    expected = to_square(pixels, extents_of(pixels), size_px=SIDE, fit="resize", homography=drawn.homography)
    expected = reference.adjust_brightness(composite(expected, drawn.background), 1.4)
    expected = reference.gaussian_blur(expected, [21, 21], [0.02 * SIDE] * 2)
    expected = reference.solarize(expected, 0.5)
    for image, (left, top, right, bottom) in zip(expected, drawn.erase.tolist(), strict=True):
        image[:, top:bottom, left:right] = 0.5
    ours = augmented(pixels, extents_of(pixels), drawn, size_px=SIDE, fit="resize")
    inner = slice(4, -4)  # at the border the blurs differ
    torch.testing.assert_close(ours[..., inner, inner], expected[..., inner, inner], rtol=0, atol=1e-3)


@pytest.mark.parametrize("strong_by", ["policy", "trivial"])
def test_every_sample_of_a_batch_has_a_draw_of_its_own(strong_by: str) -> None:
    pixels = smooth().expand(16, -1, -1, -1)
    drawn = some(16, Augment(**{**EVERYTHING, "strong_by": strong_by, "background": 0.0}))
    images = augmented(pixels, extents_of(pixels), drawn, size_px=SIDE, fit="resize")
    assert torch.pdist(images.flatten(1)).min() > 0.5


@pytest.mark.parametrize("size_px", [SIDE, 20, 48])
def test_augmented_pictures_are_finite_and_in_range_at_any_size(size_px: int) -> None:
    pixels = smooth(64)
    augment = Augment(**EVERYTHING, strong_by="trivial")
    drawn = draw(64, augment, size_px, np.random.default_rng(0))
    images = augmented(pixels, extents_of(pixels), drawn, size_px=size_px, fit="pad")
    assert images.shape == (64, 3, size_px, size_px)
    assert images.isfinite().all()
    assert images.min() >= 0
    assert images.max() <= 1


def test_a_sample_does_not_depend_on_the_rest_of_its_batch_where_nothing_is_mixed() -> None:
    pixels = smooth(9)
    drawn = some(9, Augment(strong_share=0.5))
    together = augmented(pixels, extents_of(pixels), drawn, size_px=SIDE, fit="resize")
    part = slice(1, None, 4)
    alone = augmented(pixels[part], extents_of(pixels[part]), drawn.rows(part), size_px=SIDE, fit="resize")
    torch.testing.assert_close(together[part], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("size_px", [16, 20])
def test_at_strength_0_training_sees_the_very_pictures_of_the_evaluation(flip: float, size_px: int) -> None:
    augment = {**EVERYTHING, "strength": 0.0, "flip": flip}
    recipe = tiny_recipe(geometry={"size_px": size_px}, augment=augment)
    pictures = toy_pictures(40, 1)
    served = Feed(pictures, recipe, CPU, MEAN, STD)
    evaluated = torch.cat([images for images, _ in served.evaluation()])
    pictures.served.clear()
    batches = list(served.training(served.steps_per_pass, 0, 1, size_px))
    assert torch.equal(torch.cat([batch.images for batch in batches]), evaluated[pictures.served])
    assert all(batch.targets is None for batch in batches)


def test_a_strength_near_0_changes_pictures_hardly_at_all() -> None:
    pixels = smooth(8)
    weak = Augment(**{**STRONG, "flip": 0.0, "strength": 1e-4})
    images = augmented(pixels, extents_of(pixels), some(8, weak), size_px=SIDE, fit="resize")
    assert (images - as_images(pixels)).abs().max() < 1e-2


@pytest.mark.parametrize("strength", [0.0, 1.0])
@pytest.mark.parametrize("size_px", [16, 24])
def test_pictures_are_normalised_and_lie_in_memory_as_convolutions_like_them(
    size_px: int, strength: float
) -> None:
    augment = {**only().model_dump(), "rotate_deg": 1e-9, "strength": strength}
    served = feed(300, geometry={"size_px": size_px}, augment=augment)
    evaluated, labels = (torch.cat(parts) for parts in zip(*served.evaluation(), strict=True))
    pictures = toy_pictures(300, 1)
    squares = to_square(
        torch.from_numpy(pictures.pixels), torch.full((300, 2), 16), size_px=size_px, fit="resize"
    )
    expected = (squares - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(evaluated, expected)
    assert labels.tolist() == pictures.labels.tolist()
    batch = next(served.training(1, 0, 1, size_px))
    for images in (batch.images, next(served.evaluation())[0]):
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert images.dtype == torch.float32
    assert batch.images.flatten(2).mean((0, 2)).tolist() == pytest.approx(
        expected.flatten(2).mean((0, 2)).tolist(), abs=0.3
    )


def test_a_training_has_the_side_it_is_told_and_an_evaluation_that_of_the_recipe() -> None:
    served = feed(geometry={"size_px": 32})
    assert next(served.training(1, 0, 1, 24)).images.shape[2:] == (24, 24)
    assert next(served.evaluation())[0].shape[2:] == (32, 32)


def test_seed_and_epoch_decide_order_and_augmentation() -> None:
    augment = {**EVERYTHING, "strength": 1.0}
    one, same = first(1, 1, augment=augment), first(1, 1, augment=augment)
    assert torch.equal(one.images, same.images)
    assert one.targets is not None
    assert same.targets is not None
    assert torch.equal(one.targets, same.targets)
    assert not torch.equal(one.images, first(1, 2, augment=augment).images)
    assert not torch.equal(one.images, first(2, 1, augment=augment).images)


@pytest.mark.parametrize("fields", [{"mixup": 0.5}, {"cutmix": 0.5}, {"mixup": 0.5, "cutmix": 0.5}])
def test_targets_are_soft_where_the_recipe_mixes_and_add_up_to_one(fields: dict[str, float]) -> None:
    batch = first(augment={"strength": 1.0, **fields})
    assert batch.targets is not None
    assert batch.targets.shape == (len(batch.labels), 3)
    torch.testing.assert_close(batch.targets.sum(1), torch.ones(len(batch.labels)))
    assert ((batch.targets > 0).sum(1) == 2).any()
    assert (batch.targets[torch.arange(len(batch.labels)), batch.labels] > 0).float().mean() > 0.9


def test_without_mixing_there_are_labels_alone() -> None:
    batch = first(augment={"strength": 1.0, "background": 1.0, "strong_share": 0.5})
    assert batch.targets is None
    assert batch.labels.dtype == torch.int64
    assert batch.pictures == len(batch.labels)


def test_mixed_pictures_are_normalised_mixtures() -> None:
    augment = {**only(mixup=1.0).model_dump(), "mixup_alpha": 5.0}
    mixed, plain = first(augment=augment), first(augment=only().model_dump())
    assert mixed.targets is not None
    own = mixed.targets[torch.arange(len(mixed.labels)), mixed.labels]
    different = mixed.labels != mixed.labels.flip(0)
    assert different.any()
    share = own[different].view(-1, 1, 1, 1)
    expected = torch.lerp(plain.images.flip(0)[different], plain.images[different], share)
    torch.testing.assert_close(mixed.images[different], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("workers", [2, 3])
def test_each_of_several_workers_mixes_within_its_own_share(workers: int) -> None:
    recipe = tiny_recipe(augment={"strength": 1.0, "mixup": 0.5, "cutmix": 0.5})
    alone = next(Feed(toy_pictures(40, 1), recipe, CPU, MEAN, STD).training(1, 0, 1, 16))
    for rank in range(workers):
        runtime = Runtime(device="cpu", rank=rank, world_size=workers)
        share = next(Feed(toy_pictures(40, 1), recipe, runtime, MEAN, STD).training(1, 0, 1, 16))
        assert torch.equal(share.labels, alone.labels[rank::workers])
        assert share.pictures == alone.pictures
        assert share.targets is not None
        of_pairs = F.one_hot(share.labels, 3) + F.one_hot(share.labels.flip(0), 3)
        assert (share.targets[of_pairs == 0] == 0).all()
        torch.testing.assert_close(share.targets.sum(1), torch.ones(len(share.labels)))


def test_balanced_sampling_serves_small_classes_as_often_as_large_ones() -> None:
    pictures = toy_pictures(60, 1)
    uneven = np.flatnonzero((pictures.labels > 0) | (np.arange(60) < 8))
    few = type(pictures)(pictures.pixels[uneven], pictures.labels[uneven], pictures.classes)
    served = Feed(few, tiny_recipe(loss={"balance": "sampling"}), CPU, MEAN, STD)
    batches = served.training(served.steps_per_pass, 0, 1, 16)
    counts = torch.cat([batch.labels for batch in batches]).bincount()
    assert counts.max() - counts.min() <= 1


def same_draw_share(augment: Augment, seeds: int) -> Tensor:
    """How many samples of each seed's batch are changed at all."""
    pixels = smooth().expand(64, -1, -1, -1)
    changed = [
        (
            augmented(pixels, extents_of(pixels), some(64, augment, seed), size_px=SIDE, fit="resize")
            - as_images(pixels)
        )
        .abs()
        .amax((1, 2, 3))
        > 1e-3
        for seed in range(seeds)
    ]
    return torch.stack(changed).float().mean(1)


def test_weak_and_strong_are_chosen_anew_for_each_batch() -> None:
    strong = Policy(**{**only().model_dump(include=set(Policy.model_fields)), "invert": 1.0})
    shares = same_draw_share(only(strong_share=0.7, strong=strong.model_dump()), 20)
    assert shares.mean() == pytest.approx(0.7, abs=0.05)
    assert shares.std() == pytest.approx(math.sqrt(0.7 * 0.3 / 64), rel=0.5)
