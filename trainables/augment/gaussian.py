"""Gaussian smoothing as a product with a matrix: blurred pictures, and smooth fields from a few points."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.augment.pixel import change_some


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur; at the border the part of the Gaussian that lies inside counts alone.

    Args:
        images: float (B, C, S, S); changed in place.
        sigma: float32 (B,), on the CPU: standard deviation as a share of the side; 0 leaves a sample alone.
    """

    def blurred(samples: Tensor, sigma: Tensor) -> Tensor:
        places = _places(samples.shape[-1], samples.device)
        kernel = _weights(places, places, sigma.view(-1, 1, 1))
        return torch.einsum("bij,bcjk,blk->bcil", kernel, samples, kernel)

    return change_some(images, sigma > 0, blurred, sigma)


def elastic_field(nodes: Tensor, size_px: int) -> Tensor:
    """A smooth field from its values at `nodes`, in the manner of Simard et al. 2003, who smooth white noise.

    Every value is a weighted mean of those at the nodes, so none is beyond the largest of them.

    Args:
        nodes: float (B, 2, G, G), at the centres of G x G equal tiles.

    Returns:
        float (B, 2, size_px, size_px).
    """
    count, device = nodes.shape[-1], nodes.device
    basis = _weights(_places(size_px, device), _places(count, device), 0.5 / count)
    return basis @ (nodes @ basis.T)


def _places(count: int, device: torch.device) -> Tensor:
    """The centres of so many equal parts of a side, as shares of it: (count,)."""
    return (torch.arange(count, device=device, dtype=torch.float32) + 0.5) / count


def _weights(places: Tensor, centres: Tensor, sigma: Tensor | float) -> Tensor:
    """How much each centre counts at each place, (..., places, centres): Gaussians; each row adds up to 1."""
    return (-((places[:, None] - centres) ** 2) / (2 * sigma**2)).softmax(dim=-1)
