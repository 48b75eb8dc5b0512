"""What our flat networks share: convolution blocks, a flatten, dense layers, a last layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from timm.layers import to_2tuple
from timm.models import build_model_with_cfg
from torch import Tensor, nn


class FlatNet(nn.Module):
    """Blocks, flatten, dense layers with ReLU and dropout, one last linear layer.

    Args:
        blocks: Called as `blocks(in_chans)`; (B, C, S, S) to (B, C', S', S').
        dense: Widths of the hidden dense layers.
        img_size: Side S of the square input, in pixels, or (S, S): flattening fixes it.
        num_classes: Width of the last layer; 0 leaves it out (features only).
        drop_rate: Dropout after each hidden dense layer.
    """

    def __init__(
        self,
        blocks: Callable[[int], nn.Sequential],
        *,
        dense: Sequence[int],
        img_size: int | tuple[int, int],
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.blocks = blocks(in_chans)
        with torch.no_grad():
            flat = self.blocks.eval()(torch.zeros(1, in_chans, *to_2tuple(img_size))).numel()
        self.blocks.train()
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in zip([flat, *dense[:-1]], dense, strict=True):
            layers += [nn.Linear(before, after), nn.ReLU(inplace=True), nn.Dropout(drop_rate)]
        self.dense = nn.Sequential(*layers)
        self.num_features = self.head_hidden_size = dense[-1]
        self.head = self._last(num_classes)
        if not any(isinstance(module, nn.BatchNorm2d) for module in self.modules()):
            self.apply(_glorot)  # with batch norm, torch's own weights end higher

    def _last(self, num_classes: int) -> nn.Module:
        return nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replaces the last layer; `global_pool` is there for timm's interface and has no meaning here."""
        self.num_classes = num_classes
        self.head = self._last(num_classes)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """timm's description of which parameters form which stage."""
        return {"stem": r"^blocks\.0\.", "blocks": [(r"^blocks\.(\d+)", None), (r"^dense", (99999,))]}

    def forward_features(self, images: Tensor) -> Tensor:
        """(B, C, S, S) to the feature maps of the last block."""
        return self.blocks(images)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Feature maps to (B, num_classes), or to (B, num_features) with `pre_logits`."""
        hidden = self.dense(features)
        return hidden if pre_logits else self.head(hidden)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, S, S) to (B, num_classes)."""
        return self.forward_head(self.forward_features(images))


def _glorot(module: nn.Module) -> None:
    """Random weights that keep signals and gradients alike in size through all layers (Glorot & Bengio 2010).

    torch's own let a signal fade from layer to layer, so that without batch norm `mini_xception` and
    `vgg4_cnn` hardly learn. Fans are those of one group of a convolution.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        outputs, inputs = module.weight.flatten(1).shape
        window = module.weight[0, 0].numel()
        groups = module.groups if isinstance(module, nn.Conv2d) else 1
        bound = math.sqrt(6 / (inputs + outputs * window / groups))
        nn.init.uniform_(module.weight, -bound, bound)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def default_cfg() -> dict[str, Any]:
    """timm's description of a network's input and last layer, for a `FlatNet` without weights."""
    return {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, 64, 64),
        "fixed_input_size": True,
        "pool_size": None,
        "crop_pct": 1.0,
        "interpolation": "bilinear",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "first_conv": "blocks.0.0",
        "classifier": "head",
    }


def build(cls: type[nn.Module], name: str, pretrained: bool, **kwargs: Any) -> nn.Module:
    """timm's ordinary way to make a registered network."""
    return build_model_with_cfg(cls, name, pretrained, **kwargs)


def conv(inputs: int, outputs: int, *, batch_norm: bool, padding: int = 1) -> list[nn.Module]:
    """A 3x3 convolution, batch norm when asked, ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=padding, bias=not batch_norm)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(outputs))
    layers.append(nn.ReLU(inplace=True))
    return layers
