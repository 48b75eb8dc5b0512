"""Whether a recipe's network can be made and takes its pictures, before anything is trained."""

from __future__ import annotations

import torch
from timm.models import get_pretrained_cfg
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spaces.recipe import Recipe
from trainables.models.create import create_model, create_shapes
from trainables.models.errors import ModelError

_FEW = 2
"""Pictures of a batch that is really computed."""


def dry_run(recipe: Recipe, num_classes: int) -> None:
    """Makes the network and sends a batch through it, of shapes alone (torch's meta device).

    Raises:
        ModelError: The network cannot be made, or not take pictures of `geometry.size_px` or `start_px`.
    """
    model = skip_batch_norms(create_shapes(recipe, num_classes))
    geometry = recipe.geometry
    for size_px in sorted({geometry.size_px, geometry.start_px or geometry.size_px}):
        if fault := _fault(model, recipe.optim.batch_size, size_px):
            # Shapes alone are not enough for every network, so only the real one is believed.
            fault = _fault(create_model(recipe, num_classes, weights=False), _FEW, size_px)
        if fault:
            raise ModelError(
                f"model.name {recipe.model.name!r} cannot take pictures of {size_px} px "
                f"({type(fault).__name__}: {str(fault).splitlines()[0] if str(fault) else ''}). Set another "
                f"geometry.size_px or start_px{_own_size(recipe.model.name)}, or leave the network out."
            ) from fault


def skip_batch_norms(model: nn.Module) -> nn.Module:
    """The network, whose batch norms from now on pass on what they get: of shapes they change nothing, and on
    the meta device they would take three quarters of the time."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.forward = _as_it_is  # type: ignore[assignment]
    return model


def _as_it_is(images: Tensor) -> Tensor:
    return images


def _fault(model: nn.Module, batch: int, size_px: int) -> Exception | None:
    """What the network raises in training."""
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model(torch.zeros(batch, 3, size_px, size_px, device=device))
    except Exception as fault:  # what networks raise has no class in common
        return fault
    return None


def _own_size(name: str) -> str:
    cfg = get_pretrained_cfg(name)
    return f" (it was made for {cfg.input_size[-1]} px)" if cfg is not None else ""
