"""ASHA: asynchronous successive halving (Li et al., MLSys 2020), the variant that stops trials."""

from __future__ import annotations

import math
from enum import Enum
from typing import Protocol

from search.policy.rungs import Rungs


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


class Asha:
    """Keeps the best `1/reduction` of what has reached each rung.

    A trial counts itself, and goes on only when it is among the best `max(1, floor(n / reduction))` of the n
    entries so far. A tie ranks behind the earlier entry: equal scores are no reason to go on.

    Args:
        max_passes: Full length of a trial.
        min_passes: First rung.
        reduction: Which share goes on: one in `reduction`.
    """

    def __init__(self, max_passes: float, *, min_passes: float = 1, reduction: int = 3) -> None:
        self.reached = Rungs(max_passes, min_passes=min_passes, reduction=reduction)
        self.reduction = reduction
        self.rungs = self.reached.levels[:-1]
        """Where it decides: below the full length."""

    def enter(self, trial: int, passes: float, gain: float) -> None:
        """Takes a report in; see `Rungs.enter`."""
        self.reached.enter(trial, passes, gain)

    def decide(self, trial: int) -> Decision:
        """On a trial's latest report; one whose score is not finite stops at once."""
        latest = self.reached.latest(trial)
        for own in latest.entries:
            if not math.isfinite(own.gain):
                return Decision.STOP
            if own.level == len(self.rungs):
                continue
            entries = [entry for entry in self.reached.entries[: latest.until] if entry.level == own.level]
            gains = [entry.gain for entry in entries if math.isfinite(entry.gain)]
            if sum(gain >= own.gain for gain in gains) > max(1, len(gains) // self.reduction):
                return Decision.STOP
        return Decision.CONTINUE

    def report(self, trial: int, passes: float, gain: float) -> Decision:
        """Takes a report in and decides."""
        self.enter(trial, passes, gain)
        return self.decide(trial)

    def rung(self, passes: float) -> float | None:
        """The highest rung that a trial of so many passes has reached."""
        return max((level for level in self.rungs if level <= passes), default=None)
