"""The parts of a network, by timm's own grouping of its parameters: its head, its stages, its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from timm.models import group_parameters
from timm.optim import auto_group_layers
from torch import nn


def heads(model: nn.Module) -> Sequence[nn.Module]:
    """The head: all that timm's `get_classifier` returns, which is more than one module in some networks."""
    classifier = cast(Any, model).get_classifier()
    return classifier if isinstance(classifier, tuple | list) else (classifier,)


def head_parameters(model: nn.Module) -> set[str]:
    """Names of the parameters of the head."""
    members = {id(parameter) for head in heads(model) for parameter in head.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in members}


def stages(model: nn.Module) -> list[set[str]]:
    """Names of the backbone's parameters, stage by stage, from the stem on.

    A stage is what timm's coarse grouping calls one: all blocks of one resolution in most CNNs, a block in
    a transformer. What is too little to be called a stage belongs to the one in front of it: a norm that
    is a group of its own, and the pointwise convolution that widens the channels in front of the head, which
    timm groups with the last blocks in EfficientNet and with the head in MobileNetV3.
    """
    head, parameters = head_parameters(model), dict(model.named_parameters())
    found: list[set[str]] = []
    for names in _groups(model, coarse=True):
        body = names - head
        weights = [parameters[name] for name in body if parameters[name].ndim > 1]
        widens = names & head and all(weight.shape[2:] == (1, 1) for weight in weights) and len(weights) == 1
        if found and (widens or not weights):
            found[-1] |= body
        elif body:
            found.append(body)
    return found


def blocks_behind(model: nn.Module) -> dict[str, int]:
    """How many of timm's blocks lie between each parameter and the network's end, by the parameter's name.

    The head has 0, and so has what timm groups with it: in some networks the norm in front of it.
    """
    groups = _groups(model, coarse=False)
    return {name: behind for behind, names in enumerate(reversed(groups)) for name in names}


def _groups(model: nn.Module, *, coarse: bool) -> list[set[str]]:
    """Names of parameters, group by group, from the input on; timm's fallback where there is no matcher."""
    if hasattr(model, "group_matcher"):
        groups = group_parameters(model, cast(Any, model).group_matcher(coarse=coarse))
    else:
        groups = {}
        for name, place in auto_group_layers(model).items():
            groups.setdefault(place, []).append(name)
    return [set(groups[place]) for place in sorted(groups)]
