"""What a rematch says: how good each contender is, which are tied with the best, and which one wins.

A contender's true score is the mean over all seeds and all pictures of which those at hand are samples: a
winner is retrained with another seed, and used on other pictures. Both make scores vary by as much as the
differences that searches are after (Bouthillier et al. 2021, "Accounting for variance in machine learning
benchmarks", arXiv 2103.03098).

A score of seed s on picture i is, around its mean, the sum of a part of the seed, a part of the picture (a
hard one is hard for all seeds), and a rest of both. Over n seeds and N pictures the mean score's variance is

    var(seed) / n  +  var(picture) / N  +  var(rest) / (n N).

The spread of the seeds' scores, which all are of the same pictures, holds the first and the last term, as it
is: each seed has a rest of its own. The bootstrap over pictures holds the second and the last; its covariance
between *different* seeds holds only the second. So spread over seeds and covariance between seeds add up to
the whole, with nothing counted twice. It is the analysis of many readers who read the same cases (Obuchowski
and Rockette 1995, Commun. Stat. Simul. 24; Hillis 2007, Stat. Med. 26): readers are seeds, cases pictures.

The variance over seeds is pooled over contenders, since one has few. Its t interval and the one over pictures
are combined by the squares of their half-widths (Zou and Donner 2008, Stat. Med. 27). Satterthwaite's degrees
of freedom would make shorter intervals, but with a handful of seeds they are themselves so uncertain that
intervals cover too seldom (see docs/benchmarks.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search import resampling
from search.intervals import TAIL, Interval, around, independent, student
from search.trials import Metric

ALPHA = 0.05
"""The probability at most that the truly best contender is not among the tied."""


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
    score: float
    """The mean with the constant: by what contenders are ranked."""
    behind: float
    """By how much its score is worse than the leader's; 0 for the leader."""
    behind_interval: Interval | None
    """95%, of the true difference, on the same pictures. None for the leader, and where `interval` is."""
    tied: bool | None
    """Whether it may be the best for all that is known; None where `interval` is."""


@dataclass(frozen=True)
class Verdict:
    """What a rematch says."""

    metric: str
    standings: tuple[Standing, ...]
    """The highest mean first: the leader."""
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


@dataclass(frozen=True)
class _Noise:
    """What makes the mean scores of k contenders differ from their true ones."""

    seed_variance: float
    """Of one run's score over seeds, on given pictures."""
    rest: float
    """The rest's share of it, as the bootstrap tells: the seeds' spread is less only by chance."""
    freedom: int
    seeds: np.ndarray
    """Of each contender, int (k,)."""
    of_pictures: np.ndarray
    """Covariance of mean scores that is due to the pictures, (k, k)."""
    units: int

    def half(self, contrast: np.ndarray, tail: float = TAIL) -> float:
        """Half the interval of a sum of mean scores, weighted by `contrast`, (k,)."""
        by_seeds, by_pictures = student(self.freedom, tail), student(self.units - 1, tail)
        of_seeds = max(by_seeds**2 * self.seed_variance, by_pictures**2 * self.rest)
        of_pictures = by_pictures**2 * max(0.0, float(contrast @ self.of_pictures @ contrast))
        return math.sqrt(of_seeds * float((contrast**2 / self.seeds).sum()) + of_pictures)


