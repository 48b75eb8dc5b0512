"""What an exported classifier says about picture files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.data import DataError, decode, on_canvases
from trainables.data.cache import short_side_px
from trainables.export import Classifier
from trainables.geometry import to_square
from trainables.models.create import class_logits
from trainables.runtime import Runtime

BATCH = 64


def probabilities(
    classifier: Classifier, files: Sequence[Path], *, runtime: Runtime | None = None
) -> Iterator[tuple[Path, np.ndarray | DataError]]:
    """Each file with its class probabilities, calibrated where the classifier is, float32 (C,), or with the
    reason why it cannot be read.

    Files are read and prepared exactly as for training, and answered in order.
    """
    runtime = runtime or Runtime()
    device = runtime.resolved_device()
    model = classifier.model.to(device)
    mean = torch.tensor(classifier.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(classifier.std, device=device).view(1, 3, 1, 1)
    for start in range(0, len(files), BATCH):
        chunk = files[start : start + BATCH]
        pictures = [_read(file, classifier.geometry.size_px) for file in chunk]
        good = [picture for picture in pictures if isinstance(picture, np.ndarray)]
        answers = iter(())
        if good:
            with torch.no_grad(), runtime.autocast():
                outputs: Tensor = model((_squares(good, classifier).to(device) - mean) / std)
            logits = class_logits(outputs.float()) / classifier.calibration.temperature
            answers = iter(logits.softmax(dim=1).cpu().numpy())
        for file, picture in zip(chunk, pictures, strict=True):
            yield file, (next(answers) if isinstance(picture, np.ndarray) else picture)


def squares_of(files: Sequence[Path], classifier: Classifier) -> Tensor:
    """What the classifier gets of picture files, before it is normalised: float32 (B, 3, S, S) in [0, 1].

    Raises:
        DataError: One cannot be read.
    """
    side_px = short_side_px(classifier.geometry.size_px)
    return _squares([decode(file, short_side_px=side_px) for file in files], classifier)


def _read(file: Path, size_px: int) -> np.ndarray | DataError:
    try:
        return decode(file, short_side_px=short_side_px(size_px))
    except DataError as fault:
        return fault


def _squares(pictures: list[np.ndarray], classifier: Classifier) -> Tensor:
    canvases, extents = on_canvases(pictures)
    return to_square(
        torch.from_numpy(canvases),
        torch.from_numpy(extents),
        size_px=classifier.geometry.size_px,
        fit=classifier.geometry.fit,
    )
