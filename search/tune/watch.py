"""Watches the running trials from Tune's loop: lost processes, trials that hang, progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ray
from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial as TuneTrial

from search.trials.trials import Outcome
from search.tune.driven import Driven
from search.tune.lost import loss_of
from search.tune.room import Room
from search.tune.unsaved import Unsaved


class Watch(Unsaved, Callback):
    """Tells of lost trials, kills those that hang, and calls `tick` as time passes.

    Args:
        silence_s: A trial that reports nothing for this long is hanging: its process is killed, because
            a thread cannot be, and with it the danger that it spoils the next trial of its actor.
        tick: Called several times a second from the driver's loop.
    """

    def __init__(self, driven: Driven, room: Room, *, silence_s: float, tick: Callable[[], None]) -> None:
        self._driven, self._room, self._silence_s, self._tick = driven, room, silence_s, tick
        self._heard: dict[str, tuple[TuneTrial, float]] = {}
        """The running trials, and when each was last heard of."""
        self._resting: dict[str, TuneTrial] = {}
        """Those that have been told as lost, and keep their places; see `Room.lacks`."""

    def on_step_begin(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Once around Tune's loop."""
        self._tick()
        now = time.monotonic()
        for trial, heard in list(self._heard.values()):  # not all that there ever were: they may be thousands
            if now - heard > self._silence_s:
                self._give_up(trial)
        for trial_id in self._room.let_go():
            _kill(self._resting[trial_id])

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """A trial has been handed to an actor; where it has several workers, that still waits for them."""
        if self._room.resources.workers == 1:
            self._begins(trial)

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial has reported."""
        if self._room.rests(trial.trial_id):
            self._heard.pop(trial.trial_id, None)
            self._resting[trial.trial_id] = trial
        else:
            self._begins(trial)

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial has ended."""
        self._heard.pop(trial.trial_id, None)
        self._resting.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """A trial's process was lost, or Tune could not start it. Where it starts again, then as a new trial
        of Tune's: that would count the loss of a machine as a failure."""
        self._heard.pop(trial.trial_id, None)
        if not self._resting.pop(trial.trial_id, None):
            self._driven.lost(number_of(trial), loss_of(trial))

    def _begins(self, trial: TuneTrial) -> None:
        self._heard[trial.trial_id] = trial, time.monotonic()
        self._room.runs(trial.trial_id)

    def _give_up(self, trial: TuneTrial) -> None:
        self._driven.end(
            number_of(trial),
            Outcome.TIMED_OUT,
            f"no report for {self._silence_s:g} s; its process was killed",
        )
        self._heard.pop(trial.trial_id, None)
        _kill(trial)


class StopAll(Stopper):
    """Ends the search at once when `stop` has been called: from a signal handler, say."""

    def __init__(self) -> None:
        self.stopped = False

    def stop(self) -> None:
        """Asks for the end."""
        self.stopped = True

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stops a single trial."""
        return False

    def stop_all(self) -> bool:
        """Whether the end was asked for."""
        return self.stopped


def _kill(trial: TuneTrial) -> None:
    """Ends its process: a thread cannot be ended."""
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        ray.kill(actor)


def number_of(trial: TuneTrial) -> int:
    """Our number of a trial of Tune's."""
    return int(trial.config["trial"]["number"])
