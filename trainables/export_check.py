"""Makes sure of an export: what its files say, in a process that knows nothing of the training, is what the
trained network says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from spaces.recipe import Geometry, Recipe
from trainables.calibration import Calibration
from trainables.export import ExportError, export, registering
from trainables.feed import Pictures
from trainables.geometry import to_square
from trainables.models.create import class_logits, normalization
from trainables.models.weights import WEIGHTS_FILE
from trainables.programs import ONNX_FILE, PROGRAM_FILE

TOLERANCE = 1e-3
"""Of probabilities; of a network's own outputs as a share of the largest, where that is over 1.

Another program adds float32 numbers in another order. For that, probabilities of two trained networks
(small_resnet, efficientnet_b0) differed by up to 1.2e-6; those of 26 untrained ones, blown up to logits of
30, by less than 3e-4 but for one. What is wrong with a file differs by far more, and no sound model shall be
lost to roundings."""
PICTURES = 16
"""That an export is checked on: few, so that it takes little memory and time."""


@dataclass(frozen=True)
class Answers:
    """What a trained network says of a few pictures."""

    squares: Tensor
    """float32 (B, 3, S, S) in [0, 1]."""
    outputs: np.ndarray
    """float32: the network's own."""
    probabilities: np.ndarray
    """float32 (B, C), calibrated."""


def some_squares(pictures: Pictures, geometry: Geometry) -> Tensor:
    """Pictures from all over a part, as squares: float32 (B, 3, S, S) in [0, 1]."""
    rows = np.unique(np.linspace(0, len(pictures) - 1, PICTURES).astype(int))
    canvases, extents = map(torch.from_numpy, pictures.batch(rows))
    return to_square(canvases, extents, size_px=geometry.size_px, fit=geometry.fit)


def export_checked(
    model: nn.Module,
    recipe: Recipe,
    classes: list[str],
    folder: Path,
    *,
    squares: Tensor,
    calibration: Calibration,
    imports: Sequence[str] = (),
    onnx: bool = False,
) -> None:
    """Writes the folder, which must exist, and checks it; see `trainables.export.export` and `check_export`.

    Args:
        squares: Real pictures, a few: float32 (B, 3, S, S) in [0, 1].
        imports: Modules that register the network, where it is the user's own.

    Raises:
        ExportError: A file cannot be loaded, or says something else than the network.
    """
    expected = answers(model, squares, calibration)
    export(model, recipe, classes, folder, calibration=calibration, onnx=onnx)
    check_export(folder, expected, registering(recipe, len(classes), imports))


@torch.no_grad()
def answers(model: nn.Module, squares: Tensor, calibration: Calibration) -> Answers:
    """Asks a network, on the CPU, which is in evaluation mode then."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalization(model))
    outputs = model.cpu().eval()((squares - mean) / std)
    probabilities = (class_logits(outputs) / calibration.temperature).softmax(dim=1)
    return Answers(squares, outputs.numpy(), probabilities.numpy())


def check_export(folder: Path, expected: Answers, modules: Sequence[str]) -> None:
    """Loads what the folder holds in a fresh process, and compares what it says of all pictures in one batch,
    and of the first alone.

    Args:
        modules: Those that register the network; see `trainables.export.registering`.

    Raises:
        ExportError: A file cannot be loaded, or says something else.
    """
    wanted = {PROGRAM_FILE: expected.probabilities}
    if (folder / ONNX_FILE).exists():
        wanted[ONNX_FILE] = expected.probabilities
    wanted[WEIGHTS_FILE] = expected.outputs  # last: it takes timm, which the others shall do without
    said = _ask_a_stranger(folder, expected.squares.numpy(), list(wanted), modules)
    faults = [f"{file} {fault}" for file in wanted if (fault := _fault(wanted[file], said[file]))]
    if faults:
        raise ExportError(
            "The exported files do not say what the trained network says, in a fresh process, of "
            f"{len(expected.squares)} pictures: {'; '.join(faults)}."
        )


def _ask_a_stranger(
    folder: Path, squares: np.ndarray, files: list[str], modules: Sequence[str]
) -> dict[str, list[list[float]] | str]:
    """See `trainables.stranger`."""
    with tempfile.TemporaryDirectory() as desk:
        order, answers, pictures = (
            Path(desk) / name for name in ("order.json", "answers.json", "squares.npy")
        )
        np.save(pictures, squares)
        asked = {"folder": str(folder.resolve()), "pictures": str(pictures), "files": files}
        order.write_text(json.dumps({**asked, "modules": list(modules)}), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "trainables.stranger", str(order), str(answers)],
            # The user's modules may be wherever this process found them.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode or not answers.exists():
            last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
            raise ExportError(
                "The process that was to check the exported files ended with status "
                f"{done.returncode}: {last}"
            )
        found: dict[str, list[list[float]] | str] = json.loads(answers.read_text(encoding="utf-8"))
        return found


def _fault(wanted: np.ndarray, said: list[list[float]] | str) -> str:
    """What is wrong with a file's answers; empty where nothing is."""
    if isinstance(said, str):
        return f"cannot be used ({said})"
    found, expected = np.array(said), np.concatenate([wanted, wanted[:1]])
    if found.shape != expected.shape:
        return f"puts out {found.shape[1:]} values a picture in place of {expected.shape[1:]}"
    difference = np.abs(found - expected).max()
    allowed = TOLERANCE * max(1.0, np.abs(expected).max())
    # (so that no number is over it where one is not a number)
    return "" if difference <= allowed else f"differs by up to {difference:.3g} (allowed: {allowed:.2g})"
