"""What Ray Tune drives: something that has trainings to be done."""

from __future__ import annotations

from typing import Protocol

from search.policy.asha import Decision
from search.trials.losses import Loss
from search.trials.trials import Epoch, Outcome, Trial


class Driven(Protocol):
    """Hands out trainings, and hears what becomes of each: a search's `Engine`, or its `Rematch`."""

    def ask(self) -> Trial | None:
        """The next training; None when no more begins, unless one that runs is lost."""

    def report(self, epoch: Epoch) -> Decision:
        """A training's epoch; on STOP it has ended."""

    def end(
        self, trial: int, outcome: Outcome, error: str | None = None, traceback: str | None = None
    ) -> None:
        """How a training ended."""

    def lost(self, trial: int, loss: Loss) -> None:
        """A training was lost: `ask` hands it out again, unless it has been lost too often."""
