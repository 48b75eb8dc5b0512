"""ASHA, the stopping rule: asynchronous successive halving (Li et al., MLSys 2020), stopping variant."""

from __future__ import annotations

import math
from enum import Enum


class Decision(Enum):
    """What happens to a trial after a report."""

    CONTINUE = "continue"
    STOP = "stop"


class Asha:
    """Keeps the best `1/reduction` of what has reached each rung.

    Rungs lie at `min_passes * reduction**k` passes over the training part, below the full length. The
    first report at or beyond a rung enters it, once; the trial counts itself, and goes on only when it
    is among the best `max(1, floor(n / reduction))` of the n entries so far. A tie ranks behind the
    earlier entry: equal scores are no reason to go on.

    Args:
        max_passes: Full length of a trial.
        min_passes: First rung.
        reduction: Which share goes on: one in `reduction`.
    """

    def __init__(self, max_passes: float, *, min_passes: float = 1, reduction: int = 3) -> None:
        if not (min_passes > 0 and reduction >= 2):
            raise ValueError(f"ASHA needs min_passes > 0 and reduction >= 2, got {min_passes}, {reduction}")
        self.reduction = reduction
        self.rungs: list[float] = []
        level = min_passes
        while level < max_passes:
            self.rungs.append(level)
            level *= reduction  # by multiplication: a logarithm would lose a rung to rounding
        self._entries: dict[float, dict[int, float]] = {level: {} for level in self.rungs}

    def report(self, trial: int, passes: float, gain: float) -> Decision:
        """Takes a report in and decides.

        Args:
            passes: Passes over the training part so far.
            gain: The trial's score now, more is better; one that is not finite stops the trial at once.
        """
        if not math.isfinite(gain):
            return Decision.STOP
        decision = Decision.CONTINUE
        for level in self.rungs:
            entries = self._entries[level]
            if passes < level or trial in entries:
                continue
            rank = 1 + sum(other >= gain for other in entries.values())
            entries[trial] = gain
            if rank > max(1, len(entries) // self.reduction):
                decision = Decision.STOP
        return decision

    def rung(self, passes: float) -> float | None:
        """The highest rung that a trial of so many passes has reached."""
        return max((level for level in self.rungs if level <= passes), default=None)
