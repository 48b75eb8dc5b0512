"""How good a classifier's answers are, beyond its accuracy: as plain values, for `metrics.json`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from trainables.metrics import Tally

TOP_K = (1, 3, 5)
BINS = 15


def quality(
    labels: np.ndarray,
    log_probabilities: np.ndarray,
    classes: list[str],
    *,
    unknown_below: float | None = None,
) -> dict[str, Any]:
    """The `test` section of `metrics.json`; `results/README.md` says what is in it.

    Args:
        labels: int64 (N,): places in `classes`.
        log_probabilities: (N, C), calibrated where the classifier is.
        unknown_below: A picture whose best class is less probable than this is called unknown. All the same
            it counts as an answer, right or wrong, in everything but `called_unknown`.
    """
    tally = Tally(len(classes), torch.device("cpu"))
    tally.add(torch.from_numpy(log_probabilities), torch.from_numpy(labels))
    confusion = tally.confusion.numpy()
    best = log_probabilities.argmax(axis=1)
    confidence = np.exp(log_probabilities.max(axis=1))
    bins = reliability(confidence, best == labels)
    return {
        "accuracy": tally.accuracy,
        "macro_f1": tally.macro_f1,
        "log_loss": float(-log_probabilities[np.arange(len(labels)), labels].mean(dtype=np.float64)),
        "n": len(labels),
        "confusion_matrix": confusion.tolist(),
        "classes": classes,
        "top_k": {str(k): top_k(labels, log_probabilities, k) for k in TOP_K if k < len(classes)},
        "per_class": per_class(confusion, classes),
        "ece": calibration_error(bins),
        "reliability": bins,
        "called_unknown": None if unknown_below is None else int((confidence < unknown_below).sum()),
    }


def top_k(labels: np.ndarray, log_probabilities: np.ndarray, k: int) -> float:
    """Share of pictures whose class is among the k most probable ones."""
    best = np.argsort(-log_probabilities, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def per_class(confusion: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support (pictures) of each class, in order.

    None is what is not defined: the precision of a class that was never answered, the recall of one that has
    no pictures, the F1 of one that is neither.

    Args:
        confusion: int64 (C, C), true classes in rows.
    """
    hits, support, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        {
            "class": name,
            "precision": _ratio(hits[place], answered[place]),
            "recall": _ratio(hits[place], support[place]),
            "f1": _ratio(2 * hits[place], support[place] + answered[place]),
            "support": int(support[place]),
        }
        for place, name in enumerate(classes)
    ]


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def reliability(confidence: np.ndarray, hit: np.ndarray) -> list[dict[str, Any]]:
    """Bins of pictures by how sure the classifier is: mean `confidence`, `accuracy` and `count` of each.

    At most 15 bins of equally many pictures, not of equal width: most networks are sure of most pictures, so
    that of bins of equal width the last has nearly all of them, and the others are noise (Nixon et al. 2019,
    Measuring Calibration in Deep Learning). Equal confidences are in one bin.

    Args:
        confidence: Probability of the best class, (N,).
        hit: Whether it is the right one, bool (N,).
    """
    edges = np.quantile(confidence, np.linspace(0, 1, BINS + 1)[1:-1])
    place = np.searchsorted(edges, confidence)
    return [
        {
            "confidence": float(confidence[place == there].mean()),
            "accuracy": float(hit[place == there].mean()),
            "count": int((place == there).sum()),
        }
        for there in np.unique(place)
    ]


def calibration_error(bins: list[dict[str, Any]]) -> float:
    """Expected calibration error of such bins: how far confidence is from accuracy, in the mean over pictures
    (Guo et al. 2017, On Calibration of Modern Neural Networks).
    """
    count = sum(entry["count"] for entry in bins)
    return sum(entry["count"] * abs(entry["accuracy"] - entry["confidence"]) for entry in bins) / count
