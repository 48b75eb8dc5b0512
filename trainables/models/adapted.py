"""`adapted`: any registered network with a stem for small pictures, a dense layer in its head, or both.

timm makes a network again from its name and arguments, which say nothing of changes made afterwards. So the
changes are arguments of a registered network themselves, and what is exported loads wherever this module is
imported. They are made in place: the body's weights keep their names and shapes, so timm's own weights fit.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import timm
from timm.models import load_pretrained, register_model
from torch import nn

ADAPTED = "adapted"
"""The name in timm's registry."""

# Names of the layers that halve the picture before the first stage: in ResNet and its kin, DenseNet,
# ResNetV2, EfficientNet and MobileNet, RegNet. The first line of which a network has all layers is its own.
_EARLY_LAYERS = (
    ("conv1", "maxpool"),
    ("features.conv0", "features.pool0"),
    ("stem.conv", "stem.pool"),
    ("stem.conv1", "stem.pool"),
    ("conv_stem",),
    ("stem.conv",),
)


def adapt(
    model: nn.Module,
    *,
    stem: Literal["standard", "small"] = "standard",
    head_dense: int | None = None,
    drop_rate: float = 0.0,
) -> None:
    """Changes a network of timm's kind in place.

    Args:
        stem: `small`: the layers in front of the first stage keep the picture's resolution, so that all
            feature maps have four times (where there is no early pooling, twice) the side they had.
        head_dense: The last layer becomes a dense layer of this width, ReLU, dropout and a last layer; the
            network's own dropout in front of them must be 0.
        drop_rate: Of that dropout.

    Raises:
        ValueError: The network has no such stem, or its head is no single linear layer.
    """
    if stem == "small":
        _keep_resolution(model)
    if head_dense is not None:
        _deepen_head(model, head_dense, drop_rate)


def _keep_resolution(model: nn.Module) -> None:
    modules = dict(model.named_modules())
    names: tuple[str, ...] = next((names for names in _EARLY_LAYERS if modules.keys() >= set(names)), ())
    pools = [name for name in names if not list(modules[name].parameters())]
    strided = [
        layer
        for name in names
        for layer in modules[name].modules()
        if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1)
    ]
    # A larger stride is that of patches: moved by single pixels, they would overlap.
    if not strided or any(layer.stride != (2, 2) for layer in strided):
        raise ValueError("it has no stem that could keep a picture's resolution (model.stem: small)")
    for layer in strided:
        layer.stride = (1, 1)
    for name in pools:
        model.set_submodule(name, nn.Identity())


def _deepen_head(model: nn.Module, width: int, drop_rate: float) -> None:
    last = cast(Any, model).get_classifier()
    if not isinstance(last, nn.Linear):
        raise ValueError(f"its head is a {type(last).__name__}, no linear layer (model.head_dense)")
    name = next(name for name, module in model.named_modules() if module is last)
    layers = [
        nn.Linear(last.in_features, width),
        nn.ReLU(),
        nn.Dropout(drop_rate),
        nn.Linear(width, last.out_features),
    ]
    model.set_submodule(name, nn.Sequential(*layers))
    # Where timm looks for what depends on the number of classes.
    cast(Any, model).pretrained_cfg["classifier"] = f"{name}.{len(layers) - 1}"


@register_model
def adapted(
    pretrained: bool = False,
    *,
    backbone: str,
    stem: Literal["standard", "small"] = "standard",
    head_dense: int | None = None,
    drop_rate: float = 0.0,
    pretrained_cfg: dict[str, Any] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """The registered network `backbone` with what `adapt` does to it.

    Args:
        pretrained: Load weights: those that `pretrained_cfg` names, which are an adapted network's own, or
            without it those of the backbone.
        kwargs: Arguments of the backbone.
    """
    own = pretrained and pretrained_cfg is not None
    model = timm.create_model(
        backbone,
        pretrained=pretrained and not own,
        pretrained_cfg=pretrained_cfg,
        drop_rate=drop_rate if head_dense is None else 0.0,
        **kwargs,
    )
    adapt(model, stem=stem, head_dense=head_dense, drop_rate=drop_rate)
    model.pretrained_cfg["architecture"] = ADAPTED
    if own:
        load_pretrained(model, num_classes=model.num_classes, in_chans=kwargs.get("in_chans", 3))
    return model
