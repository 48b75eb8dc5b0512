"""MixUp and CutMix: samples of a batch blended with each other, and their targets alike.

The partner of sample i is sample B-1-i, as in timm's `Mixup(mode="elem")`: the batch is in random order, so
it is a random other one. Both are one operation: MixUp blends all of the picture by a share (Zhang et al.
2018), CutMix replaces all there is within a box (Yun et al. 2019).
"""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from spaces.augment import Augment
from trainables.augment.pixel import area_px, inside


def draw_blends(
    batch: int, augment: Augment, size_px: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Who is blended with its partner, and how.

    Returns:
        blend: float (B,): the partner's share of each pixel in the box.
        box: int64 (B, 4), in pixels; see `pixel.inside`. Empty where nothing is blended.
    """
    chance = rng.random(batch)
    by_mixup = chance < augment.mixup * augment.strength
    by_cutmix = ~by_mixup & (chance < (augment.mixup + augment.cutmix) * augment.strength)
    kept = rng.beta(augment.mixup_alpha, augment.mixup_alpha, batch)
    kept_area = rng.beta(augment.cutmix_alpha, augment.cutmix_alpha, batch)
    centre = rng.integers(0, size_px, (batch, 2))
    blend = np.where(by_mixup, 1 - kept, by_cutmix)
    whole = np.array([0, 0, size_px, size_px]) * by_mixup[:, None]
    return blend, np.where(by_cutmix[:, None], cutmix_box(kept_area, centre, size_px), whole)


def cutmix_box(kept_area: np.ndarray, centre: np.ndarray, size_px: int) -> np.ndarray:
    """The squares around these centres that leave `kept_area` of the picture, cut off at its border, where
    they then leave more: `timm.data.mixup.rand_bbox` with its draws given.

    Args:
        kept_area: float (B,): share of the area.
        centre: int64 (B, 2): x and y in pixels.

    Returns:
        int64 (B, 4), in pixels; see `pixel.inside`.
    """
    side = (size_px * np.sqrt(1 - kept_area)).astype(np.int64)[:, None]
    return np.clip(np.concatenate([centre - side // 2, centre + (side + 1) // 2], axis=1), 0, size_px)


def mixed(images: Tensor, labels: Tensor, classes: int, blend: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Blends samples with their partners.

    Args:
        images: float (B, 3, S, S); changed in place.
        labels: int64 (B,), on the images' device.
        blend, box: See `draw_blends`; tensors on the CPU.

    Returns:
        The images, and the targets, float32 (B, classes): shares of the classes by what is seen of them.
    """
    size_px = images.shape[-1]
    blend, box = (value.to(images.device, non_blocking=True) for value in (blend, box))
    weight = blend.view(-1, 1, 1, 1) * inside(box, size_px)
    share = (blend * area_px(box) / size_px**2)[:, None]
    return _blended(images, weight), _blended(F.one_hot(labels, classes).float(), share)


def _blended(samples: Tensor, weight: Tensor) -> Tensor:
    """Samples with so much of their partners, in place; weights of 0 and 1 give exactly one of the two."""
    partners = samples.flip(0).mul_(weight)
    return samples.mul_(1 - weight).add_(partners)
