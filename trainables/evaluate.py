"""What a trained network says about pictures, and how good that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spaces.recipe import Recipe
from trainables.feed import Feed, Pictures
from trainables.metrics import Tally
from trainables.models.create import class_logits, normalization
from trainables.portions import Portions
from trainables.quality import quality
from trainables.runtime import Runtime


def evaluate(
    model: nn.Module, recipe: Recipe, pictures: Pictures, *, runtime: Runtime | None = None
) -> dict[str, Any]:
    """How good a network's answers are; see `quality`. The network comes back on the CPU."""
    said = log_probabilities(model, recipe, pictures, runtime=runtime)
    return quality(pictures.labels, said, pictures.classes)


def log_probabilities(
    model: nn.Module, recipe: Recipe, pictures: Pictures, *, runtime: Runtime | None = None
) -> np.ndarray:
    """What a network holds each class of each picture to be: natural logarithms, float32 (N, C).

    As logarithms they do not underflow, and a temperature can divide them. The network comes back on the CPU.
    """
    return all_logits(model, recipe, pictures, runtime=runtime).log_softmax(dim=1).numpy()


def all_logits(
    model: nn.Module, recipe: Recipe, pictures: Pictures, *, runtime: Runtime | None = None
) -> Tensor:
    """What a network puts out for each picture, float32 (N, C). Both come back on the CPU."""
    runtime = runtime or Runtime()
    feed = Feed(pictures, recipe, runtime, *normalization(model))
    outputs = _outputs(model.to(runtime.resolved_device()), feed, runtime, Portions())
    found = torch.cat([logits.float().cpu() for _, logits in outputs])
    model.cpu()
    return found


def evaluated(
    model: nn.Module, feed: Feed, runtime: Runtime, num_classes: int, portions: Portions | None = None
) -> Tally:
    """What a network says about this worker's share of a part, against the labels; it is in evaluation mode
    afterwards.

    Args:
        portions: How many pictures the device took at once so far.
    """
    tally = Tally(num_classes, runtime.resolved_device())
    for rows, logits in _outputs(model, feed, runtime, portions or Portions()):
        tally.add(logits, feed.labels(rows))
    return tally


@torch.no_grad()
def _outputs(
    model: nn.Module, feed: Feed, runtime: Runtime, portions: Portions
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Rows, int64 (B,), with their logits, (B, C) on the device."""
    model.eval()
    for rows in feed.in_order():

        def logits(parts: list[slice], rows: np.ndarray = rows) -> Tensor:
            with runtime.autocast():
                return torch.cat([class_logits(model(feed.unchanged(rows[part]))) for part in parts])

        yield rows, portions.fitted(len(rows), logits)
