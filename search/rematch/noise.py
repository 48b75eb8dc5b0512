"""By how much the mean scores of contenders differ from their true ones.

A contender's true score is the mean over all seeds and all pictures of which those at hand are samples: a
winner is retrained with another seed, and used on other pictures. Both make scores vary by as much as the
differences that searches are after (Bouthillier et al. 2021, "Accounting for variance in machine learning
benchmarks", arXiv 2103.03098).

A score of one seed on one picture is, around its mean, the sum of a part of the seed, a part of the picture
(a hard one is hard for all seeds), and a rest of both. Over n seeds and N pictures the mean's variance is

    var(seed) / n  +  var(picture) / N  +  var(rest) / (n N).

The spread of the seeds' scores, which are all on the same pictures, holds the first and the last term: each
seed has a rest of its own. The bootstrap over pictures holds the second and the last; its covariance between
*different* seeds holds only the second. So the spread over seeds and the covariance between seeds add up to
the whole, and nothing is counted twice. This is the analysis of several readers who read the same cases
(Obuchowski and Rockette 1995, Commun. Stat. Simul. 24; Hillis 2007, Stat. Med. 26): seeds are the readers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.statistics import resampling
from search.statistics.intervals import TAIL, student

LEAST = 0.1
"""Of the rest's variance, which the seeds' is taken for where their scores are alike by chance, as few errors
make them."""


@dataclass(frozen=True)
class Noise:
    """Of the mean scores of k contenders."""

    of_seeds: float
    """Variance of one run's score over seeds on given pictures, pooled over contenders, who have few each."""
    freedom: int
    """Its degrees of freedom."""
    seeds: np.ndarray
    """Of each contender, int (k,)."""
    of_pictures: np.ndarray
    """Covariance of the mean scores over pictures, for all seeds alike: (k, k)."""
    units: int
    """Pictures, or groups of pictures, by which that is known."""

    def alone(self, one: int) -> float:
        """Half the 95% interval of a contender's score, were it symmetric."""
        return self._half(np.eye(len(self.seeds))[one], TAIL)

    def between(self, one: int, other: int, tail: float = TAIL) -> float:
        """Half the interval of the difference of two, on the same pictures."""
        each = np.eye(len(self.seeds))
        return self._half(each[one] - each[other], tail)

    def _half(self, contrast: np.ndarray, tail: float) -> float:
        """Of a sum of mean scores weighted by `contrast`, (k,).

        The standard error times the mean of two t quantiles, that of the seeds and that of the pictures,
        weighted by their variances (Cochran and Cox 1950, "Experimental Designs"). Satterthwaite's
        degrees of freedom are themselves estimated, which makes intervals too short when seeds are few.
        """
        seeds = self.of_seeds * float((contrast**2 / self.seeds).sum())
        pictures = max(0.0, float(contrast @ self.of_pictures @ contrast))
        if seeds + pictures == 0:
            return 0.0
        reach = student(self.freedom, tail) * seeds + student(self.units - 1, tail) * pictures
        return reach / math.sqrt(seeds + pictures)


def noise(runs: Sequence[Sequence[np.ndarray]], units: np.ndarray) -> Noise | None:
    """What the runs of k contenders on the same pictures tell.

    None where no contender has two seeds, or there are no two units.

    With a single seed a picture's part cannot be told from the rest. So the rest of such a contender counts
    twice, and its interval is somewhat too wide.

    Args:
        runs: The summands of each contender's runs, see `search.statistics.resampling.summands`.
        units: int64 (N,), see `search.statistics.resampling.units`.
    """
    seeds = [len(of_one) for of_one in runs]
    if sum(seeds) == len(seeds) or units.max() == 0:
        return None
    every = [run for of_one in runs for run in of_one]
    scores = np.array([resampling.score_of(run) for run in every])
    return split_up(scores, resampling.covariance(every, units), seeds, units)


def split_up(scores: np.ndarray, of_runs: np.ndarray, seeds: Sequence[int], units: np.ndarray) -> Noise:
    """What the scores of runs, one contender's after the other's, tell of seeds and of pictures.

    Args:
        scores: float (R,).
        of_runs: Their covariance over pictures, (R, R); see `search.statistics.resampling.covariance`.
        seeds: Runs of each contender, k numbers that sum up to R; one at least is over 1.
        units: See `noise`.
    """
    own = np.split(np.arange(len(scores)), np.cumsum(seeds)[:-1])
    freedom = len(scores) - len(seeds)
    of_pictures = np.array([[of_runs[np.ix_(a, b)].mean() for b in own] for a in own])
    squares, rests = 0.0, []
    for place, rows in enumerate(own):
        if len(rows) > 1:
            block = of_runs[np.ix_(rows, rows)]
            of_pictures[place, place] = block[~np.eye(len(rows), dtype=bool)].mean()
            rests.append(block.diagonal().mean() - of_pictures[place, place])
            squares += float(((scores[rows] - scores[rows].mean()) ** 2).sum())
    of_seeds = max(squares / freedom, LEAST * float(np.mean(rests)))
    return Noise(of_seeds, freedom, np.array(seeds), of_pictures, int(units.max()) + 1)
