"""One call makes every network: `create_model(recipe, num_classes)`."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, cast

import timm
from timm.models import get_pretrained_cfg
from torch import nn

from spaces.errors import InputError
from spaces.families import FAMILIES
from spaces.recipe import Recipe
from spaces.timm_names import timm_models

# What training and export use of a network; those that timm's `build_model_with_cfg` makes of timm's own
# classes have all of it.
_NEEDED = ("pretrained_cfg", "num_classes", "num_features", "get_classifier")


class ModelError(InputError):
    """A network cannot be made as its recipe asks."""


def import_networks(modules: Iterable[str]) -> list[str]:
    """Imports the user's modules and returns the names of all networks that are neither timm's nor ours.

    Raises:
        ModelError: A module cannot be imported.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as fault:
            raise ModelError(
                f"--import {module}: importing it raised {type(fault).__name__}: {fault}. It must be a "
                "module that Python finds from here (PYTHONPATH) and that registers networks with "
                "timm.models.register_model."
            ) from fault
    return sorted(set(timm.list_models()) - timm_models().keys() - FAMILIES.keys())


def create_model(recipe: Recipe, num_classes: int, *, weights: bool = True) -> nn.Module:
    """The recipe's network with a last layer of `num_classes`, on the CPU, in training mode.

    Args:
        weights: False makes a pretrained recipe's network with random weights: for a checkpoint or an
            export, whose own weights replace them.

    Raises:
        ModelError: timm refuses the arguments, the pretrained weights cannot be had, or a network of the
            user's own lacks what is needed of one.
    """
    name, pretrained = recipe.model.name, recipe.model.pretrained and weights
    try:
        args = creation_args(recipe)
        model = timm.create_model(name, pretrained=pretrained, num_classes=num_classes, **args)
    except Exception as fault:  # what networks and the hub raise has no class in common
        if pretrained and _builds(recipe, num_classes):
            raise _no_weights(name, fault) from fault
        settings = ", ".join(f"{key}={value!r}" for key, value in recipe.model.args.items())
        raise ModelError(
            f"model.name {name!r} with {settings or 'no model.args'} at {recipe.geometry.size_px} px cannot "
            f"be made: {fault}"
        ) from fault
    lacking = [attribute for attribute in _NEEDED if not hasattr(model, attribute)]
    if lacking:
        raise ModelError(
            f"model.name {name!r}: the network has no {', '.join(lacking)}. Make it with "
            "timm.models.build_model_with_cfg, and give its class num_classes, num_features (channels in "
            "front of the last layer) and get_classifier() (the last layer), as timm's own have."
        )
    return model


def creation_args(recipe: Recipe) -> dict[str, Any]:
    """Keyword arguments that make the recipe's network, for `timm.create_model`."""
    args: dict[str, Any] = {**recipe.model.args, "drop_rate": recipe.model.drop_rate}
    cfg = get_pretrained_cfg(recipe.model.name, allow_unregistered=True)
    if cfg is not None and cfg.fixed_input_size:
        args["img_size"] = recipe.geometry.size_px
    return args


def _builds(recipe: Recipe, num_classes: int) -> bool:
    """Whether the network can be made without its weights."""
    try:
        create_model(recipe, num_classes, weights=False)
    except ModelError:
        return False
    return True


def _no_weights(name: str, fault: Exception) -> ModelError:
    return ModelError(
        f"the pretrained weights of {name!r} cannot be had ({type(fault).__name__}: {fault}). Either let "
        "this machine reach huggingface.co, or copy a Hugging Face cache that holds them from a machine "
        "that can (the folder that HF_HOME names), or search from random weights (--space scratch, or "
        "model.pretrained: false)."
    )


def normalization(model: nn.Module) -> tuple[list[float], list[float]]:
    """Mean and standard deviation, a channel, that the network's input is normalised with."""
    cfg = cast(Any, model).pretrained_cfg
    return list(cfg["mean"]), list(cfg["std"])
