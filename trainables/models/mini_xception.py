"""`mini_xception`: five blocks of two depthwise-separable convolutions (Chollet 2017, made small)."""

from __future__ import annotations

import itertools
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from trainables.models.flat import FlatNet, build, default_cfg

default_cfgs = generate_default_cfgs({"mini_xception": {**default_cfg(), "first_conv": "blocks.0.0.0"}})


def _separable(inputs: int, outputs: int, *, batch_norm: bool) -> nn.Sequential:
    """A 3x3 convolution a channel, then a 1x1 convolution over channels, batch norm when asked, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=not batch_norm),
    ]
    if batch_norm:
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


class MiniXception(FlatNet):
    """Five times (two separable convolutions, 2x2 max-pool), then dense layers of `dense` and a quarter.

    The filters are `width` times 1, 2, 4, 4, 8.
    """

    def __init__(
        self,
        width: int = 32,
        dense: int = 1024,
        batch_norm: bool = False,
        img_size: int | tuple[int, int] = 64,
        **kwargs: Any,
    ) -> None:
        def body(in_chans: int) -> nn.Sequential:
            widths = [in_chans, *(width * factor for factor in (1, 2, 4, 4, 8))]
            return nn.Sequential(
                *(
                    nn.Sequential(
                        _separable(before, after, batch_norm=batch_norm),
                        _separable(after, after, batch_norm=batch_norm),
                        nn.MaxPool2d(2),
                    )
                    for before, after in itertools.pairwise(widths)
                )
            )

        super().__init__(body, dense=[dense, dense // 4], img_size=img_size, **kwargs)


@register_model
def mini_xception(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The small Xception-like network."""
    return build(MiniXception, "mini_xception", pretrained, **kwargs)
