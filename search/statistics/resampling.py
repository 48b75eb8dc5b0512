"""Scores of predictions, over all pictures and over resampled ones (the bootstrap: Efron 1979)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from search.trials.trials import Metric

REPLICATES = 1_000
"""How often the pictures are drawn anew: gives a standard error to 2%."""
BLOCK = 10_000_000
"""Cells of a block of replicates, to bound memory."""


def summands(metric: Metric, labels: np.ndarray, log_probs: np.ndarray) -> np.ndarray:
    """What a score needs of each picture, so that it adds up over pictures; see `score`.

    Args:
        metric: One of `search.trials.trials.METRICS`.
        labels: int (N,).
        log_probs: float (N, C), natural logarithms.

    Returns:
        float (N, K, 2). For macro-F1, K classes: twice the hits, and how often the class is the truth or is
        predicted. Else K is 1: the hit or the loss in nats, and one.
    """
    rows, predicted = np.arange(len(labels)), log_probs.argmax(axis=1)
    if metric.name == "val_macro_f1":
        found = np.zeros((*log_probs.shape, 2), np.float32)
        found[rows, labels, 1] = 1
        found[rows, predicted, 1] += 1
        found[rows, labels, 0] = 2 * (predicted == labels)
        return found
    values = {"val_accuracy": predicted == labels, "val_loss": -log_probs[rows, labels]}[metric.name]
    return np.stack([values, np.ones(len(labels))], axis=1)[:, None].astype(np.float32)


def score(sums: np.ndarray) -> np.ndarray:
    """Scores of added-up summands, (..., K, 2): the mean ratio of the two, over the classes that occur.

    So macro-F1 is that of `trainables.metrics`, and so are accuracy and log loss.
    """
    above, below = sums[..., 0], sums[..., 1]
    occurs = below > 0
    ratios = np.divide(above, below, out=np.zeros_like(above), where=occurs)
    found: np.ndarray = ratios.sum(axis=-1) / occurs.sum(axis=-1)
    return found


def score_of(summands: np.ndarray) -> float:
    """The score on all pictures, of what `summands` gives."""
    return float(score(summands.sum(axis=0, dtype=np.float64)))


def units(labels: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """The unit of each picture, int64 (N,) from 0 on: what was sampled as a whole. A picture, or a group."""
    if groups is None:
        return np.arange(len(labels))
    found: np.ndarray = np.unique(groups, return_inverse=True)[1]
    return found


def covariance(runs: Sequence[np.ndarray], units: np.ndarray) -> np.ndarray:
    """Of the scores of R runs on the same pictures, over the population that the pictures are a sample of.

    Whole units are resampled. What the bootstrap's variance lacks with few units is made up for.

    Args:
        runs: The summands of each, (N, K, 2).
        units: int64 (N,), at least two different ones.

    Returns:
        float64 (R, R); the same for the same units.
    """
    count = int(units.max()) + 1
    by_unit = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[by_unit], prepend=-1))
    sums = np.stack([np.add.reduceat(run[by_unit], starts) for run in runs], axis=1)
    rows = max(1, min(REPLICATES, BLOCK // count))
    scores = []
    for first in range(0, REPLICATES, rows):
        weights = _drawn(count, min(rows, REPLICATES - first), first)
        scores.append(score(np.tensordot(weights, sums, axes=1)))
    found = np.cov(np.concatenate(scores), rowvar=False) * count / (count - 1)
    return np.atleast_2d(found)


@lru_cache(maxsize=1)
def _drawn(count: int, replicates: int, seed: int) -> np.ndarray:
    """How often each unit is drawn: float32 (replicates, count); each row sums up to `count`."""
    drawn = np.random.default_rng(seed).integers(count, size=(replicates, count), dtype=np.int32)
    cells = drawn + count * np.arange(replicates)[:, None]
    counts = np.bincount(cells.ravel(), minlength=replicates * count)
    return counts.reshape(replicates, count).astype(np.float32)
