"""What explains a network as files for a page: small WebP pictures, and `explained.json` that names them.

The form of `explained.json` is in `results/README.md`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from search import text
from search.images.drawing import enlarged, grid, overlaid, webp
from search.images.explained import Example, Explained, FeatureMaps
from search.images.heat_colours import diverging, sequential
from search.storage.folder import SearchFolder
from trainables.explain.kernels import Kernels, Which

FILE = "explained.json"
KERNEL_PX, MATRIX_PX, MAP_PX = 36, 320, 72
"""Sides of a tile, about."""
GRID_BYTES = 24_000
COARSE = 16
"""Places of a map, of which so many or fewer tell little."""

_SIGNS = "red is positive, blue is negative"
_LACKING: dict[Which, str] = {
    "first": "The network has no convolution.",
    "last_spatial": "After its first layer the network has no convolution of more than 1 x 1.",
    "last_pointwise": "The network has no 1 x 1 convolution.",
}


def write_explained(explained: Explained, out: Path) -> None:
    """Writes the folder, whole or not at all.

    Args:
        out: Must not exist; its parent must.
    """
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        facts = {
            "examples": [
                _example(example, f"example-{number}", partial)
                for number, example in enumerate(explained.examples, 1)
            ],
            "grad_cam": _grad_cam(explained.maps),
            "kernels": [_kernels(entry, partial) for entry in explained.kernels or []],
            "feature_maps": _maps(explained.maps, partial),
            "missing": _lacking(explained.kernels) + explained.failed,
        }
        SearchFolder.write_json(partial / FILE, facts)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _lacking(found: list[Kernels] | None) -> list[str]:
    """What kinds of layers the network does not have."""
    if found is None:
        return []
    there = {entry.which for entry in found}
    return [words for which, words in _LACKING.items() if which not in there]


def _example(example: Example, name: str, folder: Path) -> dict[str, Any]:
    file = f"{name}.webp"
    (folder / file).write_bytes(webp(enlarged(example.square)))
    heats = []
    for number, (label, heat) in enumerate(example.heats.items(), 1):
        heat_file = f"{name}-heat-{number}.webp"
        (folder / heat_file).write_bytes(webp(overlaid(example.square, heat)))
        heats.append({"class": label, "file": heat_file, "blank": not heat.any()})
    return {
        "kind": example.kind,
        "path": example.path,
        "class": example.label,
        "predicted": example.predicted,
        "probability": example.probability,
        "probability_of_class": example.probability_of_class,
        "file": file,
        "heats": heats,
    }


def _kernels(entry: Kernels, folder: Path) -> dict[str, Any]:
    weights, (outputs, inputs, height, width) = entry.weights, entry.shape
    if entry.which == "last_pointwise":
        rows, columns = weights.shape
        sheet = grid(diverging(_scaled(weights[None])), tile_px=MATRIX_PX)
        drawn, total = rows * columns, outputs * inputs
        words = (
            f"Last 1 x 1 convolution, {entry.layer}: the weights from {columns} of "
            f"{text.count(inputs, 'input')} (columns) to {rows} of {text.count(outputs, 'output')} (rows), "
            f"the strongest ones; {_SIGNS}."
        )
    else:
        in_colour = weights.ndim == 4
        sheet = grid(_colours(weights) if in_colour else diverging(_scaled(weights)), tile_px=KERNEL_PX)
        drawn, total = len(weights), outputs if in_colour else outputs * inputs
        place = "First convolution" if entry.which == "first" else "Last convolution of more than 1 x 1"
        words = (
            f"{place}, {entry.layer}: {'all' if drawn == total else f'the strongest {drawn} of'} {total:,} "
            f"kernels of {height} x {width}; "
            f"{'in colours, grey is 0' if in_colour else _SIGNS}, each scaled to its own largest weight."
        )
    file = f"kernels-{entry.which}.webp"
    (folder / file).write_bytes(webp(sheet, GRID_BYTES))
    return {
        "which": entry.which,
        "layer": entry.layer,
        "shape": list(entry.shape),
        "drawn": drawn,
        "of": total,
        "file": file,
        "words": words,
    }


def _grad_cam(maps: FeatureMaps | None) -> dict[str, Any] | None:
    if maps is None:
        return None
    channels, height, width = maps.shape
    method = (
        "HiResCAM (Draelos & Carin 2020), which is Grad-CAM for networks that flatten their feature maps,"
        if maps.flattened
        else "Grad-CAM (Selvaraju et al. 2017)"
    )
    coarse = " So few places tell a region, and no detail." if height * width <= COARSE else ""
    words = (
        f"{method} at {maps.layer}, {text.count(channels, 'channel')} of "
        f"{height} x {width}: what glows speaks for the class. Each map is scaled to its own maximum, so it "
        f"tells where, not how much.{coarse}"
    )
    return {"layer": maps.layer, "shape": list(maps.shape), "words": words}


def _maps(maps: FeatureMaps | None, folder: Path) -> dict[str, Any] | None:
    if maps is None:
        return None
    low, high = (edge(maps.values, axis=(1, 2), keepdims=True) for edge in (np.min, np.max))
    shares = (maps.values - low) / np.where(high > low, high - low, 1)
    sheet = grid(sequential(shares), tile_px=MAP_PX, columns=4)
    channels, height, width = maps.shape
    file = "feature-maps.webp"
    (folder / file).write_bytes(webp(sheet, GRID_BYTES))
    return {
        "layer": maps.layer,
        "shape": list(maps.shape),
        "channels": maps.channels,
        "file": file,
        "words": f"Last feature maps, {maps.layer}: the {len(maps.channels)} of {channels} channels of "
        f"{height} x {width} that answer most to the first picture, each from its lowest value (dark) to its "
        "highest (bright).",
    }


def _scaled(weights: np.ndarray) -> np.ndarray:
    """Kernels (n, ...), each as shares of its largest weight: in [-1, 1]."""
    largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    return weights / np.where(largest > 0, largest, 1)


def _colours(weights: np.ndarray) -> np.ndarray:
    """Kernels over RGB, (n, 3, h, w), as pictures uint8 (n, h, w, 3)."""
    return np.rint((_scaled(weights) + 1) / 2 * 255).astype(np.uint8).transpose(0, 2, 3, 1)
