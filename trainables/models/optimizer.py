"""The optimizer, from timm's registry, and its parameter groups."""

from __future__ import annotations

import inspect
from fnmatch import fnmatch
from typing import Any

from timm.optim import create_optimizer_v2, get_optimizer_class, get_optimizer_info
from torch import nn
from torch.optim import Optimizer

from spaces.recipe import Optim
from trainables.models.parts import blocks_behind, head_parameters


def create_optimizer(model: nn.Module, optim: Optim) -> Optimizer:
    """The recipe's optimizer over all parameters of the network.

    Frozen parameters are members from the start: without a gradient the optimizer passes them over, so it
    is never made anew, and its state survives the unfreezing.
    """
    defaults = get_optimizer_info(optim.name).defaults or {}
    # Nesterov's momentum without momentum is refused by torch; it is plain gradient descent.
    plain = {"nesterov": False} if optim.momentum == 0 and "nesterov" in defaults else {}
    # One kernel for all of a group's weights. On a CPU it is no quicker than torch's own choice.
    fused = {"fused": True} if next(model.parameters()).is_cuda and _can_be_fused(optim.name) else {}
    return create_optimizer_v2(
        parameter_groups(model, optim), opt=optim.name, lr=optim.lr, momentum=optim.momentum, **plain, **fused
    )


def _can_be_fused(name: str) -> bool:
    return "fused" in inspect.signature(get_optimizer_class(name, bind_defaults=False)).parameters


def restore(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Gives an optimizer the state of one that may have run on another device, where it was fused or not."""
    groups = [
        {**saved, "fused": group["fused"]} if "fused" in group else saved
        for saved, group in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**state, "param_groups": groups})


def parameter_groups(model: nn.Module, optim: Optim) -> list[dict[str, Any]]:
    """Optimizer groups: parameters of one rate, with weight decay or without.

    The head learns at `lr * head_lr_mult`, a block of the backbone that has n blocks behind it (the head
    counts as one) at `lr * backbone_lr_mult * layer_decay**n`. Norms, biases and what the network itself
    names (`no_weight_decay`, such as position embeddings) get no decay (He et al. 2019, "Bag of Tricks").
    """
    head, behind = head_parameters(model), blocks_behind(model)
    exempt: set[str] = getattr(model, "no_weight_decay", set)()
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if name in head:
            rate = optim.lr * optim.head_lr_mult
        else:
            rate = optim.lr * optim.backbone_lr_mult * optim.layer_decay ** behind[name]
        decays = parameter.ndim > 1 and not any(fnmatch(name, pattern) for pattern in exempt)
        groups.setdefault((rate, decays), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": optim.weight_decay if decays else 0.0}
        for (rate, decays), parameters in groups.items()
    ]
