"""ASHA, asynchronous successive halving (Li et al., MLSys 2020): the variant that stops, fair to families."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable
from enum import Enum
from typing import Protocol

import numpy as np

from search.policy.rungs import Entry, Rungs

AMONG_THEMSELVES = 2
"""At so many rungs, the lowest ones, trials are compared with their kind; at the highest they never are."""


class Decision(Enum):
    """What happens to a trial after a report."""

    CONTINUE = "continue"
    STOP = "stop"


class Rule(Protocol):
    """Decides after each report of a trial whether it goes on."""

    def enter(self, trial: int, passes: float, gain: float) -> None:
        """Takes a report in; see `Rungs.enter`."""

    def decide(self, trial: int) -> Decision:
        """On a trial's latest report, from what had been entered by then: whenever it is asked for."""


class _Came:
    """What came to a rung, in columns: at each decision there may be thousands."""

    def __init__(self) -> None:
        self.places, self.kinds, self.gains = array("q"), array("q"), array("d")
        """Of each, its place among all entries of all rungs, the number of its kind, and its score."""


class Asha:
    """Keeps the best `1/reduction` of what has reached each rung.

    A trial counts itself, and goes on only when it is among the best `max(1, floor(n / reduction))` of the n
    entries so far. A tie ranks behind the earlier entry: equal scores are no reason to go on.

    What a family of networks gains late cannot be seen early, so at the lowest rungs each kind of trials is
    compared within itself, as soon as there are `reduction` of it. At the others, and in any case at the
    highest, all are compared with all.

    Args:
        reached: The rungs.
        kind: Of a trial, by its number, such as its family; None, by default, is compared with all.
    """

    def __init__(self, reached: Rungs, kind: Callable[[int], object] = lambda trial: None) -> None:
        self.reached, self._kind = reached, kind
        self.rungs = reached.levels[:-1]
        """Where it decides: below the full length."""
        self._came = [_Came() for _ in self.reached.levels]
        self._kinds: dict[object, int] = {}

    def enter(self, trial: int, passes: float, gain: float) -> None:
        """Takes a report in; see `Rungs.enter`."""
        self.reached.enter(trial, passes, gain)
        latest, kind = self.reached.latest(trial), self._kind(trial)
        for place, entry in enumerate(latest.entries, latest.until - len(latest.entries)):
            if math.isfinite(entry.gain):
                here = self._came[entry.level]
                here.places.append(place)
                here.kinds.append(self._kinds.setdefault(kind, len(self._kinds)))
                here.gains.append(entry.gain)

    def decide(self, trial: int) -> Decision:
        """On a trial's latest report; one whose score is not finite stops at once."""
        latest = self.reached.latest(trial)
        for own in latest.entries:
            if not math.isfinite(own.gain):
                return Decision.STOP
            if own.level == len(self.rungs):
                continue
            gains = self._compared(own, latest.until)
            if (gains >= own.gain).sum() > max(1, len(gains) // self.reached.reduction):
                return Decision.STOP
        return Decision.CONTINUE

    def among_kin(self, level: int) -> bool:
        """Whether kinds are compared within themselves at this rung."""
        return level < min(AMONG_THEMSELVES, len(self.rungs) - 1)

    def _compared(self, own: Entry, until: int) -> np.ndarray:
        """The scores that an entry is compared with, its own among them, float (n,)."""
        here = self._came[own.level]
        count = bisect_left(here.places, until)
        gains = np.frombuffer(here.gains[:count])
        if self.among_kin(own.level) and (kind := self._kind(own.trial)) is not None:
            kin = gains[np.frombuffer(here.kinds[:count], np.int64) == self._kinds[kind]]
            if len(kin) >= self.reached.reduction:
                return kin
        return gains

    def report(self, trial: int, passes: float, gain: float) -> Decision:
        """Takes a report in and decides."""
        self.enter(trial, passes, gain)
        return self.decide(trial)
