"""95% intervals of scores: what is known of the population from a sample of its pictures."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from search import resampling
from search.trials import Metric

TAIL = 0.025
"""On each side of an interval."""
Interval = tuple[float, float]


def wilson(hits: int, of: int) -> Interval:
    """The 95% interval of a share of which a sample of `of` has `hits` (Wilson, JASA 1927)."""
    return _wilson(hits / of, _normal() ** 2 / of)


def of_model(
    metric: Metric, labels: np.ndarray, log_probs: np.ndarray, groups: np.ndarray | None = None
) -> Interval:
    """The 95% interval of what one trained model scores on the population of pictures.

    For accuracy it is Wilson's, unless pictures are in groups: then whole groups are resampled, and Wilson's
    interval is that of as many pictures as would be known as well (Korn and Graubard, Survey Methodology
    1998). For macro-F1 and log loss pictures, or groups, are resampled; see `around`.

    Args:
        metric: One of `search.trials.METRICS`.
        labels: int (N,).
        log_probs: float (N, C), natural logarithms.
        groups: int (N,): pictures of one scene have the same.
    """
    units = resampling.units(labels, groups)
    summands = resampling.summands(metric, labels, log_probs)
    if metric.name == "val_accuracy" and units.max() + 1 == len(labels):
        return wilson(int(summands[:, 0, 0].sum()), len(labels))
    sd = math.sqrt(resampling.covariance([summands], units).item())
    mean = float(resampling.score(summands.sum(axis=0, dtype=np.float64)))
    return around(metric, mean, student(int(units.max())) * sd, independent(metric, labels, units))


def around(metric: Metric, mean: float, half: float, size: float) -> Interval:
    """The 95% interval around a mean score that symmetry would put at `mean` +- `half`.

    A log loss is over 0 and its errors grow with it, so its interval is symmetric in its logarithm. Accuracy
    and macro-F1 are between 0 and 1, so theirs is Wilson's: of a share that a sample of such a size gives
    which has the same `half`. So it stays between 0 and 1, and where nothing or everything was right, where
    no spread can be seen, the sample has `size`.
    """
    if metric.name == "val_loss":
        return (mean * math.exp(-half / mean), mean * math.exp(half / mean)) if mean > 0 else (0.0, 0.0)
    binomial = mean * (1 - mean)
    return _wilson(mean, half**2 / binomial if binomial > 0 else _normal() ** 2 / size)


def independent(metric: Metric, labels: np.ndarray, units: np.ndarray) -> float:
    """How many pictures a score is known by: units; for macro-F1, to which rare classes count as much as
    frequent ones, as many as would, evenly divided, give the mean of the classes' recalls as well."""
    if metric.name != "val_macro_f1":
        return float(units.max() + 1)
    in_class = np.unique(np.unique(np.stack([labels, units]), axis=1)[0], return_counts=True)[1]
    return float(len(in_class) ** 2 / (1 / in_class).sum())


def student(freedom: int, tail: float = TAIL) -> float:
    """How many standard errors an interval reaches, whose error is known by so many degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - tail))


def _wilson(mean: float, spread: float) -> Interval:
    """Wilson's interval of a share; `spread` is the squared normal quantile over the size of the sample."""
    middle = (mean + spread / 2) / (1 + spread)
    half = math.sqrt(spread * mean * (1 - mean) + spread**2 / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def _normal() -> float:
    return NormalDist().inv_cdf(1 - TAIL)
