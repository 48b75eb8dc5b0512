"""Weights to start from: read from a file of this machine, fitted to the network, never executed."""

from __future__ import annotations

import argparse
import os
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
    and names of older versions are translated, all as timm does it. A prefix that all the network's names
    have in the file goes (`model.` in Lightning's checkpoints).

    Args:
        model: On the CPU.
        path: A safetensors file, a torch file of plain tensors (a state dict or a training checkpoint), or a
            folder with one such file, such as an exported model's.
        name: What messages call the network.

    Raises:
        ModelError: There is no such file, it cannot be read, it holds another network's weights, or weights
            that are no finite numbers.
    """
    file, head = weights_file(path), _head_prefixes(model)
    wanted = {key: value for key, value in model.state_dict().items() if not key.startswith(head)}
    given = _without_prefix(clean_state_dict(_read(file)), wanted)
    given = _translated(given, model, file, name)
    given = {key: value for key, value in given.items() if not key.startswith(head)}
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
    if os.path.isfile(path):  # unlike Path's own, these never raise, however odd the path
        return path
    if not os.path.isdir(path):
        raise ModelError(f"model.weights: there is no {path.absolute()}.")
    if (path / WEIGHTS_FILE).is_file():
        return path / WEIGHTS_FILE
    files = sorted(file for file in path.glob("*") if file.suffix in _SUFFIXES and file.is_file())
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
    if not isinstance(found, dict):
        found = {}
    held = [_tensors(value) for value in (*map(found.get, _WRAPPERS), found)]
    tensors: dict[str, Tensor] = next(filter(None, held), {})
    if not tensors:
        raise ModelError(f"model.weights: {file} holds no tensors by name (a state dict).")
    if odd := [key for key, value in tensors.items() if not _plain(value)]:
        raise ModelError(
            f"model.weights: {file} must hold dense tensors with values; sparse, nested, quantized or meta: "
            f"{_listed(odd)}."
        )
    return tensors


def _tensors(value: Any) -> dict[str, Tensor]:
    """What of a value from a file is tensors by name."""
    entries = value.items() if isinstance(value, dict) else ()
    return {key: entry for key, entry in entries if isinstance(key, str) and isinstance(entry, Tensor)}


def _plain(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not (tensor.is_nested or tensor.is_quantized or tensor.is_meta)


def _without_prefix(given: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """What lies under the one prefix under which all the network's names are; everything where none is."""
    names = _required(wanted)
    fronts = [key.removesuffix(names[0]) for key in given if key.endswith(names[0])] if names else []
    prefixes = [
        front
        for front in fronts
        if (not front or front.endswith(".")) and all(front + name in given for name in names)
    ]
    if len(prefixes) != 1:  # of several, such as `student.` and `teacher.`, nothing says which is meant
        return given
    (prefix,) = prefixes
    return {key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}


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


def _required(wanted: dict[str, Tensor]) -> list[str]:
    """Old files do not count batches, and nothing here needs the count."""
    return [key for key in wanted if not key.endswith("num_batches_tracked")]


def _differences(given: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """What is wrong with the weights, in words."""
    missing = [key for key in _required(wanted) if key not in given]
    pairs = [(key, given[key], value) for key, value in wanted.items() if key in given]
    reshaped = [
        f"{key} {tuple(found.shape)} for {tuple(value.shape)}"
        for key, found, value in pairs
        if found.shape != value.shape
    ]
    retyped = [
        f"{key} ({str(found.dtype).removeprefix('torch.')})"
        for key, found, value in pairs
        if value.is_floating_point() and not found.is_floating_point()
    ]
    # In the network's own type: a double may be too large for it.
    not_finite = [
        key
        for key, found, value in pairs
        if found.is_floating_point() and not found.to(value.dtype).isfinite().all()
    ]
    # Another head may lie beside the network's own layers, but what lies within them is of a larger network.
    layers = {key.split(".")[0] for key in wanted}
    left_over = [key for key in given if key not in wanted and key.split(".")[0] in layers]
    kinds = {
        "missing": missing,
        "of another shape": reshaped,
        "no floating-point numbers": retyped,
        "with NaN or infinity": not_finite,
        "left over": left_over,
    }
    return [f"{what}: {_listed(keys)}" for what, keys in kinds.items() if keys]


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more
