"""All linear changes of colour as one matrix a sample: brightness, contrast, saturation and hue.

Grey has its own axis in NTSC's YIQ: Y is the luma, (I, Q) the plane of colours. There saturation is a stretch
and hue a rotation of that plane, so that both together, and whatever scales all of Y, I and Q, are a matrix
on RGB (Haeberli 1993, "Matrix Operations for Image Processing").
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601, as in Pillow and torchvision
_RED_Y, _BLUE_Y = torch.tensor([1.0, 0.0, 0.0]) - LUMA, torch.tensor([0.0, 0.0, 1.0]) - LUMA
# I and Q as NTSC defines them by the differences of red and blue from the luma.
_YIQ = torch.stack([LUMA, 0.74 * _RED_Y - 0.27 * _BLUE_Y, 0.48 * _RED_Y + 0.41 * _BLUE_Y])
_RGB = torch.linalg.inv(_YIQ)


def recolour(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue, in this order.

    The factors mean what they mean in torchvision: a blend with black, with the picture's mean grey, with its
    own grey version. Values are clamped once, at the end, where torchvision clamps after each step. Hue turns
    colours about the grey axis and keeps each pixel's luma; torchvision's turn, in HSV, keeps the largest and
    the smallest of the three values instead, so that its dark blue becomes a bright yellow.

    Args:
        images: float (B, 3, S, S) in [0, 1].
        brightness, contrast, saturation: float32 (B,), on the CPU: 1 changes nothing.
        hue: float32 (B,), on the CPU: whole turns, positive from red towards green.
    """
    if (torch.stack([brightness, contrast, saturation]) == 1).all() and not hue.any():
        return images
    matrix = colour_matrix(saturation, hue) * (contrast * brightness)[:, None, None]
    # Grey passes through saturation and hue unchanged, so contrast's share of mean grey is added at the end.
    grey = (1 - contrast) * brightness
    matrix, grey, luma = (value.to(images.device, non_blocking=True) for value in (matrix, grey, LUMA))
    offset = (grey * (images.mean((2, 3)) @ luma)).view(-1, 1, 1)
    values = images.flatten(2)
    return torch.baddbmm(offset.expand_as(values), matrix, values).clamp_(0, 1).view(images.shape)


def colour_matrix(saturation: Tensor, hue: Tensor) -> Tensor:
    """On RGB: float32 (B, 3, 3). Its rows add up to 1."""
    # Red, green and blue follow each other clockwise in the plane of I and Q.
    angle = -2 * math.pi * hue
    cos, sin = saturation * angle.cos(), saturation * angle.sin()
    one, none = torch.ones_like(cos), torch.zeros_like(cos)
    turn = torch.stack([one, none, none, none, cos, -sin, none, sin, cos], dim=1).view(-1, 3, 3)
    return _RGB @ turn @ _YIQ
