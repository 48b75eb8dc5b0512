"""Scores of a trained network on labelled pictures."""

from __future__ import annotations

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


@torch.no_grad()
def evaluated(
    model: nn.Module, feed: Feed, runtime: Runtime, num_classes: int, portions: Portions | None = None
) -> Tally:
    """What a network says about this worker's share of a part; it is in evaluation mode afterwards.

    Args:
        portions: How many pictures the device took at once so far.
    """
    model.eval()
    tally, portions = Tally(num_classes, runtime.resolved_device()), portions or Portions()
    for rows in feed.in_order():

        def logits(parts: list[slice], rows: np.ndarray = rows) -> Tensor:
            with runtime.autocast():
                return torch.cat([class_logits(model(feed.unchanged(rows[part]))) for part in parts])

        tally.add(portions.fitted(len(rows), logits), feed.labels(rows))
    return tally


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
