"""`small_resnet`: timm's ResNet for small pictures, without early downsampling (He et al. 2016, on CIFAR)."""

from __future__ import annotations

from typing import Any

from timm.models import generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import nn

from trainables.models.flat import build, default_cfg

default_cfgs = generate_default_cfgs(
    {
        "small_resnet": {
            **default_cfg(),
            "fixed_input_size": False,
            "pool_size": (8, 8),
            "first_conv": "conv1",
            "classifier": "fc",
        }
    }
)


class SmallResNet(ResNet):
    """A 3x3 stem of stride 1, four stages of `depth` basic blocks with `width` times 1, 2, 4, 8 channels.

    The first stage keeps the picture's resolution, each next one halves it: (B, 3, S, S) becomes
    (B, 8 x width, S/8, S/8) in front of the pooling.
    """

    def __init__(self, width: int = 32, depth: int = 1, in_chans: int = 3, **kwargs: Any) -> None:
        channels = (width, 2 * width, 4 * width, 8 * width)
        super().__init__(BasicBlock, (depth,) * 4, channels=channels, in_chans=in_chans, **kwargs)
        # timm's stem always has 64 channels, which the first block would have to project.
        self.conv1 = nn.Conv2d(in_chans, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity()
        self.layer1[0] = BasicBlock(width, width)  # stochastic depth never leaves out the first block
        self.init_weights()


@register_model
def small_resnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The ResNet for pictures of 28 to 64 px."""
    return build(SmallResNet, "small_resnet", pretrained, **kwargs)
