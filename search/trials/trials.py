"""What a trial is, and what became of it: the plain values that every other part of the search reads.

Nothing here knows Ray, Optuna or torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from search.trials.losses import MOST_RESTARTS, Cause


class Outcome(StrEnum):
    """How a trial ended. A trial without an outcome is still running, or was cut off."""

    COMPLETE = "complete"
    """Ran its full length, or ended early by its own recipe's patience."""
    STOPPED = "stopped"
    """The scheduler stopped it at a rung: its score there was too low. A result, not a failure. With an
    `error` it was the search's budget that ended it, not the score."""
    DIVERGED = "diverged"
    """Its loss was no longer finite. A result: the sampler learns that this corner is bad."""
    OUT_OF_MEMORY = "out_of_memory"
    """The device had too little memory for it. Says nothing about the recipe's quality."""
    FAILED = "failed"
    """It raised, or its process died more often than it is started again. The record holds the traceback."""
    TIMED_OUT = "timed_out"
    """It went without a report for longer than the limit, and its process was killed."""

    @property
    def scored(self) -> bool:
        """Whether its last score says how good the recipe is."""
        return self in (Outcome.COMPLETE, Outcome.STOPPED)


@dataclass(frozen=True)
class Metric:
    """A number that every epoch reports and by which trials are ranked."""

    name: str
    """Key in an epoch's metrics."""
    title: str
    mode: str
    """`max` or `min`."""

    @property
    def worst(self) -> float:
        """A value that no finite score is worse than."""
        return -math.inf if self.mode == "max" else math.inf

    @property
    def quantity(self) -> str:
        """What it measures, of whichever part: `accuracy`."""
        return self.title.removeprefix("validation ")

    def gain(self, value: float) -> float:
        """The value turned so that more is better."""
        return value if self.mode == "max" else -value


METRICS = {
    metric.name: metric
    for metric in (
        Metric("val_accuracy", "validation accuracy", "max"),
        Metric("val_macro_f1", "validation macro-F1", "max"),
        Metric("val_loss", "validation loss", "min"),
    )
}


@dataclass(frozen=True)
class Trial:
    """One training to be done: a recipe, a seed and a length. Never where it runs."""

    number: int
    recipe: dict[str, Any]
    """`Recipe.to_dict()`."""
    params: dict[str, Any]
    """The parameters that the sampler chose, by their names in the space; empty for a given recipe."""
    seed: int
    epochs: int
    """Its full length, in epochs of its own recipe."""
    origin: str = "sampled"
    """`sampled` by the searcher, or `given` by the user or a starting recipe."""
    source: str = ""
    """Where a given recipe is from: a built-in recipe's name, or a file."""

    @property
    def in_space(self) -> bool:
        """Whether its recipe is one of the space's: the sampler is shown no other."""
        return self.origin == "sampled" or bool(self.params)


@dataclass(frozen=True)
class Start:
    """A recipe that a search tries early, whatever its sampler would suggest."""

    source: str
    """A built-in recipe's name, or a file."""
    recipe: dict[str, Any]
    """`Recipe.to_dict()`, for a training of `epochs`."""
    epochs: int
    params: dict[str, Any]
    """The parameters that give this recipe in the space; empty where it has values outside of the space."""
    outside: list[str] = field(default_factory=list)
    """These values, in words."""
    own_epochs: int | None = None
    """The length that its file asks for; None where it asks for none."""


@dataclass(frozen=True)
class Epoch:
    """What one trial reported at the end of one epoch."""

    trial: int
    epoch: int
    """Counted from 1."""
    passes: float
    """Passes over the training part so far: the fidelity that the scheduler compares at."""
    metrics: dict[str, float]
    """See `trainables.loop.train` for the names; a diverged epoch may hold NaN."""
    node: str = ""
    device: str = ""
    time: float = 0.0
    """Seconds since the Unix epoch, when the driver received it."""


