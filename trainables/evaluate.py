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
from trainables.runtime import Runtime


def evaluate(
    model: nn.Module, recipe: Recipe, pictures: Pictures, *, runtime: Runtime | None = None
) -> dict[str, Any]:
    """The `test` section of `metrics.json`; see `scores`. The network comes back on the CPU."""
    runtime = runtime or Runtime()
    device = runtime.resolved_device()
    feed = Feed(pictures, recipe, runtime, *normalization(model))
    tally = evaluated(model.to(device), feed, runtime, len(pictures.classes))
    model.cpu()
    return scores(tally, pictures.classes)


def log_probabilities(
    model: nn.Module, recipe: Recipe, pictures: Pictures, *, runtime: Runtime | None = None
) -> np.ndarray:
    """What a network holds each class of each picture to be: natural logarithms, float32 (N, C).

    As logarithms they do not underflow, and a temperature can divide them. The network comes back on the CPU.
    """
    runtime = runtime or Runtime()
    feed = Feed(pictures, recipe, runtime, *normalization(model))
    found = [
        logits.float().log_softmax(dim=1).cpu()
        for _, logits in _outputs(model.to(runtime.resolved_device()), feed, runtime, Portions())
    ]
    model.cpu()
    return torch.cat(found).numpy()


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


def scores(tally: Tally, classes: list[str]) -> dict[str, Any]:
    """A tally as plain values.

    `accuracy`, `macro_f1` (over classes that occur), `log_loss` (nats), `n` pictures, `confusion_matrix`
    (rows are true classes, columns predicted ones), `classes` in the order of rows and columns.
    """
    return {
        "accuracy": tally.accuracy,
        "macro_f1": tally.macro_f1,
        "log_loss": tally.loss,
        "n": int(tally.confusion.sum()),
        "confusion_matrix": tally.confusion.tolist(),
        "classes": classes,
    }
