"""Scores of a trained network on labelled pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from spaces.recipe import Recipe
from trainables.feed import Feed, Pictures
from trainables.metrics import Tally
from trainables.models.create import class_logits, normalization
from trainables.runtime import Runtime


@torch.no_grad()
def evaluate(
    model: nn.Module, recipe: Recipe, pictures: Pictures, *, runtime: Runtime | None = None
) -> dict[str, Any]:
    """The `test` section of `metrics.json`; see `scores`. The network comes back on the CPU."""
    runtime = runtime or Runtime()
    device = runtime.resolved_device()
    feed = Feed(pictures, recipe, runtime, *normalization(model))
    tally = Tally(len(pictures.classes), device)
    model = model.to(device).eval()
    for images, targets in feed.evaluation():
        with runtime.autocast():
            outputs = model(images)
        tally.add(class_logits(outputs), targets)
    model.cpu()
    return scores(tally, pictures.classes)


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
