"""Weights to start from: read from a file of this machine, fitted to the network, never executed."""

from __future__ import annotations

import argparse
import pickle
import sys
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from timm.models import adapt_input_conv, clean_state_dict
from torch import Tensor, nn

from trainables.models.errors import ModelError
from trainables.models.parts import heads

WEIGHTS_FILE = "model.safetensors"
"""What timm's folders call their weights."""
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
# Where checkpoints keep the weights, averaged ones first: ours (`trainables/checkpoint.py`), timm's, others'.
_WRAPPERS = ("ema", "state_dict_ema", "model_ema", "model", "state_dict")
_SHOWN = 3


def load_start(model: nn.Module, path: Path, name: str) -> None:
    """Loads weights into every layer of the network but its head.

    The head starts anew even where the file's would fit: its outputs stand for other classes. A first
    convolution for another number of channels is adapted to RGB, position embeddings to the picture size,
    and names of older versions are translated, all as timm does it.

    Args:
        model: On the CPU.
        path: A safetensors file, a torch file of plain tensors (a state dict or a training checkpoint), or a
            folder with one such file, such as an exported model's.
        name: What messages call the network.

    Raises:
        ModelError: There is no such file, it cannot be read, or it holds another network's weights.
    """
    file = weights_file(path)
    given = _translated(clean_state_dict(_read(file)), model, file, name)
    head = _head_prefixes(model)
    given = {key: value for key, value in given.items() if not key.startswith(head)}
    wanted = {key: value for key, value in model.state_dict().items() if not key.startswith(head)}
    _adapt_first_convolution(model, given, wanted)
    if faults := _differences(given, wanted):
        raise ModelError(
            f"model.weights: {file} does not hold the weights of {name} with its arguments: "
            f"{'; '.join(faults)}."
        )
    model.load_state_dict({key: given[key] for key in wanted if key in given}, strict=False)


def weights_file(path: Path) -> Path:
    """The file itself, or the one of a folder.

    Raises:
        ModelError: There is no such file, or no telling which.
    """
    if not path.exists():
        raise ModelError(f"model.weights: there is no {path.absolute()}.")
    if not path.is_dir():
        return path
    if (path / WEIGHTS_FILE).is_file():
        return path / WEIGHTS_FILE
    files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    if len(files) != 1:
        found = ", ".join(file.name for file in files[:_SHOWN]) or "none"
        exported = path / "model"  # in the folder of a search or a training
        hint = f"Did you mean {exported}?" if exported.is_dir() else "Name the file itself."
        raise ModelError(
            f"model.weights: {path} must hold {WEIGHTS_FILE} or exactly one file of weights "
            f"({', '.join(_SUFFIXES)}); found {found}. {hint}"
        )
    return files[0]


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors in the file by name."""
    try:
        if file.suffix == ".safetensors":
            found: Any = load_file(file)
        else:
            # timm's checkpoints also hold their command line.
            with torch.serialization.safe_globals([argparse.Namespace]):
                found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as fault:
        raise ModelError(
            f"model.weights: {file} is damaged, or holds more than plain tensors, and nothing from a file is "
            "executed. Save it as safetensors, or with torch.save(model.state_dict(), FILE)."
        ) from fault
    except Exception as fault:  # readers of damaged files raise nearly everything
        raise ModelError(
            f"model.weights: {file} cannot be read ({type(fault).__name__}: {fault})."
        ) from fault
    if isinstance(found, dict):
        found = next((found[key] for key in _WRAPPERS if isinstance(found.get(key), dict)), found)
        found = {key: value for key, value in found.items() if isinstance(value, Tensor)}
    if not found or not isinstance(found, dict):
        raise ModelError(f"model.weights: {file} holds no tensors by name (a state dict).")
    return found


def _translated(given: dict[str, Tensor], model: nn.Module, file: Path, name: str) -> dict[str, Tensor]:
    """What timm makes of published weights of this kind of network."""
    translate = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if translate is None:
        return given
    try:
        return translate(given, model)
    except Exception as fault:  # it meets names and shapes that it was not written for
        raise ModelError(
            f"model.weights: {file} does not hold the weights of {name}: making them fit raised "
            f"{type(fault).__name__}: {fault}."
        ) from fault


def _head_prefixes(model: nn.Module) -> tuple[str, ...]:
    return tuple(
        f"{name}." for name, module in model.named_modules() if any(module is head for head in heads(model))
    )


def _adapt_first_convolution(model: nn.Module, given: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    names = cast(Any, model).pretrained_cfg.get("first_conv") or ()
    for name in (names,) if isinstance(names, str) else names:
        key = f"{name}.weight"
        if key in given and key in wanted and given[key].ndim == wanted[key].ndim == 4:
            channels, needed = given[key].shape[1], wanted[key].shape[1]
            if channels != needed:
                given[key] = adapt_input_conv(needed, given[key], base_chans=channels)


def _differences(given: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """What is wrong with the weights, in words."""
    # Old files do not count batches, and nothing here needs the count.
    missing = [key for key in wanted if key not in given and not key.endswith("num_batches_tracked")]
    reshaped = [
        f"{key} {tuple(given[key].shape)} for {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in given and given[key].shape != value.shape
    ]
    # Another head may lie beside the network's own layers, but what lies within them is of a larger network.
    layers = {key.split(".")[0] for key in wanted}
    left_over = [key for key in given if key not in wanted and key.split(".")[0] in layers]
    kinds = (("missing", missing), ("of another shape", reshaped), ("left over", left_over))
    return [
        f"{what}: {', '.join(keys[:_SHOWN])}"
        + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
        for what, keys in kinds
        if keys
    ]
