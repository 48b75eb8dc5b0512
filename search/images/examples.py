"""Which pictures of a part show best what a network gets right, and what wrong."""

from __future__ import annotations

import numpy as np


def worst_mistakes(log_probabilities: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """The pictures that it was surest of, and wrong: rows int64 (at most `most`,), the worst first.

    Args:
        log_probabilities: float32 (N, C).
        labels: int64 (N,).
    """
    predicted = log_probabilities.argmax(axis=1)
    (wrong,) = np.nonzero(predicted != labels)
    return wrong[np.argsort(-log_probabilities.max(axis=1)[wrong], kind="stable")][:most]


def typical_hits(log_probabilities: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """A right picture for each class, the one that it was of middling sureness of: rows int64, by class.

    Args:
        log_probabilities, labels: See `worst_mistakes`.
        most: Where more classes have a right picture, those with the most pictures are taken.
    """
    sureness, predicted = log_probabilities.max(axis=1), log_probabilities.argmax(axis=1)
    hits: dict[int, int] = {}
    for label in np.unique(labels[predicted == labels]):
        (right,) = np.nonzero((predicted == label) & (labels == label))
        hits[int(label)] = int(right[np.argsort(sureness[right], kind="stable")][len(right) // 2])
    sizes = np.bincount(labels)
    kept = sorted(sorted(hits, key=lambda label: (-sizes[label], label))[:most])
    return np.array([hits[label] for label in kept], dtype=np.int64)
