"""What is done about uneven classes: which pictures a pass serves, how much each class counts."""

from __future__ import annotations

import numpy as np


def pass_order(labels: np.ndarray, balance: str, rng: np.random.Generator) -> np.ndarray:
    """The rows of one pass over N pictures, in the order in which they are served.

    Args:
        labels: int64 (N,).
        balance: Of the recipe's loss. With `sampling` every class that occurs is served equally often, to
            within one; a class's pictures all come up before one of them comes up again. Otherwise every
            picture is served once.

    Returns:
        int64 (N,).
    """
    count = len(labels)
    if balance != "sampling":
        return rng.permutation(count)
    classes = rng.permutation(np.unique(labels))  # the remainder goes to random classes
    shares = count // len(classes) + (np.arange(len(classes)) < count % len(classes))
    served = [
        np.resize(rng.permutation(np.flatnonzero(labels == kind)), share)
        for kind, share in zip(classes, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(served))


def class_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Weights in inverse proportion to the classes' sizes, whose mean over the pictures is 1.

    With that mean the learning rate means the same as without weights (scikit-learn's `balanced` weights).
    A class without pictures has weight 0: there is nothing to weigh.

    Returns:
        float64 (num_classes,).
    """
    counts = np.bincount(labels, minlength=num_classes)
    occurring = counts > 0
    return np.where(occurring, len(labels) / (occurring.sum() * np.maximum(counts, 1)), 0.0)


def log_prior(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Logarithm of each class's share of the pictures, for logit adjustment (Menon et al. 2021).

    A class without pictures counts as if it had one, so that the values are finite.

    Returns:
        float64 (num_classes,), in nats.
    """
    counts = np.bincount(labels, minlength=num_classes)
    return np.log(np.maximum(counts, 1) / len(labels))
