"""The learning rate over a training, with torch's own schedulers, and its replay in a retrain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau

from spaces.recipe import Schedule

ONE_CYCLE_RISE = 0.3
"""Share of one-cycle's rise where the recipe names none."""


class LearningRate:
    """Moves every group's learning rate together; `scale` is the factor in force.

    Formulas of the step are a `LambdaLR`, for torch's own cosine has one lowest rate for all groups; one
    cycle and plateau are torch's. With warm-up the rate of step s of n rises as (s + 1) / (n + 1), times
    the schedule: a cosine begins at its end, steps count from the start of the training (Goyal et al.
    2017), and a plateau is looked for from the first epoch that begins after it.

    Args:
        epochs: Full length of the trial, so that a trial stopped early was on the long schedule.
        steps_per_epoch: Optimizer steps an epoch.
        replay: The `scale` at the beginning of each epoch of an earlier training, which may have had other
            steps an epoch. With `plateau` these take the place of looking at the validation loss; the
            other schedules follow their formula anyway.
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
        self._optimizer = optimizer
        self._base = [group["lr"] for group in optimizer.param_groups]
        self._warmup_epochs = schedule.warmup_share * epochs
        self._warmup_steps = round(self._warmup_epochs * steps_per_epoch)
        self._plateau: ReduceLROnPlateau | None = None
        self._by_step: LambdaLR | OneCycleLR
        total = epochs * steps_per_epoch

        def after_warmup(step: int) -> float:
            if schedule.name == "cosine":
                low, fall = schedule.final_share, max(1, total - self._warmup_steps)
                share = min(1.0, max(0, step - self._warmup_steps) / fall)
                return low + (1 - low) * (1 + math.cos(math.pi * share)) / 2
            if schedule.name == "step":
                return schedule.factor ** (step // max(1, round(schedule.step_share * total)))
            if schedule.name == "plateau" and replay:
                epoch = min(step // steps_per_epoch, len(replay) - 1)
                return replay[epoch] if epoch >= self._warmup_epochs else 1.0
            return 1.0

        def factor(step: int) -> float:
            return min(1.0, (step + 1) / (self._warmup_steps + 1)) * after_warmup(step)

        if schedule.name == "one_cycle":
            self._by_step = _one_cycle(optimizer, schedule.warmup_share or ONE_CYCLE_RISE, total)
        else:
            self._by_step = LambdaLR(optimizer, factor)
        if schedule.name == "plateau" and replay is None:
            self._plateau = ReduceLROnPlateau(
                optimizer, factor=schedule.factor, patience=schedule.patience_epochs, eps=0.0
            )

    @property
    def scale(self) -> float:
        """The learning rate in force over the recipe's."""
        return self._optimizer.param_groups[0]["lr"] / self._base[0]

    def after_step(self) -> None:
        """Call after each optimizer step."""
        # A plateau's drops, once they may begin, are the last word.
        if self._plateau is None or self._by_step.last_epoch < self._warmup_steps:
            self._by_step.step()

    def after_epoch(self, epoch: int, val_loss: float | None) -> None:
        """Call after the validation of each epoch, counted from 1."""
        if self._plateau is not None and val_loss is not None and epoch - 1 >= self._warmup_epochs:
            self._plateau.step(val_loss)

    def state_dict(self) -> dict[str, Any]:
        """Plain values; the optimizer keeps the rates themselves."""
        return {
            "by_step": self._by_step.state_dict(),
            "plateau": self._plateau.state_dict() if self._plateau is not None else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        self._by_step.load_state_dict(state["by_step"])
        if self._plateau is not None:
            self._plateau.load_state_dict(state["plateau"])


def _one_cycle(optimizer: Optimizer, rise: float, total: int) -> OneCycleLR:
    """torch's, with each group's rate as its peak; momentum, or Adam's first beta, goes 0.95, 0.85, 0.95."""
    total = max(2, total)
    return OneCycleLR(
        optimizer,
        [group["lr"] for group in optimizer.param_groups],
        total_steps=total,
        pct_start=max(rise, 1.5 / total),  # torch divides by zero when the rise is a single step
        cycle_momentum=not {"momentum", "betas"}.isdisjoint(optimizer.defaults),
    )
