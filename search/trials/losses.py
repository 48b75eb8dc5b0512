"""A training was lost: with its machine, by the death of its process, or for want of what it works with.

None of this says anything about its configuration, so it starts again from its checkpoint. But a
configuration may be what kills its process (by its hunger for memory, say), so deaths on a machine that lives
on are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MOST_RESTARTS = 3
"""How often a training is started again whose process has died on a machine that lives on, and how often one
that finds nothing to work with while others do."""
MOST_IN_VAIN = 3
"""Attempts in a row, of any trainings, that found nothing to work with; the search then stops."""


class Cause(StrEnum):
    """What took a training."""

    NODE = "node"
    """Its machine was lost, is being drained, cannot be reached, or lacks what others may have: it starts
    again however often."""
    PROCESS = "process"
    """Its process died on a machine that lives on."""
    PLACE = "place"
    """Its process lives, and cannot work, here or anywhere: pictures are gone, or a storage fails."""


@dataclass(frozen=True)
class Loss:
    """How a training was lost."""

    cause: Cause
    words: str
    """For people, in a line."""
    details: str | None = None
    """All that is known."""

    @property
    def given_up(self) -> str:
        """The error of a training that is not started again."""
        return f"lost {MOST_RESTARTS + 1} times, the last time because {self.words}"
