"""How far a search is from the best, and how sure one can be of a difference between two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.quality.interface import Objective
from benchmarks.quality.random_params import random_params

RANDOM = 1_000
"""Random configurations that an objective is measured by."""
RESAMPLES = 2_000


@dataclass(frozen=True)
class Yardstick:
    """What an objective's scores mean, from random configurations trained to the end without noise."""

    typical: float
    """Their median; a training that diverges counts as the worst that did not."""
    best: float
    full_s: float
    """Mean seconds of a whole training; one that diverges ends there."""


def yardstick(objective: Objective, *, seed: int = 0) -> Yardstick:
    """Measures an objective."""
    rng = np.random.default_rng(seed)
    scores, seconds = trained(objective, (random_params(objective.space, rng) for _ in range(RANDOM)))
    scores[~np.isfinite(scores)] = np.nanmin(scores)
    return Yardstick(float(np.median(scores)), float(scores.max()), float(seconds.mean()))


def trained(
    objective: Objective, configurations: Iterable[Mapping[str, Any]]
) -> tuple[np.ndarray, np.ndarray]:
    """What whole trainings come to without noise, NaN where they diverge, and their seconds until then.

    Args:
        configurations: N, as `Job.params`.

    Returns:
        float (N,) and float (N,).
    """
    scores, seconds = [], []
    for number, params in enumerate(configurations):
        _, noiseless, epoch_s = objective.evaluate(objective.space.drawn(params), number)
        scores.append(noiseless[-1])
        seconds.append(epoch_s * min(len(noiseless), 1 + int(np.isfinite(noiseless).sum())))
    return np.array(scores), np.array(seconds)


def regret(incumbent: np.ndarray, typical: float, best: float) -> np.ndarray:
    """Normalised regret: 0 is the best that is known, 1 a typical random configuration, or none yet.

    Args:
        incumbent: float (...): noiseless scores, NaN where there is none.
    """
    lost = (best - incumbent) / (best - typical)
    return np.where(np.isfinite(lost), np.minimum(lost, 1.0), 1.0)


def interval(values: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """A 95% interval of the mean over runs, by bootstrap (percentiles; Efron & Tibshirani 1993).

    Args:
        values: float (R,), one a run; for a paired comparison their differences.
    """
    rows = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[rows].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def speed_up(ours: np.ndarray, peer: np.ndarray, *, seed: int = 0) -> tuple[float, float, float]:
    """The share of the time in which our mean regret has come down to the peer's at the end.

    Args:
        ours: float (R, T): regrets by run and time; the times are evenly spread from 0 to the end.
        peer: float (R, T): of the same runs.

    Returns:
        The share, infinite where that never happens, and its 95% bootstrap interval over runs.
    """

    def share(rows: np.ndarray) -> float:
        reached = np.flatnonzero(ours[rows].mean(axis=0) <= peer[rows, -1].mean())
        return float((reached[0] + 1) / ours.shape[1]) if len(reached) else np.inf

    rng = np.random.default_rng(seed)
    shares = [share(rng.integers(len(ours), size=len(ours))) for _ in range(RESAMPLES)]
    # `lower` and `higher` do not interpolate, which infinity does not bear.
    low = float(np.percentile(shares, 2.5, method="lower"))
    high = float(np.percentile(shares, 97.5, method="higher"))
    return share(np.arange(len(ours))), low, high
