"""The moving average of a network's weights, from timm."""

from __future__ import annotations

from timm.utils import ModelEmaV3
from torch import nn


def averaged(model: nn.Module, decay: float | None) -> ModelEmaV3 | None:
    """An average that starts as a copy of the network; None when the decay is None.

    The decay warms up as 1 - (1 + step) ** (-2/3), so that a short training is not an average with its
    random start.
    """
    return None if decay is None else ModelEmaV3(model, decay=decay, use_warmup=True)
