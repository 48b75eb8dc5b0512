"""Log-probabilities that no network gave, of known or of random quality."""

from __future__ import annotations

import numpy as np


def drawn(count: int, classes: int, seed: int, ability: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Labels int (N,) and the log-probabilities of one run, float32 (N, C)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    return labels, runs(labels, classes, seed, ability)[0]


def runs(
    labels: np.ndarray, classes: int, seed: int, ability: float = 1.5, seeds: int = 1, alike: float = 0.5
) -> list[np.ndarray]:
    """Of several seeds: log-probabilities float32 (N, C), of which they share a part."""
    rng = np.random.default_rng((7, seed))
    shape = (len(labels), classes)
    shared = rng.normal(size=shape) * alike**0.5
    found = []
    for _ in range(seeds):
        logits = shared + rng.normal(size=shape) * (1 - alike) ** 0.5
        logits[np.arange(len(labels)), labels] += ability
        found.append(normalized(logits))
    return found


def certain(predicted: np.ndarray, classes: int, confidence: float = 0.9) -> np.ndarray:
    """A run that predicts these classes, float32 (N, C)."""
    probabilities = np.full((len(predicted), classes), (1 - confidence) / (classes - 1))
    probabilities[np.arange(len(predicted)), predicted] = confidence
    return np.log(probabilities).astype(np.float32)


def normalized(logits: np.ndarray) -> np.ndarray:
    """Their log-softmax, float32."""
    found: np.ndarray = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return found.astype(np.float32)
