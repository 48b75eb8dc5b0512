"""`binary_cnn`: one convolution, max-pool, flatten, one dense layer; made for two classes and one output."""

from __future__ import annotations

from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from trainables.models.flat import FlatNet, build, conv, default_cfg

default_cfgs = generate_default_cfgs({"binary_cnn": default_cfg()})


class BinaryCnn(FlatNet):
    """3x3 convolution of `width` filters without padding (as Keras has it by default), ReLU, 2x2 max-pool."""

    def __init__(
        self, width: int = 32, dense: int = 128, img_size: int | tuple[int, int] = 64, **kwargs: Any
    ) -> None:
        def body(in_chans: int) -> nn.Sequential:
            layers = conv(in_chans, width, batch_norm=False, padding=0)
            return nn.Sequential(nn.Sequential(*layers, nn.MaxPool2d(2)))

        super().__init__(body, dense=[dense], img_size=img_size, **kwargs)


@register_model
def binary_cnn(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The network of one convolution."""
    return build(BinaryCnn, "binary_cnn", pretrained, **kwargs)
