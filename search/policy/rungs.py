"""What trials scored when they had trained for certain lengths: what a stopping rule compares."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A trial that came to a rung, or diverged."""

    trial: int
    level: int
    """Which rung, from 0; of one that diverged, the last one that it came to, -1: none."""
    gain: float
    """Its score then, more is better; NaN: it diverged."""


@dataclass(frozen=True)
class Latest:
    """What a trial's latest report entered."""

    entries: list[Entry]
    until: int
    """How many entries of all trials there were with it."""


class Rungs:
    """Whole passes over the training part from one on, each about `reduction` times the one before, and last
    the full length.

    They are evenly apart, up to rounding, whatever the full length is: 1, 3, 10 and 30, not 1, 3, 9, 27 and
    30, where a rung would stop trainings that are all but done. The first report at or beyond a rung enters
    it, once.

    Args:
        max_passes: Full length of a trial.
        reduction: Of what comes to a rung, one in so many goes on to the next.

    Raises:
        ValueError: There can be no such rungs.
    """

    def __init__(self, max_passes: float, *, reduction: int = 3) -> None:
        if not (max_passes > 0 and reduction >= 2):
            raise ValueError(f"rungs need max_passes > 0 and reduction >= 2, got {max_passes}, {reduction}")
        self.reduction = reduction
        count = max(round(math.log(max_passes, reduction)), 1 if max_passes >= 2 else 0)
        self.levels = [*(float(round(max_passes ** (place / count))) for place in range(count)), max_passes]
        self.entries: list[Entry] = []
        """In the order in which they came."""
        self._reached: dict[int, int] = {}
        self._latest: dict[int, Latest] = {}

    def enter(self, trial: int, passes: float, gain: float) -> None:
        """Takes a report in.

        Args:
            passes: Passes over the training part so far.
            gain: The trial's score now, more is better; not finite: it diverged.
        """
        reached = self._reached.get(trial, 0)
        if math.isfinite(gain):
            levels = [at for at in range(reached, len(self.levels)) if passes >= self.levels[at]]
            new = [Entry(trial, level, gain) for level in levels]
            self._reached[trial] = reached + len(new)
        else:
            new = [Entry(trial, reached - 1, math.nan)]
        self.entries += new
        self._latest[trial] = Latest(new, len(self.entries))

    def count(self, trial: int) -> int:
        """How many rungs a trial came to."""
        return self._reached.get(trial, 0)

    def latest(self, trial: int) -> Latest:
        """What a trial's latest report entered; KeyError before its first."""
        return self._latest[trial]
