"""The learning rate over a training, with torch's own schedulers, and its replay in a retrain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from spaces.recipe import Schedule


class LearningRate:
    """Moves every group's learning rate together; `scale` is the factor in force.

    Args:
        epochs: Full length of the trial, so that a trial stopped early was on the long schedule.
        steps_per_epoch: Optimizer steps an epoch.
        replay: The `scale` of each epoch of an earlier training. With `plateau` these take the place of
            looking at the validation loss; the other schedules follow their formula anyway.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule,
        *,
        epochs: int,
        steps_per_epoch: int,
        replay: Sequence[float] | None = None,
    ) -> None:
        total = max(1, epochs * steps_per_epoch)

        def factor(step: int) -> float:
            if schedule.name == "cosine":
                low = schedule.final_share
                return low + (1 - low) * (1 + math.cos(math.pi * min(1.0, step / total))) / 2
            if schedule.name == "plateau" and replay:
                return replay[min(step // steps_per_epoch, len(replay) - 1)]
            return 1.0

        self._by_loss = schedule.name == "plateau" and replay is None
        self._optimizer = optimizer
        self._base = [group["lr"] for group in optimizer.param_groups]
        self._scheduler: LambdaLR | ReduceLROnPlateau
        if self._by_loss:
            self._scheduler = ReduceLROnPlateau(
                optimizer, factor=schedule.factor, patience=schedule.patience_epochs, eps=0.0
            )
        else:
            self._scheduler = LambdaLR(optimizer, factor)

    @property
    def scale(self) -> float:
        """Current learning rate over the recipe's."""
        return self._optimizer.param_groups[0]["lr"] / self._base[0]

    def after_step(self) -> None:
        """Call after each optimizer step."""
        if isinstance(self._scheduler, LambdaLR):
            self._scheduler.step()

    def after_epoch(self, val_loss: float | None) -> None:
        """Call after each epoch's validation."""
        if isinstance(self._scheduler, ReduceLROnPlateau) and val_loss is not None:
            self._scheduler.step(val_loss)

    def state_dict(self) -> dict[str, Any]:
        """Plain values; the optimizer keeps the rates themselves."""
        state = self._scheduler.state_dict()
        return {key: value for key, value in state.items() if key != "lr_lambdas"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        if isinstance(self._scheduler, LambdaLR):
            state = {**state, "lr_lambdas": [None] * len(self._base)}
        self._scheduler.load_state_dict(state)
