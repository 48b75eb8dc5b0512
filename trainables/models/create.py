"""One call makes every network: `create_model(recipe, num_classes)`."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import timm
import torch
from timm.models import get_pretrained_cfg, model_entrypoint
from torch import Tensor, nn

from spaces.ensemble import ENSEMBLE, EnsembleRecipe
from spaces.recipe import Recipe
from trainables.models.adapted import ADAPTED
from trainables.models.download import require_hub
from trainables.models.errors import ModelError
from trainables.models.weights import load_start

NEEDED = ("pretrained_cfg", "num_classes", "num_features", "get_classifier")
"""What training and export use of a network; those that timm's `build_model_with_cfg` makes of timm's own
classes have all of it, but for a few encoders."""


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
    return sorted(
        name
        for name in timm.list_models()
        if model_entrypoint(name).__module__.partition(".")[0] not in ("timm", "trainables")
    )


def create_model(recipe: Recipe, num_classes: int, *, weights: bool = True) -> nn.Module:
    """The recipe's network for `num_classes`, on the CPU, in training mode.

    Its last layer has one output a class, or a single one where the loss is `sigmoid`; `class_logits` makes
    one a class of it.

    Args:
        weights: False makes the network with random weights, whatever the recipe starts from: for a
            checkpoint or an export, whose own weights replace them.

    Raises:
        ModelError: timm refuses the arguments, the weights to start from cannot be had or are another
            network's, or a network of the user's own lacks what is needed of one.
    """
    spec, pretrained = recipe.model, recipe.model.pretrained and weights
    try:
        name, args = creation(recipe, num_classes)
        if pretrained:
            require_hub(spec.name)
        model = timm.create_model(name, pretrained=pretrained, **args)
    except ModelError:
        raise
    except Exception as fault:  # what networks and the hub raise has no class in common
        if pretrained:
            create_model(recipe, num_classes, weights=False)  # which raises, where the network is at fault
            raise _no_weights(spec.name, fault) from fault
        settings = ", ".join(f"{key}={value!r}" for key, value in spec.args.items())
        raise ModelError(
            f"model.name {spec.name!r} with {settings or 'no model.args'} at {recipe.geometry.size_px} px "
            f"cannot be made: {fault}"
        ) from fault
    lacking = [attribute for attribute in NEEDED if not hasattr(model, attribute)]
    if lacking:
        raise ModelError(
            f"model.name {spec.name!r}: the network has no {', '.join(lacking)}. Make it with "
            "timm.models.build_model_with_cfg, and give its class num_classes, num_features (channels in "
            "front of the last layer) and get_classifier() (the last layer), as timm's own have."
        )
    if spec.weights is not None and weights:
        load_start(model, Path(spec.weights).expanduser(), spec.name)
    return model


def create_shapes(recipe: Recipe, num_classes: int) -> nn.Module:
    """The recipe's network with random weights on torch's meta device, where they take no memory; on the CPU,
    where it cannot be made otherwise.

    Raises:
        ModelError: See `create_model`.
    """
    try:
        with torch.device("meta"):
            return create_model(recipe, num_classes, weights=False)
    except ModelError:  # of one that reads values while it is made, meta has none
        return create_model(recipe, num_classes, weights=False)


def creation(recipe: Recipe, num_classes: int) -> tuple[str, dict[str, Any]]:
    """The name and the keyword arguments that make the recipe's network, for `timm.create_model`.

    Raises:
        ModelError: The loss is for two classes, and there are not two.
        RuntimeError: The name's tag is not timm's.
    """
    if isinstance(recipe, EnsembleRecipe):
        return ENSEMBLE, {
            "members": [_member(one, num_classes) for one in recipe.members],
            "num_classes": num_classes,
        }
    model = recipe.model
    args: dict[str, Any] = {
        **model.args,
        "num_classes": _outputs(recipe, num_classes),
        "drop_rate": model.drop_rate,
    }
    if model.drop_path_rate:
        args["drop_path_rate"] = model.drop_path_rate
    if model.pool is not None:
        args["global_pool"] = model.pool
    cfg = get_pretrained_cfg(model.name)
    if cfg is not None and cfg.fixed_input_size:
        args["img_size"] = recipe.geometry.size_px
    if model.stem == "standard" and model.head_dense is None:
        return model.name, args
    return ADAPTED, {**args, "backbone": model.name, "stem": model.stem, "head_dense": model.head_dense}


def _member(recipe: Recipe, num_classes: int) -> dict[str, Any]:
    """See `trainables.models.ensemble.Ensemble`."""
    architecture, args = creation(recipe, num_classes)
    return {"architecture": architecture, "args": args, "size_px": recipe.geometry.size_px}


def _outputs(recipe: Recipe, num_classes: int) -> int:
    if recipe.loss.name != "sigmoid":
        return num_classes
    if num_classes != 2:
        raise ModelError(
            f"loss.name: sigmoid has one output, for two classes, and there are {num_classes}. Pick two with "
            "--classes A,B, or set loss.name: cross_entropy."
        )
    return 1


def class_logits(outputs: Tensor) -> Tensor:
    """A network's outputs as one logit a class: (B, C) as they are, and (B, 1) to (B, 2).

    The single output z of a network for two classes becomes (0, z): softmax makes 1 - sigmoid(z) and
    sigmoid(z) of it, and cross-entropy is the binary cross-entropy of z.
    """
    if outputs.shape[1] > 1:
        return outputs
    return torch.cat([torch.zeros_like(outputs), outputs], dim=1)


def _no_weights(name: str, fault: Exception) -> ModelError:
    return ModelError(
        f"the pretrained weights of {name!r} cannot be had ({type(fault).__name__}: {fault}). Either let "
        "this machine reach huggingface.co, or fetch them on one that can: copy its Hugging Face cache (the "
        "folder that HF_HOME names), or name the file by model.weights: PATH in place of model.pretrained. "
        "Or start from random weights: model.pretrained: false in a recipe, another --space in a search."
    )


def normalization(model: nn.Module) -> tuple[list[float], list[float]]:
    """Mean and standard deviation, a channel, that the network's input is normalised with."""
    cfg = cast(Any, model).pretrained_cfg
    return list(cfg["mean"]), list(cfg["std"])
