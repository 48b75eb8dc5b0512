"""What one of timm's networks takes, found out by making it; no memory is taken for its weights."""

from __future__ import annotations

import copy
from typing import Any, cast

import timm
import torch
from timm.models import get_model_args, get_pretrained_cfg
from torch import nn

from spaces.abilities import Abilities
from trainables.models.adapted import adapt
from trainables.models.create import NEEDED

_CLASSES = 1000
_MULTIPLE_OF_ALL_STRIDES_PX = 256
_POOLS_OF_KIND: dict[Any, tuple[str, ...]] = {}


def probe(name: str) -> tuple[int, Abilities] | None:
    """The number of parameters, with a last layer for 1000 classes, and what the network takes.

    Returns:
        None for an encoder: it does not take what every recipe gives to a network, or cannot classify.
    """
    model = _make(name, drop_rate=0.0, drop_path_rate=0.1)
    drop_path = model is not None
    if model is None:
        model = _make(name, drop_rate=0.0)
    if model is None or not all(hasattr(model, attribute) for attribute in NEEDED):
        return None
    fixed = bool(get_pretrained_cfg(name).fixed_input_size)
    return sum(parameter.numel() for parameter in model.parameters()), Abilities(
        fixed_size=fixed,
        drop_path=drop_path,
        pools=_pools(name, model),
        small_stem=not fixed and _takes_small_stem(model),
        head_dense=_adapts(model, head_dense=8),
    )


def _make(name: str, **args: Any) -> nn.Module | None:
    """The network; None where it does not know one of the arguments."""
    try:
        with torch.device("meta"):
            return timm.create_model(name, num_classes=_CLASSES, **args).eval()
    except TypeError:
        return None


def _pools(name: str, model: nn.Module) -> tuple[str, ...]:
    """What it takes as `global_pool`. Of networks of one class, with one kind of head, one is tried."""
    kind = (type(model), type(getattr(model, "head", None)), get_model_args(model).get("global_pool"))
    if kind not in _POOLS_OF_KIND:
        pools = ("avg", "max", "avgmax", "catavgmax")
        _POOLS_OF_KIND[kind] = tuple(pool for pool in pools if _pools_by(name, pool))
    return _POOLS_OF_KIND[kind]


def _pools_by(name: str, pool: str) -> bool:
    side = get_pretrained_cfg(name).input_size[-1]
    try:
        model = _make(name, global_pool=pool)
        if model is None or get_model_args(model).get("global_pool") != pool:
            return False
        outputs = model(torch.zeros(1, 3, side, side, device="meta"))
    except Exception:  # what networks raise has no class in common
        return False
    return bool(outputs.shape == (1, _CLASSES))


def _takes_small_stem(model: nn.Module) -> bool:
    """Whether feature maps get exactly two or four times the side. The network keeps the small stem."""
    standard = copy.deepcopy(model)
    if not _adapts(model, stem="small"):
        return False
    squares = torch.zeros(1, 3, *[_MULTIPLE_OF_ALL_STRIDES_PX] * 2, device="meta")
    try:
        before, after = (cast(Any, net).forward_features(squares).shape[-2:] for net in (standard, model))
    except AssertionError:  # attention in blocks wants sides of its own
        return False
    return after in {(factor * before[0], factor * before[1]) for factor in (2, 4)}


def _adapts(model: nn.Module, **changes: Any) -> bool:
    try:
        with torch.device("meta"):
            adapt(model, **changes)
    except ValueError:
        return False
    return True