def diverged(epoch: Epoch) -> bool:
    """Whether a loss is no longer a finite number."""
    losses = [value for name, value in epoch.metrics.items() if name.endswith("_loss")]
    return not all(math.isfinite(loss) for loss in losses)


@dataclass
class TrialRecord:
    """All that is known of one trial, put together from the records."""

    trial: Trial
    started: float
    """Seconds since the Unix epoch."""
    history: list[Epoch] = field(default_factory=list)
    """By epoch, each epoch once."""
    outcome: Outcome | None = None
    ended: float | None = None
    error: str | None = None
    """The last line of what went wrong, for people."""
    traceback: str | None = None
    retries: int = 0
    """How often it was started again because it was lost."""
    lost_by: str = ""
    """What took it the last time, in words."""
    losses: dict[Cause, int] = field(default_factory=dict)
    """How often each cause took it since its start."""
    control: float | None = None
    """Passes over the training part at which the stopping rule would have stopped it: it runs on as a control
    of the rule. None: it is no control."""

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.trial.number

    def may_restart(self, cause: Cause) -> bool:
        """Whether it starts again when this cause takes it: not where it has ended, or was lost too often."""
        may = cause is Cause.NODE or self.losses.get(cause, 0) < MOST_RESTARTS
        return may and self.outcome is None

    @property
    def ended_by_budget(self) -> bool:
        """Whether it was stopped because the search's budget was used up, not for its score."""
        return self.outcome is Outcome.STOPPED and self.error is not None

    @property
    def ended_by_rule(self) -> bool:
        """Whether the stopping rule ended it, for its score."""
        return self.outcome is Outcome.STOPPED and self.error is None

    @property
    def epochs_done(self) -> int:
        """Epochs reported so far."""
        return self.history[-1].epoch if self.history else 0

    @property
    def passes(self) -> float:
        """Passes over the training part so far."""
        return self.history[-1].passes if self.history else 0.0

    @property
    def seconds(self) -> float:
        """Training and validation time over its epochs."""
        return sum(epoch.metrics.get("epoch_s", 0.0) for epoch in self.history)

    def kept(self, until: int | None = None) -> Epoch:
        """The epoch whose weights the training comes out with, or would have, had it ended after `until`."""
        history = self.history
        if until is not None:
            history = [epoch for epoch in history if epoch.epoch <= until]
        keep = self.trial.recipe.get("keep", "last")
        return history[kept_place([epoch.metrics for epoch in history], keep)]

    def score(self, metric: Metric) -> float | None:
        """The metric of the weights that the trial came out with: of its last epoch, unless its recipe keeps
        the best weights. None before the first report, or where it is not finite.

        Not the best value of all epochs: picking the luckiest one on the validation part would promise more
        than the weights that are exported can hold.
        """
        if not self.history or self.outcome is Outcome.DIVERGED:
            return None
        value = self.kept().metrics.get(metric.name, math.nan)
        return value if math.isfinite(value) else None


def kept_place(history: Sequence[Mapping[str, float]], keep: str) -> int:
    """The place of the epoch whose weights a training comes out with, given what its epochs reported.

    Args:
        keep: The recipe's: the last one, or the first of those with the lowest validation loss. Where
            nothing was validated, there is no best.
    """
    if keep == "last":
        return len(history) - 1
    losses = [metrics.get("val_loss", math.inf) for metrics in history]
    return len(history) - 1 if min(losses) == math.inf else losses.index(min(losses))


def ranked(records: list[TrialRecord], metric: Metric) -> list[TrialRecord]:
    """The trials from best to worst, by their scores, whether they ran their full length or not.

    A trial that was stopped early rarely scores higher than one that went on; when it does, it is the
    better one on less training. Ties go to the trial that came further, then to the earlier one. Trials
    without a score come last.
    """

    def key(record: TrialRecord) -> tuple[bool, float, float, int]:
        score = record.score(metric)
        gain = 0.0 if score is None else metric.gain(score)
        return (score is None, -gain, -record.passes, record.number)

    return sorted(records, key=key)
