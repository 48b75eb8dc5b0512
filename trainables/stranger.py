"""What an exported folder says of pictures, in a process that starts as a stranger's does:
`python -m trainables.stranger ORDER.json ANSWERS.json`.

It imports nothing of ours but what makes timm importable (`torch_setup`), and the modules that register the
network. `trainables.export_check` writes the order and judges the answers.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

Ask = Callable[[np.ndarray], np.ndarray]


def main(order_file: str, answers_file: str) -> None:
    """Answers `{"folder", "pictures": a .npy file of squares, "files": [...], "modules": [...]}`."""
    order = json.loads(Path(order_file).read_text(encoding="utf-8"))
    found = answers(Path(order["folder"]), np.load(order["pictures"]), order["files"], order["modules"])
    Path(answers_file).write_text(json.dumps(found), encoding="utf-8")


@torch.no_grad()
def answers(
    folder: Path, squares: np.ndarray, files: Sequence[str], modules: Sequence[str]
) -> dict[str, list[list[float]] | str]:
    """What each file says: outputs for the batch, then for its first picture alone; or what was raised.

    Args:
        squares: float32 (B, 3, S, S) in [0, 1].
        modules: Those that register the network.
    """
    said: dict[str, list[list[float]] | str] = {}
    for file in files:
        try:
            ask = LOADERS[file](folder, modules)
            said[file] = np.concatenate([ask(squares), ask(squares[:1])]).tolist()
        except Exception as fault:  # libraries raise nearly everything on damaged files
            said[file] = f"{type(fault).__name__}: {fault}"
    return said


def torch_program(folder: Path, modules: Sequence[str]) -> Ask:
    """`model.pt2`, by torch alone."""
    program = torch.export.load(folder / "model.pt2").module()
    return lambda squares: _array(program(torch.from_numpy(squares)))


def onnx_program(folder: Path, modules: Sequence[str]) -> Ask:
    """`model.onnx`, by onnxruntime alone."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())

    def ask(squares: np.ndarray) -> np.ndarray:
        (found,) = session.run(None, {name: squares})
        return np.asarray(found)

    return ask


def timm_network(folder: Path, modules: Sequence[str]) -> Ask:
    """`config.json` and `model.safetensors`, by timm: outputs of the network for normalised squares."""
    import trainables.torch_setup  # noqa: F401  (before timm imports torchvision)

    for module in modules:
        importlib.import_module(module)
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return lambda squares: _array(model((torch.from_numpy(squares) - mean) / std))


LOADERS: dict[str, Callable[[Path, Sequence[str]], Ask]] = {
    "model.pt2": torch_program,
    "model.onnx": onnx_program,
    "model.safetensors": timm_network,
}


def _array(outputs: torch.Tensor) -> np.ndarray:
    return outputs.numpy()


if __name__ == "__main__":
    main(*sys.argv[1:])
