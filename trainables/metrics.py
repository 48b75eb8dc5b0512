"""Scores of a classifier from sums that can be added over batches and over workers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F


class Tally:
    """Loss and hits of a pass, kept on the device: nothing waits for it until it is read.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self.num_classes = num_classes
        # float64 keeps sums exact over large sets; MPS has no float64.
        self._loss = torch.zeros((), dtype=_sum_dtype(device), device=device)
        self._confusion = torch.zeros(num_classes * num_classes, dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Takes in a batch: logits (B, C), targets int64 (B,). The loss is plain cross-entropy, in nats."""
        self._loss += F.cross_entropy(logits.float(), targets, reduction="sum")
        cells = targets * self.num_classes + logits.argmax(dim=1)
        # Not bincount, which waits for the device to learn the largest value.
        self._confusion.index_add_(0, cells, torch.ones_like(cells))

    def reduce(self) -> None:
        """Adds up the tallies of all workers of a distributed training."""
        torch.distributed.all_reduce(self._loss)
        torch.distributed.all_reduce(self._confusion)

    @property
    def confusion(self) -> Tensor:
        """int64 (C, C) on the CPU: rows are true classes, columns the predicted ones."""
        return self._confusion.view(self.num_classes, self.num_classes).cpu()

    @property
    def loss(self) -> float:
        """Mean cross-entropy, in nats; NaN for an empty pass."""
        count = int(self._confusion.sum())
        return float(self._loss) / count if count else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of hits."""
        return accuracy(self.confusion)

    @property
    def macro_f1(self) -> float:
        """See `macro_f1`."""
        return macro_f1(self.confusion)


def _sum_dtype(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def diverged(metrics: Mapping[str, float]) -> bool:
    """Whether a loss that an epoch reported is not a finite number; `val_loss` may be missing."""
    return not math.isfinite(metrics["train_loss"] + metrics.get("val_loss", 0.0))


def accuracy(confusion: Tensor) -> float:
    """Share of hits; `confusion` int64 (C, C), true classes in rows. NaN when it is empty."""
    total = confusion.sum().item()
    return confusion.diagonal().sum().item() / total if total else float("nan")


def macro_f1(confusion: Tensor) -> float:
    """Unweighted mean of the classes' F1 scores, over the classes that occur as truth or prediction."""
    hits = confusion.diagonal().double()
    seen = (confusion.sum(0) + confusion.sum(1)).double()
    occurs = seen > 0
    return (2 * hits[occurs] / seen[occurs]).mean().item()
