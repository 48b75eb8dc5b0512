"""One training that Ray Tune drives: nothing is suggested, stopped or recorded; its state is what is left."""

from __future__ import annotations

from collections.abc import Callable

from search.policy.asha import Decision
from search.trials.losses import Loss
from search.trials.trials import Epoch, Outcome, Trial, TrialRecord


class Single:
    """Hands out its training until it has ended; a `search.tune.driven.Driven`.

    Args:
        trial: The training.
        known: Its epochs that have been heard of before.
        heard: Hears the metrics of each epoch once.
        told: Hears of losses, in words.
    """

    def __init__(
        self,
        trial: Trial,
        *,
        known: int,
        heard: Callable[[dict[str, float]], None],
        told: Callable[[str], None],
    ) -> None:
        self.record = TrialRecord(trial, started=0.0)
        self._known, self._heard, self._told = known, heard, told

    def ask(self) -> Trial | None:
        """The training, as long as it has not ended: nobody asks while it runs."""
        return None if self.record.outcome else self.record.trial

    def report(self, epoch: Epoch) -> Decision:
        """Passes on an epoch; those that are told again are known."""
        if epoch.epoch > self._known:
            self._known = epoch.epoch
            self._heard(dict(epoch.metrics))
        return Decision.CONTINUE

    def end(
        self, trial: int, outcome: Outcome, error: str | None = None, traceback: str | None = None
    ) -> None:
        """How the training ended; a second end changes nothing."""
        if self.record.outcome is None:
            self.record.outcome, self.record.error, self.record.traceback = outcome, error, traceback

    def lost(self, trial: int, loss: Loss) -> None:
        """The training starts again, unless it has been lost too often in a way that counts."""
        if not self.record.may_restart(loss.cause):
            self.end(trial, Outcome.FAILED, loss.given_up, loss.details)
            return
        self.record.losses[loss.cause] = self.record.losses.get(loss.cause, 0) + 1
        self._told(f"The training starts again from its last state: {loss.words}")
