"""What trials scored at rungs, entry by entry, and which of them are worth modelling."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np

from search.policy.rungs import Entry

MOST, BEST = 160, 80
"""At most so many trials are modelled: the best ones, by how far they came and their scores there, and the
others that came to a rung last. The time of a Gaussian process grows with the cube of its data."""


class Scored:
    """Takes in entries, and never looks at all trials again: a search may have thousands."""

    def __init__(self) -> None:
        self.gains: dict[int, list[float]] = {}
        """Of each trial that has not diverged what it scored, by rung; who came to a rung last is last."""
        self.diverged: dict[int, None] = {}
        """The others, in that order."""
        self._best: dict[int, tuple[int, float]] = {}
        """Of `gains` the best `BEST`: the rungs, and the score at the last one."""

    def enter(self, entry: Entry) -> None:
        """Takes in the next entry; those of a trial that has diverged change nothing."""
        if entry.trial in self.diverged:
            return
        known = self.gains.pop(entry.trial, [])
        if math.isfinite(entry.gain):
            self.gains[entry.trial] = [*known, entry.gain]
            self._compare(entry.trial)
            return
        self.diverged[entry.trial] = None
        if self._best.pop(entry.trial, None):
            for number in self.gains.keys() - self._best.keys():
                self._compare(number)

    def modelled(self) -> tuple[list[int], np.ndarray]:
        """Which trials are modelled, by number, and for how many each stands, float (T,)."""
        if len(self.gains) <= MOST:
            return sorted(self.gains), np.ones(len(self.gains))
        latest = (number for number in reversed(self.gains) if number not in self._best)
        others = len(self.gains) - len(self._best)
        ranked = sorted([*self._best, *islice(latest, MOST - BEST)])
        stand_for = others / (MOST - BEST)
        return ranked, np.array([1.0 if number in self._best else stand_for for number in ranked])

    def _compare(self, number: int) -> None:
        """Has a trial among the best, if it is; of equals those that were there before stay."""
        known = self.gains[number]
        key = len(known), known[-1]
        if number not in self._best and len(self._best) == BEST:
            worst = min(self._best, key=self._best.__getitem__)
            if key <= self._best[worst]:
                return
            del self._best[worst]
        self._best[number] = key
