"""What a rematch says: how good each contender is, which are tied with the best, and which one wins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from search.rematch.noise import Noise, noise
from search.statistics import resampling
from search.statistics.intervals import TAIL, Interval, around, independent
from search.trials.trials import Metric

ALPHA = 0.05
"""The probability, at most, that the truly best contender is not among the tied."""


@dataclass(frozen=True)
class Contender:
    """A trial that was trained again."""

    trial: int
    search_score: float
    """The metric as the search had it, on the validation part."""
    runs: Sequence[np.ndarray]
    """Of each seed the log-probabilities of the same pictures, float32 (N, C). At least one."""
    constant: float = 0.0
    """What its costs add to the metric: a loss for a metric of which more is better is below 0."""
    cost: float | None = None
    """Of which the least wins among the tied, in any unit; None where it is not known or does not matter."""


@dataclass(frozen=True)
class Standing:
    """What is known of a contender. Scores are of the metric, without the constant, unless it is said."""

    trial: int
    scores: tuple[float, ...]
    """One a seed."""
    mean: float
    spread: float | None
    """Standard deviation over its seeds; None with a single one."""
    interval: Interval | None
    """That has the true score in it in 95% of all rematches; None where no contender has two seeds, or all
    pictures are of one group."""
    search_score: float
    flattered: float
    """By how much the search's score was better than the mean: the winner's curse."""
    ranked_by: float
    """The mean with the constant."""
    behind: float
    """By how much that is worse than the leader's; 0 for the leader."""
    behind_interval: Interval | None
    """At least 95%, of the true difference; where it reaches below 0, this one may be better. None for the
    leader, and where `interval` is."""
    tied: bool | None
    """Whether it may be the best for all that is known; None where `interval` is."""


@dataclass(frozen=True)
class Verdict:
    """What a rematch says."""

    metric: str
    standings: tuple[Standing, ...]
    """Best first: the leader, then by how far they are behind."""
    winner: int
    """The trial."""
    won_by: str
    """`score`, or `cost` where it was the least among the tied."""
    seed_sd: float | None
    """Standard deviation of a score over seeds, pooled over contenders."""
    freedom: int
    """Its degrees of freedom."""
    pictures: int
    units: int
    """Pictures, or groups of pictures that belong together."""


def verdict(
    metric: Metric, contenders: Sequence[Contender], labels: np.ndarray, groups: np.ndarray | None = None
) -> Verdict:
    """Compares contenders on the same pictures. The order in which they are given does not matter.

    A contender is tied with the best unless one other is better than it for all that may be: the comparisons
    with the best of Hsu (1984, Ann. Stat. 12), by one-sided t intervals, each of a probability of error of
    5% over the number of the others (Bonferroni). With three contenders that makes them 5% wider than
    Dunnett's, which would need the correlations of the comparisons. So the best one is among the tied with a
    probability of 95%.

    The leader leads by luck, too, the more so the more contenders there are, so `behind_interval` reaches as
    far as these comparisons: an ordinary 95% interval with up to three contenders, a wider one with more. Of
    the differences from the highest of k equal means it holds 93% (three contenders) to 96% (sixteen), where
    ordinary ones would hold 93 to 81%. From three contenders on, one whose interval is above 0 is not tied.

    Where no contender has two seeds, nothing is known of the seeds: there are no intervals, and the highest
    score wins. A contender with one seed among others with several is taken to vary as they do; its interval
    is somewhat too wide, because with one seed the picture's part cannot be told from the rest.

    Args:
        metric: One of `search.trials.trials.METRICS`; with penalties the plain one, see `Contender.constant`.
        contenders: At least one, each with at least one run.
        labels: int (N,).
        groups: int (N,): pictures of one scene have the same. Whole groups are resampled.

    Raises:
        ValueError: There is nothing to compare, a trial is given twice, or a run is not of these pictures or
            not finite.
    """
    _check(contenders, labels)
    contenders = sorted(contenders, key=lambda contender: contender.trial)
    units = resampling.units(labels, groups)
    runs = [[resampling.summands(metric, labels, run) for run in one.runs] for one in contenders]
    known = noise(runs, units)
    scores = [[resampling.score_of(run) for run in of_one] for of_one in runs]
    ranked_by = [
        float(np.mean(of_one)) + one.constant for of_one, one in zip(scores, contenders, strict=True)
    ]
    gains = [metric.gain(value) for value in ranked_by]
    leader = gains.index(max(gains))
    size = independent(metric, labels, units)
    tail = ALPHA / max(1, len(contenders) - 1)
    standings = []
    for place, contender in enumerate(contenders):
        mean, behind = float(np.mean(scores[place])), gains[leader] - gains[place]
        standing = Standing(
            trial=contender.trial,
            scores=tuple(scores[place]),
            mean=mean,
            spread=float(np.std(scores[place], ddof=1)) if len(scores[place]) > 1 else None,
            interval=None,
            search_score=contender.search_score,
            flattered=metric.gain(contender.search_score) - metric.gain(mean),
            ranked_by=ranked_by[place],
            behind=behind,
            behind_interval=None,
            tied=None,
        )
        if known is not None:
            half = known.between(leader, place, min(TAIL, tail))
            standing = replace(
                standing,
                interval=around(metric, mean, known.alone(place), size),
                behind_interval=None if place == leader else (behind - half, behind + half),
                tied=_may_be_best(place, gains, known, tail),
            )
        standings.append(standing)
    standings.sort(key=lambda standing: (standing.behind, standing.trial))
    winner, won_by = _winner(standings, {one.trial: one.cost for one in contenders})
    return Verdict(
        metric=metric.name,
        standings=tuple(standings),
        winner=winner,
        won_by=won_by,
        seed_sd=math.sqrt(known.of_seeds) if known else None,
        freedom=known.freedom if known else 0,
        pictures=len(labels),
        units=int(units.max()) + 1,
    )


def _check(contenders: Sequence[Contender], labels: np.ndarray) -> None:
    if not contenders or len(labels) == 0:
        raise ValueError("a rematch needs at least one contender and one picture")
    if len({contender.trial for contender in contenders}) < len(contenders):
        raise ValueError("a trial is given twice")
    for contender in contenders:
        if not contender.runs:
            raise ValueError(f"trial {contender.trial} has no run")
        for run in contender.runs:
            if run.ndim != 2 or len(run) != len(labels):
                raise ValueError(
                    f"trial {contender.trial}: log-probabilities must be ({len(labels)}, classes); "
                    f"received {run.shape}"
                )
            if not np.isfinite(run).all():
                raise ValueError(f"trial {contender.trial}: a run has log-probabilities that are not finite")


def _may_be_best(place: int, gains: Sequence[float], known: Noise, tail: float) -> bool:
    others = [other for other in range(len(gains)) if other != place]
    return all(gains[other] - gains[place] <= known.between(other, place, tail) for other in others)


def _winner(standings: Sequence[Standing], costs: Mapping[int, float | None]) -> tuple[int, str]:
    """The trial, and by what it wins; the leader comes first."""
    tied = {one.trial: cost for one in standings if one.tied and (cost := costs[one.trial]) is not None}
    if len(tied) < 2 or len(tied) < sum(bool(one.tied) for one in standings):
        return standings[0].trial, "score"
    return min(tied, key=lambda trial: tied[trial]), "cost"
