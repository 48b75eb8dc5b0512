"""`vgg4_cnn`: four blocks of two 3x3 convolutions, in the manner of VGG (Simonyan & Zisserman 2015)."""

from __future__ import annotations

import itertools
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from trainables.models.flat import FlatNet, build, conv, default_cfg

default_cfgs = generate_default_cfgs({"vgg4_cnn": default_cfg()})

BLOCK_DROP_RATE = 0.3


class Vgg4Cnn(FlatNet):
    """Four times (3x3 same-padded, ReLU, 3x3 unpadded, ReLU, 2x2 max-pool, dropout 0.3).

    The filters are `width` times 1, 2, 4, 8. The unpadded convolutions and the pools leave nothing of a
    picture under 46 pixels.
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
            widths = [in_chans, *(width * 2**i for i in range(4))]
            return nn.Sequential(
                *(
                    nn.Sequential(
                        *conv(before, after, batch_norm=batch_norm),
                        *conv(after, after, batch_norm=batch_norm, padding=0),
                        nn.MaxPool2d(2),
                        nn.Dropout(BLOCK_DROP_RATE),
                    )
                    for before, after in itertools.pairwise(widths)
                )
            )

        super().__init__(body, dense=[dense], img_size=img_size, **kwargs)


@register_model
def vgg4_cnn(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The four-block VGG-like network."""
    return build(Vgg4Cnn, "vgg4_cnn", pretrained, **kwargs)
