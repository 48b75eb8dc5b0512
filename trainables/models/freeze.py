"""Which parts of a network rest, epoch by epoch."""

from __future__ import annotations

from torch import nn

from spaces.recipe import Freeze
from trainables.models.parts import head_parameters, stages


def trained_parameters(model: nn.Module, freeze: Freeze, epoch: int) -> set[str]:
    """Names of the parameters that train during `epoch` (counted from 1); see `spaces.recipe.Freeze`."""
    if epoch > freeze.epoch and freeze.then == "all":
        return {name for name, _ in model.named_parameters()}
    joined: list[set[str]] = []
    if epoch > freeze.epoch:
        from_the_last = stages(model)[::-1]
        if freeze.then == "gradual":
            count = len(from_the_last)
            joined = [
                stage
                for place, stage in enumerate(from_the_last)
                if epoch > freeze.epoch + place * freeze.epoch // count
            ]
        else:
            joined = from_the_last[: {"last_stage": 1, "last_two_stages": 2}[freeze.then]]
    return head_parameters(model).union(*joined)


def apply(model: nn.Module, freeze: Freeze, epoch: int) -> bool:
    """Sets what trains during `epoch` (counted from 1), and whether frozen norms keep their statistics.

    Call it after `model.train()`. Modules all of whose parameters rest go into evaluation mode, so that
    a frozen batch norm neither moves its statistics nor uses the batch's. What rests lies in front of what
    trains, so no gradient flows through it and its forward pass records no graph.

    Returns:
        Whether the set of trained parameters changed: a distributed wrapper must then be made anew.
    """
    if freeze.epoch == 0:
        return False
    trained = trained_parameters(model, freeze, epoch)
    changed = False
    for name, parameter in model.named_parameters():
        changed |= parameter.requires_grad != (name in trained)
        parameter.requires_grad_(name in trained)
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
    return changed
