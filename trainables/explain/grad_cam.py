"""Grad-CAM (Selvaraju et al. 2017): where a network sees what speaks for a class."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from trainables.explain.last_maps import last_maps


def grad_cam(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    """Heat maps of the last feature maps, enlarged to the pictures' size.

    A channel's weight is the mean of the score's gradient over all places. Where the maps are flattened each
    place has a weight of its own, as in HiResCAM (Draelos & Carin 2020): the dense layer behind them gives
    every place another meaning, which the mean mixes into noise. Where maps are averaged both are the same.

    Args:
        images, classes: See `last_maps`.

    Returns:
        float32 (B, H, W) in [0, 1]: each as a share of its own maximum; 0 everywhere, where nothing speaks
        for the class.

    Raises:
        NoMapsError: The network has no feature maps.
    """
    maps = last_maps(model, images, classes)
    weights = maps.gradients if maps.flattened else maps.gradients.mean(dim=(2, 3), keepdim=True)
    heats = (weights * maps.values).sum(dim=1, keepdim=True).relu()
    heats = F.interpolate(heats, images.shape[2:], mode="bilinear")[:, 0]
    maxima = heats.amax(dim=(1, 2), keepdim=True)
    return heats / maxima.where(maxima > 0, 1)