def verdict(
    metric: Metric, contenders: Sequence[Contender], labels: np.ndarray, groups: np.ndarray | None = None
) -> Verdict:
    """Compares contenders on the same pictures. The order in which they are given does not matter.

    A contender is tied with the best unless one other is better than it for all that may be: the comparisons
    with the best of Hsu (1984, Ann. Stat. 12), by one-sided t intervals, each of a probability of error of
    5% over the number of the others (Bonferroni). With three contenders that makes them 5% wider than
    Dunnett's, which would need the correlations of the comparisons. So the best one is among the tied with a
    probability of 95%, and with three contenders those are tied whose `behind_interval` reaches 0.

    Where no contender has two seeds, nothing is known of the seeds: there are no intervals, and the highest
    score wins. A contender with one seed among others with several is taken to vary as they do; its interval
    is somewhat too wide, because with one seed the picture's part cannot be told from the rest.

    Args:
        metric: One of `search.trials.METRICS`; with penalties the plain metric, see `Contender.constant`.
        contenders: At least one, each with at least one run.
        labels: int (N,).
        groups: int (N,): pictures of one scene have the same. Whole groups are resampled.

    Raises:
        ValueError: There is nothing to compare, a run is not of these pictures or holds what is no number.
    """
    _check(contenders, labels)
    contenders = sorted(contenders, key=lambda contender: contender.trial)
    units = resampling.units(labels, groups)
    summands = [[resampling.summands(metric, labels, run) for run in one.runs] for one in contenders]
    scores = [
        [float(resampling.score(run.sum(axis=0, dtype=np.float64))) for run in runs] for runs in summands
    ]
    noise = _noise(summands, scores, units)
    means = [float(np.mean(of_seeds)) for of_seeds in scores]
    gains = np.array([metric.gain(mean + one.constant) for mean, one in zip(means, contenders, strict=True)])
    leader, single = int(gains.argmax()), np.eye(len(contenders))
    size = independent(metric, labels, units)
    standings = [
        Standing(
            trial=one.trial,
            scores=tuple(scores[place]),
            mean=means[place],
            spread=float(np.std(scores[place], ddof=1)) if len(scores[place]) > 1 else None,
            interval=around(metric, means[place], noise.half(single[place]), size) if noise else None,
            search_score=one.search_score,
            flattered=metric.gain(one.search_score) - metric.gain(means[place]),
            score=means[place] + one.constant,
            behind=float(gains[leader] - gains[place]),
            behind_interval=_behind(noise, gains, leader, place) if noise and place != leader else None,
            tied=_may_be_best(noise, gains, place) if noise else None,
        )
        for place, one in enumerate(contenders)
    ]
    winner, won_by = _winner(contenders, standings, leader)
    return Verdict(
        metric=metric.name,
        standings=tuple(sorted(standings, key=lambda standing: (standing.behind, standing.trial))),
        winner=winner,
        won_by=won_by,
        seed_sd=math.sqrt(noise.seed_variance) if noise else None,
        freedom=noise.freedom if noise else 0,
        pictures=len(labels),
        units=int(units.max()) + 1,
    )


def _check(contenders: Sequence[Contender], labels: np.ndarray) -> None:
    if not contenders or len(labels) == 0:
        raise ValueError("a rematch needs at least one contender and one picture")
    for contender in contenders:
        if not contender.runs:
            raise ValueError(f"trial {contender.trial} has no run")
        for run in contender.runs:
            if run.ndim != 2 or len(run) != len(labels):
                raise ValueError(
                    f"trial {contender.trial}: log-probabilities must be ({len(labels)}, classes); "
                    f"received {run.shape}"
                )
            if np.isnan(run).any():
                raise ValueError(f"trial {contender.trial}: a run has log-probabilities that are no numbers")


def _noise(
    summands: Sequence[Sequence[np.ndarray]], scores: Sequence[Sequence[float]], units: np.ndarray
) -> _Noise | None:
    """None where there is nothing to tell it from."""
    seeds = np.array([len(runs) for runs in summands])
    freedom = int((seeds - 1).sum())
    if freedom == 0 or units.max() == 0:
        return None
    squares = sum(float(np.var(of_seeds)) * len(of_seeds) for of_seeds in scores)
    of_runs = resampling.covariance([run for runs in summands for run in runs], units)
    owner = np.repeat(np.arange(len(seeds)), seeds)
    of_pictures, rests = np.empty((len(seeds), len(seeds))), []
    for a, b in np.ndindex(of_pictures.shape):
        block = of_runs[np.ix_(owner == a, owner == b)]
        of_pictures[a, b] = block.mean()
        if a == b and seeds[a] > 1:  # with itself a run shares the rest, too
            of_pictures[a, a] = block[~np.eye(seeds[a], dtype=bool)].mean()
            rests.append(block.diagonal().mean() - of_pictures[a, a])
    rest = float(np.mean(rests))
    return _Noise(squares / freedom, rest, freedom, seeds, of_pictures, int(units.max()) + 1)


def _difference(count: int, better: int, worse: int) -> np.ndarray:
    contrast = np.zeros(count)
    contrast[better], contrast[worse] = 1.0, -1.0
    return contrast


def _behind(noise: _Noise, gains: np.ndarray, leader: int, place: int) -> Interval:
    half = noise.half(_difference(len(gains), leader, place))
    return float(gains[leader] - gains[place] - half), float(gains[leader] - gains[place] + half)


def _may_be_best(noise: _Noise, gains: np.ndarray, place: int) -> bool:
    others = [other for other in range(len(gains)) if other != place]
    return all(
        gains[other] - gains[place]
        <= noise.half(_difference(len(gains), other, place), tail=ALPHA / len(others))
        for other in others
    )


def _winner(contenders: Sequence[Contender], standings: Sequence[Standing], leader: int) -> tuple[int, str]:
    costs = {
        one.trial: one.cost for one, standing in zip(contenders, standings, strict=True) if standing.tied
    }
    known = {trial: cost for trial, cost in costs.items() if cost is not None}
    if len(costs) < 2 or len(known) < len(costs):
        return contenders[leader].trial, "score"
    behind = {standing.trial: standing.behind for standing in standings}
    return min(known, key=lambda trial: (known[trial], behind[trial])), "cost"
