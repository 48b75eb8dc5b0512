"""Makes `import torchvision` work beside a CPU build of torch. Import this before timm or torchvision.

A torchvision wheel built for CUDA cannot load its compiled operators into a CPU torch, and then fails at
import because two of them have no declaration. Declaring the two is enough: transforms and models work;
only detection operators and torchvision's own JPEG decoder, which nothing here uses, stay missing.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_OPERATORS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def _compiled_operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # nothing to mend; importing torchvision gives the ordinary error
    for library in Path(spec.origin).parent.glob("_C.*"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            return False
        return True
    return False


if not _compiled_operators_load():
    _library = torch.library.Library("torchvision", "DEF")  # lives as long as this module
    for _name, _schema in _OPERATORS.items():
        _library.define(_name + _schema)
