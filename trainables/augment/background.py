"""Background mixing: a picture's surroundings are replaced by another one's, and what it shows is kept.

The mask is geodesic saliency (Wei et al. 2012, "Geodesic Saliency Using Background Priors"): surroundings
touch the border and change their colours little by little, so the cheapest way in from the border, paid for
in changes of colour, is short to them and long to a character with its outline. The bottom edge is no such
border: whoever stands in a picture is mostly cut off there. Where there is little to tell apart, the mask
turns into a centre prior, because each step costs something.

Chosen by measurement on the drawn demo, where the true mask is known (`benchmarks/background.py`). At
thresholds that lose 6% of the character, this mask replaces 69% of the surroundings; one by minimum barrier
distance (Zhang et al. 2015) 63%, by the nearest of the border's colours 54%, by the Mahalanobis distance to
all of them 45%, by spectral residual (Hou & Zhang 2007) 38%, by a centre prior 27%, by frequency-tuned
saliency (Achanta et al. 2009) 5%. Multiplied with a centre prior it replaces less.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

COARSE_PX = 40
"""Masks are made from pictures that were halved until their side is at most this."""
STEP = 0.02
"""Cost of a step beside its change of colour, which is the sum over three channels in [0, 1]."""
AROUND, KEPT = 0.55, 0.85
"""Distances, over the picture's mean distance: up to the first all is replaced, from the second on all is
kept. Lower ones keep more, of characters and of surroundings. These lose 5% of the demo's characters."""


@torch.no_grad()
def composite(images: Tensor, chosen: Tensor) -> Tensor:
    """The batch with the surroundings of some samples replaced by those of their partners.

    The partner of sample i is sample i-1, so that it is mostly another one than MixUp's and CutMix's. What
    either of the two keeps stays as it is in sample i, so that the partner's character does not leak in.
    Nothing here is random.

    Args:
        images: float (B, 3, S, S) in [0, 1].
        chosen: bool (B,): whose surroundings are replaced. The other samples come back bit for bit.
    """
    rows = chosen.nonzero()[:, 0].to(images.device, non_blocking=True)
    mine, theirs = images[rows], images[rows - 1]
    distance = torch.maximum(*border_distance(torch.cat([mine, theirs])).chunk(2))
    replaced = 1 - _kept(distance, images.shape[-1])
    mixed = images.clone()
    mixed[rows] = (theirs - mine).mul_(replaced).add_(mine)
    return mixed


@torch.no_grad()
def keep_mask(images: Tensor) -> Tensor:
    """Where each picture shows its character rather than what is around it.

    Args:
        images: float (B, 3, S, S) in [0, 1].

    Returns:
        float (B, 1, S, S) in [0, 1]: 1 is kept, 0 is replaced.
    """
    return _kept(border_distance(images), images.shape[-1])


def _kept(distance: Tensor, size_px: int) -> Tensor:
    """Masks of size_px from coarse distances (B, 1, s, s)."""
    fine = F.interpolate(distance, size=size_px, mode="bilinear", align_corners=False)
    return fine.sub_(AROUND).div_(KEPT - AROUND).clamp_(0, 1)


def border_distance(images: Tensor) -> Tensor:
    """How far each place is from the left, upper and right border, over the picture's mean: (B, 1, s, s).

    A way leads from the border along a line and then along a column; more turns change little. It begins
    at what its first pixel differs from the border's mean colour, as a character may reach the border too.
    """
    while images.shape[-1] > COARSE_PX:
        images = F.interpolate(images, size=images.shape[-1] // 2, mode="bilinear", align_corners=False)
    images = images.contiguous()  # no channels_last: colours are summed up first
    usual = torch.cat([images[..., 0], images[..., -1], images[..., 0, :]], -1).mean(-1)[..., None, None]
    border = torch.zeros(images.shape[-2:], dtype=torch.bool, device=images.device)
    border[:, 0] = border[:, -1] = border[0] = True
    distance = ((images - usual).abs().sum(1, keepdim=True) + STEP).where(border, torch.inf)
    for dim in (-1, -2):
        distance = _walked(distance, images, dim)
    return distance / distance.mean((2, 3), keepdim=True)


def _walked(distance: Tensor, images: Tensor, dim: int) -> Tensor:
    """Distances (B, 1, s, s) after straight ways along a dimension, back and forth.

    With c(x) the cost of the way from the first place to x, the distance at x is the least of all
    distance(y) + |c(x) - c(y)|: a running minimum from either side.
    """
    first = images.narrow(dim, 0, 1)
    cost = (images.diff(dim=dim, prepend=first).abs().sum(1, keepdim=True) + STEP).cumsum(dim)
    forth = (distance - cost).cummin(dim).values + cost
    back = (distance + cost).flip(dim).cummin(dim).values.flip(dim) - cost
    return torch.minimum(forth, back)
