"""Which parts of a network rest, epoch by epoch, and the parameter groups of the optimizer."""

from __future__ import annotations

from typing import Any, cast

from timm.models import group_parameters
from torch import nn

from spaces.recipe import Freeze, Optim


def head_parameters(model: nn.Module) -> set[str]:
    """Names of the parameters of the last layer."""
    classifier = cast(Any, model).get_classifier()
    heads = classifier if isinstance(classifier, tuple | list) else (classifier,)
    members = {id(parameter) for head in heads for parameter in head.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in members}


def last_stage_parameters(model: nn.Module) -> set[str]:
    """Names of the parameters of the last stage in front of the head, by timm's coarse grouping."""
    head = head_parameters(model)
    stages = group_parameters(model, cast(Any, model).group_matcher(coarse=True))
    bodies = [set(names) - head for _, names in sorted(stages.items())]
    # A closing norm between the stages and the head is a group of its own in some families: too little
    # to be called a stage, so it joins the one in front of it.
    sizes = dict(model.named_parameters())
    last: set[str] = set()
    for names in reversed(bodies):
        last |= names
        if any(sizes[name].ndim > 1 for name in names):
            break
    return last


def apply(model: nn.Module, freeze: Freeze, epoch: int) -> bool:
    """Sets what trains during `epoch` (counted from 1), and whether frozen norms keep their statistics.

    Call it after `model.train()`. Modules all of whose parameters rest go into evaluation mode, so that
    a frozen batch norm neither moves its statistics nor uses the batch's.

    Returns:
        Whether the set of trained parameters changed: a distributed wrapper must then be made anew.
    """
    if freeze.epoch == 0:
        return False
    trained = head_parameters(model)
    if epoch > freeze.epoch:
        trained = (
            {name for name, _ in model.named_parameters()}
            if freeze.then == "all"
            else trained | last_stage_parameters(model)
        )
    changed = False
    for name, parameter in model.named_parameters():
        changed |= parameter.requires_grad != (name in trained)
        parameter.requires_grad_(name in trained)
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
    return changed


def parameter_groups(model: nn.Module, optim: Optim) -> list[dict[str, Any]]:
    """Optimizer groups: head and backbone with their multipliers, each with and without weight decay.

    Norms, biases and what the network itself names (`no_weight_decay`, such as position embeddings) get
    no decay (He et al. 2019, "Bag of Tricks"). Frozen parameters are members from the start: without a
    gradient the optimizer passes them over, and its state survives the unfreezing.
    """
    head = head_parameters(model)
    exempt = set(getattr(model, "no_weight_decay", set)())
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and name not in exempt
        groups.setdefault((name in head, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": optim.lr * (optim.head_lr_mult if in_head else optim.backbone_lr_mult),
            "weight_decay": optim.weight_decay if decays else 0.0,
        }
        for (in_head, decays), parameters in sorted(groups.items())
    ]
