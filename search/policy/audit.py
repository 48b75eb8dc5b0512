"""The audit of the stopping rule: some trials that it would stop run on, to measure what stopping costs."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


class Audit:
    """Takes a share of the trials that would be stopped as controls, by the order of these stops alone.

    Each stretch of `1 / share` stops has one control, at a random place (stratified sampling): controls are
    spread over the whole search, and no score has a say in which trials they are. In the first stretch it is
    the first stop, so that whatever stops anything has a control. Nothing is kept between decisions: they
    follow from the seed and the number of stops so far, which the records tell.

    Args:
        share: Of the stops, 0 to 1; 0 takes none.
        seed: The search's.
    """

    def __init__(self, share: float, *, seed: int) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"an audit's share is 0 to 1, got {share}")
        self._share, self._seed = Fraction(str(share)), seed  # exact: 140 times a twentieth is 7

    def takes(self, stops: int) -> bool:
        """Whether the next trial that would be stopped runs on, after so many `stops`, controls included."""
        if not self._share:
            return False
        stretch = math.floor(stops * self._share)
        if stretch == 0:
            return stops == 0
        first, after = math.ceil(stretch / self._share), math.ceil((stretch + 1) / self._share)
        return stops == np.random.default_rng([self._seed, stretch]).integers(first, after)
