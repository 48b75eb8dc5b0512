"""Whether the mean of several contenders' probabilities is better than the winner alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.rematch.noise import split_up
from search.statistics import resampling
from search.statistics.intervals import Interval, independent
from search.trials.trials import METRICS, Metric


@dataclass(frozen=True)
class Gain:
    """What an ensemble comes to on the selection part, and the winner alone: means over runs."""

    metric: str
    together: dict[str, float]
    """Of the ensemble, by metric."""
    alone: dict[str, float]
    """Of the winner, in the same runs."""
    gain: float
    """By how much the ensemble is better in the metric: below 0 where it is worse."""
    gain_95: Interval | None
    """95%, over seeds and pictures; None with a single run, or where all pictures are of one group."""
    runs: int
    pictures: int


def averaged(members: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """What ensembles say: one of the first run of every member, one of the second, and so on.

    They share no seed, as two ensembles that are trained anew share none.

    Args:
        members: Of each its runs' log-probabilities of the same pictures, (N, C) each.

    Returns:
        The logarithms of the mean probabilities, float64 (N, C): as many as the member with the fewest runs
        has.
    """
    return [
        np.logaddexp.reduce([run.astype(np.float64) for run in runs]) - np.log(len(runs))
        for runs in zip(*members, strict=False)
    ]


def gain(
    metric: Metric,
    members: Sequence[Sequence[np.ndarray]],
    labels: np.ndarray,
    groups: np.ndarray | None = None,
) -> Gain:
    """Compares ensembles of contenders with the first contender, the winner, on the same pictures.

    Every ensemble is compared with the winner's run that is in it. The interval is that of the mean
    difference over all seeds and all pictures, from the spread of these differences and the bootstrap over
    pictures, or whole groups; see `search.rematch.noise`.

    Args:
        metric: One of `search.trials.trials.METRICS`.
        members: See `averaged`.
        labels: int (N,).
        groups: int (N,): pictures of one scene have the same.
    """
    together = averaged(members)
    runs = len(together)
    units = resampling.units(labels, groups)

    def summands(of: Metric) -> list[np.ndarray]:
        return [resampling.summands(of, labels, said) for said in (*together, *members[0][:runs])]

    def scores(of: Metric) -> np.ndarray:
        return np.array([resampling.score_of(found) for found in summands(of)])

    known = {name: scores(of) for name, of in METRICS.items()}
    sign = metric.gain(1.0)
    contrast = sign * np.hstack([np.eye(runs), -np.eye(runs)])
    differences = contrast @ known[metric.name]
    mean, interval = float(differences.mean()), None
    if runs > 1 and units.max() > 0:
        of_differences = contrast @ resampling.covariance(summands(metric), units) @ contrast.T
        half = split_up(differences, of_differences + _unseen(metric, labels, units), [runs], units).alone(0)
        interval = mean - half, mean + half
    return Gain(
        metric.name,
        {name: float(found[:runs].mean()) for name, found in known.items()},
        {name: float(found[runs:].mean()) for name, found in known.items()},
        round(mean, 12),  # differences that cancel leave a rest
        interval,
        runs,
        len(labels),
    )


def _unseen(metric: Metric, labels: np.ndarray, units: np.ndarray) -> float:
    """Variance of a difference where none has been seen: that of one unit on which the two differ, in either
    direction. Answers that are all alike on these pictures need not be so on others (Agresti and Min 2005,
    Stat. Med. 24, who add half of one in each direction). A log loss differs everywhere."""
    return 0.0 if metric.name == "val_loss" else independent(metric, labels, units) ** -2
