"""`plain_cnn`: blocks of convolution, ReLU and max-pool; dropout; flatten; a dense layer; the last layer."""

from __future__ import annotations

import itertools
from typing import Any, cast

from timm.models import generate_default_cfgs, register_model
from torch import nn

from trainables.models.flat import FlatNet, build, conv, default_cfg

default_cfgs = generate_default_cfgs({"plain_cnn": default_cfg()})


class PlainCnn(FlatNet):
    """`blocks` times (`convs` 3x3 convolutions with ReLU, 2x2 max-pool), filters doubling from `width`.

    The dropout stands in front of the flatten.
    """

    def __init__(
        self,
        width: int = 32,
        blocks: int = 3,
        convs: int = 1,
        dense: int = 128,
        batch_norm: bool = False,
        drop_rate: float = 0.0,
        img_size: int | tuple[int, int] = 64,
        **kwargs: Any,
    ) -> None:
        def block(widths: tuple[int, int]) -> nn.Sequential:
            before, after = widths
            layers = conv(before, after, batch_norm=batch_norm)
            for _ in range(convs - 1):
                layers += conv(after, after, batch_norm=batch_norm)
            return nn.Sequential(*layers, nn.MaxPool2d(2))

        def body(in_chans: int) -> nn.Sequential:
            widths = [in_chans, *(width * 2**i for i in range(blocks))]
            body = nn.Sequential(*map(block, itertools.pairwise(widths)))
            cast(nn.Sequential, body[-1]).append(nn.Dropout(drop_rate))
            return body

        super().__init__(body, dense=[dense], img_size=img_size, **kwargs)


@register_model
def plain_cnn(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The plain convolutional network."""
    return build(PlainCnn, "plain_cnn", pretrained, **kwargs)
