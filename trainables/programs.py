"""A network as programs that need nothing of ours: torch's own (`torch.export`), and ONNX.

Both take squares in [0, 1], float32 (B, 3, S, S) for any B, and put out probabilities, float32 (B, C):
normalisation, temperature and softmax are in them.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from trainables.models.create import class_logits

PROGRAM_FILE = "model.pt2"
ONNX_FILE = "model.onnx"
INPUT, OUTPUT = "squares", "probabilities"
"""What ONNX calls them."""


class _Program(nn.Module):
    """Squares in [0, 1], (B, 3, S, S), to probabilities (B, C)."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: list[float], std: list[float], temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, squares: Tensor) -> Tensor:
        logits = class_logits(self.model((squares - self.mean) / self.std))
        return (logits / self.temperature).softmax(dim=1)


def write_programs(
    model: nn.Module,
    folder: Path,
    *,
    mean: list[float],
    std: list[float],
    temperature: float,
    size_px: int,
    onnx: bool,
) -> None:
    """Writes `model.pt2`, and `model.onnx` where asked for, which needs the `onnx` extra.

    ONNX keeps weights of more than 2 GB in a file of their own beside it, `model.onnx.data`.

    Args:
        model: On the CPU, in evaluation mode: normalised squares to outputs, of which `class_logits` makes
            logits.
    """
    with warnings.catch_warnings():  # of torch and networks: that the result is right is checked afterwards
        warnings.simplefilter("ignore")
        program = torch.export.export(
            _Program(model, mean, std, temperature).eval(),
            (torch.zeros(2, 3, size_px, size_px),),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        for module in program.graph_module.modules():
            for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
                node.meta.pop("stack_trace", None)  # lines of code, with the paths of this machine
        torch.export.save(program, folder / PROGRAM_FILE)
        if onnx:
            translated = torch.onnx.export(
                program, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False
            )
            assert translated is not None
            translated.save(folder / ONNX_FILE)
