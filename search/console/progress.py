"""What a running search shows in the terminal: a live panel, or plain lines where output is piped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from search.console.live import LiveLine
from search.engine.budget import Estimate
from search.engine.engine import Engine
from search.settings.allowance import span
from search.text import count
from search.trials.trials import Metric, Outcome, TrialRecord, ranked

MAIN_SETTINGS = {
    "model.name": "{}",
    "optim.lr": "lr {}",
    "augment.strength": "strength {}",
    "freeze.epoch": "epochs frozen: {}",
    "loss.label_smoothing": "label smoothing {}",
}
"""In words."""


class Progress:
    """Follows an engine's records.

    Args:
        clock: Seconds, from any start.
    """

    def __init__(
        self,
        engine: Engine,
        console: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._clock = engine, clock
        self._started = clock()
        self._epochs_before = self._epochs()
        self._told = len(engine.ended)
        self._told_losses = len(engine.losses)
        self._told_plan: Estimate | None = None
        self._shown = LiveLine(console, news=self._news, line=self.line, remarks=self._plan, clock=clock)

    def __enter__(self) -> Progress:
        self._shown.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._shown.__exit__(*exception)

    def tick(self) -> None:
        """Shows what is new; cheap enough to be called many times a second."""
        self._shown.tick()

    def _news(self) -> Iterator[str]:
        """The trials that were lost, and those that have ended, since it was last asked for."""
        losses, ended_now = self._engine.losses[self._told_losses :], self._engine.ended[self._told :]
        self._told_losses += len(losses)
        self._told += len(ended_now)
        for trial, why in losses:
            yield f"trial {trial:>3}  starts again from its checkpoint: {why}"
        for record in ended_now:
            yield ended(record, self._engine.metric)

    def line(self) -> str:
        """The state of the search in one sentence."""
        records = self._engine.records
        ends = {outcome: sum(record.outcome is outcome for record in records) for outcome in Outcome}
        done = sum(ends.values())
        trials = self._engine.budget.allowance.trials
        parts = [f"{done} of {count(trials, 'trial')} done" if trials else f"{count(done, 'trial')} done"]
        details = [
            f"{number} {outcome.value.replace('_', ' ')}" for outcome, number in ends.items() if number
        ]
        if details:
            parts[0] += f" ({', '.join(details)})"
        parts.append(f"{len(records) - done} running")
        minutes = (self._clock() - self._started) / 60
        epochs = self._epochs() - self._epochs_before
        if epochs and minutes > 0:
            parts.append(f"{epochs / minutes:.1f} epochs/min")
        budget = self._engine.budget
        if (estimate := budget.estimate()) and (left := (estimate.time_s - budget.elapsed_s) / 60) > 0:
            parts.append(f"about {left:.0f} min left" if left >= 1 else "under a minute left")
        parts += budget.used()
        best = ranked(records, self._engine.metric)[:1]
        if best and (score := best[0].score(self._engine.metric)) is not None:
            parts.append(f"best {_score(score)} (trial {best[0].number}: {main_settings(best[0])})")
        return " | ".join(parts)

    def _epochs(self) -> int:
        return sum(len(record.history) for record in self._engine.records)

    def _plan(self) -> Iterator[str]:
        """What the search is going to come to, when that is first known and when it has changed."""
        estimate = self._engine.budget.estimate()
        if estimate and (self._told_plan is None or estimate.differs(self._told_plan)):
            self._told_plan = estimate
            yield f"plan: {estimate}"


def ended(record: TrialRecord, metric: Metric) -> str:
    """A trial that has ended, in a line."""
    error = " ".join((record.error or "").split())
    what = {
        Outcome.COMPLETE: "complete" if record.control is None else "complete, as a control",
        Outcome.STOPPED: f"stopped after epoch {record.epochs_done}{f': {error}' if error else ''}",
        Outcome.DIVERGED: f"diverged in epoch {record.epochs_done}",
        Outcome.OUT_OF_MEMORY: "out of memory",
        Outcome.FAILED: f"failed: {error}",
        Outcome.TIMED_OUT: f"timed out: {error}",
    }[record.outcome or Outcome.FAILED]
    score = record.score(metric)
    shown = f"{_score(score)} " if score is not None else ""
    return f"trial {record.number:>3}  {shown}{what}  {main_settings(record)}, {span(record.seconds)}"


def main_settings(record: TrialRecord) -> str:
    """A trial's most telling settings, such as `plain_cnn, lr 0.0021, strength 0.4`.

    A recipe that was given begins with where it is from: `default: plain_cnn`.
    """
    values = _flat(record.trial.recipe)
    varied = {name.split("@")[0] for name in record.trial.params} | {"model.name"}
    source = f"{record.trial.source}: " if record.trial.source else ""
    return source + ", ".join(
        words.format(_short(values[name]))
        for name, words in MAIN_SETTINGS.items()
        if name in varied and name in values
    )


def _flat(recipe: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{section}.{name}": value
        for section, values in recipe.items()
        if isinstance(values, dict)
        for name, value in values.items()
    }


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _score(value: float) -> str:
    return f"{value:.4f}"
