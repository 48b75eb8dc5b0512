"""Changes of single pixels, in some samples of a batch only: by mask and index."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BLANK = 0.5  # middle grey


def change_some(images: Tensor, chosen: Tensor, change: Callable[..., Tensor], *parameters: Tensor) -> Tensor:
    """Replaces the chosen samples by `change(samples, *parameters of these samples)`.

    Args:
        images: float (B, C, S, S), on any device; changed in place.
        chosen: bool (B,), on the CPU, so that nobody waits for the device to learn which they are.
        parameters: (B, ...), on the CPU.
    """
    if chosen.any():
        chosen_rows = chosen.nonzero().squeeze(1)
        rows, *values = (
            value.to(images.device, non_blocking=True)
            for value in (chosen_rows, *(parameter[chosen_rows] for parameter in parameters))
        )
        images[rows] = change(images[rows], *values)
    return images


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Values from the threshold on become their negatives: 0 inverts everything, infinity nothing.

    Args:
        images: float (B, C, S, S) in [0, 1]; changed in place.
        threshold: float32 (B,), on the CPU.
    """

    def solarized(samples: Tensor, threshold: Tensor) -> Tensor:
        negative = (samples >= threshold.view(-1, 1, 1, 1)).float()
        return samples.sub_(negative).abs_()  # x where it is 0, |x - 1| where it is 1

    return change_some(images, threshold <= 1, solarized, threshold)


def erase(images: Tensor, box: Tensor) -> Tensor:
    """Blanks each sample's box to middle grey (random erasing, Zhong et al. 2017).

    Args:
        images: float (B, C, S, S) in [0, 1]; changed in place.
        box: int64 (B, 4), on the CPU; see `inside`.
    """

    def erased(samples: Tensor, box: Tensor) -> Tensor:
        blank = inside(box, samples.shape[-1]).float()
        return samples.mul_(1 - blank).add_(BLANK * blank)

    return change_some(images, area_px(box) > 0, erased, box)


def inside(box: Tensor, size_px: int) -> Tensor:
    """Which pixels lie in the boxes: bool (B, 1, S, S).

    Args:
        box: int64 (B, 4): left, top, right, bottom in pixels; right and bottom are outside.
    """
    places = torch.arange(size_px, device=box.device)
    left, top, right, bottom = box[:, :, None].unbind(1)
    columns, lines = (places >= left) & (places < right), (places >= top) & (places < bottom)
    return (lines[:, :, None] & columns[:, None, :])[:, None]


def area_px(box: Tensor) -> Tensor:
    """Pixels in each box: int64 (B,)."""
    return (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
