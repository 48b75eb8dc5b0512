"""How long work takes, learnt from the epochs that have run."""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np

NOISE = 0.25
"""Standard deviation of an epoch's seconds around what is expected of its kind, as a logarithm, as are the
others here: what recipes differ in beside their networks, and what else runs on the machine."""
BEND = 0.4
"""Of how far the seconds of all kinds are from growing in proportion to their work."""
OFFSET = 0.6
"""Of how much slower or quicker a kind is than others at the same work."""


class Pace:
    """Seconds by work, in whatever unit that is: `seconds = work * exp(a + b * log(work) + c[kind])`.

    Work alone tells little: in a small network what is the same for every picture counts for more than its
    arithmetic (`b` is below 0), and kinds of networks make uneven use of a machine (`c`). All are fitted at
    once, by least squares with normal priors around 0 on `b` and on each `c`: a linear mixed model of known
    variances (Henderson 1950, "Estimation of Genetic Parameters"). So a kind that was measured often is known
    by its own epochs, one that was measured once also by the others, and a new one by the others alone.
    Before any epoch, seconds are the work.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[Hashable, float], tuple[int, float]] = {}
        """By kind and the logarithm of the work: how many epochs, and the sum of log(seconds / work)."""
        self._fit: tuple[float, float, dict[Hashable, float]] | None = (0.0, 0.0, {})
        """a, b and c; None while there are epochs that are not in it."""

    def add(self, kind: Hashable, work: float, seconds: float) -> None:
        """Takes in what an epoch took; work and seconds are over 0."""
        count, total = self._sums.get((kind, math.log(work)), (0, 0.0))
        self._sums[kind, math.log(work)] = count + 1, total + math.log(seconds / work)
        self._fit = None

    def seconds(self, kind: Hashable, work: float) -> float:
        """What work of this kind is expected to take."""
        self._fit = self._fit or self._fitted()
        level, bend, offsets = self._fit
        return work * math.exp(level + bend * math.log(work) + offsets.get(kind, 0.0))

    def _fitted(self) -> tuple[float, float, dict[Hashable, float]]:
        places = {kind: place for place, kind in enumerate(dict.fromkeys(kind for kind, _ in self._sums))}
        counts, totals = np.array(list(self._sums.values())).T
        features = np.zeros((len(self._sums), 2 + len(places)))
        for row, (kind, log_work) in enumerate(self._sums):
            features[row, [0, 1, 2 + places[kind]]] = 1.0, log_work, 1.0
        # Nothing is known beforehand of `a`, which is between the units of work and seconds.
        prior = np.diag([0.0, BEND**-2] + [OFFSET**-2] * len(places))
        weighted = features.T / NOISE**2
        solved = np.linalg.solve((weighted * counts) @ features + prior, weighted @ totals)
        level, bend, *offsets = solved.tolist()
        return level, bend, dict(zip(places, offsets, strict=True))
