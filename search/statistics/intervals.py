"""95% intervals of scores: what is known of the population from a sample of its pictures."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

from search.statistics import resampling
from search.trials.trials import METRICS, Metric

TAIL = 0.025
"""On each side of an interval."""
Interval = tuple[float, float]


def wilson(hits: int, of: int) -> Interval:
    """The 95% interval of a share of which a sample of `of` has `hits` (Wilson, JASA 1927)."""
    return _wilson(hits / of, _normal() ** 2 / of)


def of_model(
    metric: Metric, labels: np.ndarray, log_probs: np.ndarray, groups: np.ndarray | None = None
) -> Interval | None:
    """The 95% interval of what one trained model scores on the population of pictures.

    For accuracy it is Wilson's, unless pictures are in groups: then whole groups are resampled, and Wilson's
    interval is that of as many pictures as would be known as well (Korn and Graubard, Survey Methodology
    1998). For macro-F1 and log loss pictures, or groups, are resampled; see `around`. None where all are of
    one group, which tells nothing of others.

    Args:
        metric: One of `search.trials.trials.METRICS`.
        labels: int (N,).
        log_probs: float (N, C), natural logarithms.
        groups: int (N,): pictures of one scene have the same.
    """
    units = resampling.units(labels, groups)
    summands = resampling.summands(metric, labels, log_probs)
    if metric.name == "val_accuracy" and units.max() + 1 == len(labels):
        return wilson(int(summands[:, 0, 0].sum()), len(labels))
    if units.max() == 0:
        return None
    sd = math.sqrt(resampling.covariance([summands], units).item())
    mean = resampling.score_of(summands)
    return around(metric, mean, student(int(units.max())) * sd, independent(metric, labels, units))


def of_test(
    labels: np.ndarray, log_probs: np.ndarray, groups: np.ndarray | None = None
) -> dict[str, Interval | None]:
    """What `metrics.json` has of intervals beside a model's scores: see `of_model`."""
    names = {"accuracy_95": "val_accuracy", "macro_f1_95": "val_macro_f1"}
    return {name: of_model(METRICS[metric], labels, log_probs, groups) for name, metric in names.items()}


def around(metric: Metric, mean: float, half: float, size: float) -> Interval:
    """The 95% interval around a mean score that symmetry would put at `mean` +- `half`.

    Near an end of its range a score varies less, so its interval is a score interval: it holds the values
    whose own standard error would reach to `mean`. For accuracy and macro-F1, from 0 to 1, the variance is
    taken to go with m (1 - m), which makes it Wilson's, of a sample that gives the same `half`; for a log
    loss, which has no upper end, with m. Where nothing or everything was right no spread can be seen, so the
    sample is taken to be of `size`.
    """
    if metric.name == "val_loss":
        if mean == 0:
            return 0.0, half
        spread = half**2 / mean
        reach = math.sqrt(spread * mean + spread**2 / 4)
        return max(0.0, mean + spread / 2 - reach), mean + spread / 2 + reach
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
    return float(stdtrit(freedom, 1 - tail))


def _wilson(mean: float, spread: float) -> Interval:
    """Of a share; `spread` is the squared normal quantile over the size of the sample."""
    middle = (mean + spread / 2) / (1 + spread)
    half = math.sqrt(spread * mean * (1 - mean) + spread**2 / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def _normal() -> float:
    return NormalDist().inv_cdf(1 - TAIL)
