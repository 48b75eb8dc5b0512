"""MixUp and CutMix are timm's, element by element, on the same draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import trainables.torch_setup  # noqa: F401  (before timm)

from timm.data import mixup as timm_mixup  # isort: skip

from tests.augmentation import SIDE, as_images, only, smooth, some
from trainables.augment.mix import cutmix_box, mixed

CLASSES = 5
COUNT = 32
IMAGES = as_images(smooth(COUNT))
LABELS = torch.arange(COUNT) * 7 % CLASSES


def mixture(blend: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    return mixed(IMAGES.clone(), LABELS, CLASSES, blend, box)


def of_timm(monkeypatch: pytest.MonkeyPatch, blend: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """What timm's Mixup makes of the batch when its draws are ours."""
    is_cutmix = (blend == 1).numpy()
    theirs = timm_mixup.Mixup(mode="elem", label_smoothing=0.0, num_classes=CLASSES)
    kept = np.where(is_cutmix, 0.5, 1 - blend.numpy()).astype(np.float32)  # timm corrects CutMix's by the box
    monkeypatch.setattr(theirs, "_params_per_elem", lambda batch: (kept.copy(), is_cutmix))
    boxes = iter(box[is_cutmix].tolist())

    def rand_bbox(*_: object, **__: object) -> tuple[int, int, int, int]:
        left, top, right, bottom = next(boxes)
        return top, bottom, left, right

    monkeypatch.setattr(timm_mixup, "rand_bbox", rand_bbox)
    images, targets = theirs(IMAGES.clone(), LABELS)
    return images, targets


@pytest.mark.parametrize(("mixup", "cutmix"), [(1.0, 0.0), (0.0, 1.0), (0.4, 0.4)])
def test_images_and_targets_are_those_of_timm_on_the_same_draw(
    monkeypatch: pytest.MonkeyPatch, mixup: float, cutmix: float
) -> None:
    drawn = some(COUNT, only(mixup=mixup, cutmix=cutmix, mixup_alpha=0.8))
    images, targets = mixture(drawn.blend, drawn.blend_box)
    expected_images, expected_targets = of_timm(monkeypatch, drawn.blend, drawn.blend_box)
    torch.testing.assert_close(images, expected_images, rtol=0, atol=1e-6)
    torch.testing.assert_close(targets, expected_targets, rtol=0, atol=1e-6)
    assert (images - IMAGES).abs().mean() > 0.01


def test_targets_are_those_of_timms_mixup_target() -> None:
    drawn = some(COUNT, only(mixup=0.7))
    _, targets = mixture(drawn.blend, drawn.blend_box)
    expected = timm_mixup.mixup_target(LABELS, CLASSES, lam=1 - drawn.blend[:, None])
    torch.testing.assert_close(targets, expected)


def test_a_box_is_that_of_timm_on_the_same_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        kept, centre = rng.random(1), rng.integers(0, SIDE, (1, 2))
        drawn = iter([centre[0, 1], centre[0, 0]])
        monkeypatch.setattr(np.random, "randint", lambda *_, drawn=drawn, **__: next(drawn))
        (top, bottom, left, right), lam = timm_mixup.cutmix_bbox_and_lam((3, SIDE, SIDE), kept[0])
        assert cutmix_box(kept, centre, SIDE).tolist() == [[left, top, right, bottom]]
        label, other = torch.tensor([0, 1]), cutmix_box(kept, centre, SIDE).repeat(2, 0)
        _, targets = mixed(torch.zeros(2, 3, SIDE, SIDE), label, 2, torch.ones(2), torch.from_numpy(other))
        assert float(targets[0, 0]) == pytest.approx(lam)


def test_targets_add_up_to_one_and_are_the_shares_of_what_is_seen() -> None:
    drawn = some(COUNT, only(mixup=0.5, cutmix=0.5))
    # Each picture shows nothing but its class.
    shown = torch.nn.functional.one_hot(LABELS, CLASSES).float()[:, :, None, None].repeat(1, 1, SIDE, SIDE)
    images, targets = mixed(shown, LABELS, CLASSES, drawn.blend, drawn.blend_box)
    torch.testing.assert_close(targets.sum(1), torch.ones(COUNT))
    torch.testing.assert_close(targets, images.mean((2, 3)), rtol=0, atol=1e-5)


def test_without_a_blend_a_sample_stays_as_it_is_and_is_its_class() -> None:
    drawn = some(COUNT, only(mixup=0.3, cutmix=0.3))
    images, targets = mixture(drawn.blend, drawn.blend_box)
    alone = drawn.blend == 0
    assert 0 < alone.sum() < COUNT
    assert torch.equal(images[alone], IMAGES[alone])
    assert torch.equal(targets[alone].argmax(1), LABELS[alone])
    assert torch.equal(targets[alone].amax(1), torch.ones(int(alone.sum())))


def test_an_odd_batchs_middle_sample_is_its_own_partner() -> None:
    images, targets = mixed(
        IMAGES[:3].clone(), LABELS[:3], CLASSES, torch.full((3,), 0.5), torch.tensor([[0, 0, SIDE, SIDE]] * 3)
    )
    torch.testing.assert_close(images[1], IMAGES[1])
    torch.testing.assert_close(images[0], (IMAGES[0] + IMAGES[2]) / 2)
    assert targets[1, LABELS[1]] == 1


@pytest.mark.parametrize(
    ("mixup", "cutmix", "strength", "expected"),
    [
        (0.4, 0.4, 1.0, (0.4, 0.4)),
        (0.4, 0.4, 0.5, (0.2, 0.2)),
        (0.8, 0.0, 0.5, (0.4, 0.0)),
        (1.0, 1.0, 1.0, (1.0, 0.0)),
    ],
)
def test_a_sample_gets_at_most_one_of_them_as_often_as_the_recipe_says(
    mixup: float, cutmix: float, strength: float, expected: tuple[float, float]
) -> None:
    drawn = some(4000, only(mixup=mixup, cutmix=cutmix, strength=strength))
    whole = (drawn.blend_box == torch.tensor([0, 0, SIDE, SIDE])).all(1)
    by_mixup, by_cutmix = (drawn.blend > 0) & (drawn.blend < 1) & whole, drawn.blend == 1
    assert by_mixup.float().mean() == pytest.approx(expected[0], abs=0.03)
    assert by_cutmix.float().mean() == pytest.approx(expected[1], abs=0.03)


def test_shares_are_of_the_recipes_beta_distributions() -> None:
    for alpha in (0.2, 1.0, 5.0):
        blend = some(4000, only(mixup=1.0, mixup_alpha=alpha)).blend
        assert blend.mean() == pytest.approx(0.5, abs=0.03)
        assert blend.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
    wide, narrow = (some(4000, only(cutmix=1.0, cutmix_alpha=a)).blend_box for a in (1.0, 100.0))
    sides = [(box[:, 2] - box[:, 0]).float() for box in (wide, narrow)]
    assert sides[0].max() > 30
    assert sides[1].max() < 28


@pytest.mark.parametrize("fields", [{"mixup": 1.0}, {"cutmix": 1.0}], ids=["mixup", "cutmix"])
def test_two_samples_of_a_batch_are_never_mixed_alike(fields: dict[str, float]) -> None:
    drawn = some(16, only(**fields))
    draws = torch.cat([drawn.blend[:, None], drawn.blend_box.float()], 1)
    assert torch.pdist(draws).min() > 1e-5
