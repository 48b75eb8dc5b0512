"""Ray Tune's scheduler interface over what is driven: whether a trial goes on after a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from search.policy.asha import Decision
from search.trials.losses import Cause, Loss
from search.trials.trials import Epoch, Outcome
from search.tune.draining import Draining
from search.tune.driven import Driven
from search.tune.room import Room
from search.tune.unsaved import Unsaved


class TrialScheduler(Unsaved, FIFOScheduler):
    """Passes every message of a trial on to where it is recorded and decided on.

    Args:
        room: Knows whether a process that finds nothing to work with should stay.
        say: Hears sentences for people.
    """

    def __init__(self, driven: Driven, room: Room, say: Callable[[str], None]) -> None:
        super().__init__()
        self._driven, self._room, self._say = driven, room, say
        self._said: set[str] = set()
        self._draining = Draining()

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None: Tune then starts those that wait, the first first.

        A process that a trial has left goes to a new trial, and not, as it would to one that were named here,
        to one that has its own process starting, which Tune would end. Where trials are shorter than a
        process takes to start, further ones would never come to be: of many slots, one or two would work.
        """

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        """CONTINUE or STOP, after one message of a worker (`trainables/reporting.py`)."""
        message = json.loads(result["message"])
        event = message.pop("event")
        if event == "begin":
            return self.CONTINUE  # its workers are together, which the watch wants to know
        if event == "end":
            outcome = Outcome(message.pop("outcome"))
            self._driven.end(message.pop("trial"), outcome, **message)
            return self.CONTINUE  # the trial's function returns by itself
        if event == "lost":
            return self._lost(trial, **message)
        self._room.works()
        self._tell_of(message.pop("unsaved", None))
        decision = self._driven.report(Epoch(**message))
        if decision is Decision.STOP:
            return self.STOP
        self._draining.leave(trial)
        return self.CONTINUE

    def _lost(self, handed_out: TuneTrial, trial: int, words: str, details: str, stays: bool) -> str:
        """STOP where its process would stay, and there is no better place for others: it is tried again."""
        if stays and self._room.lacks(handed_out.trial_id):
            words += "; its place stays empty until that is mended"
            self._driven.lost(trial, Loss(Cause.NODE, words, details))
            return self.CONTINUE
        self._driven.lost(trial, Loss(Cause.PLACE, words, details))
        return self.STOP if stays else self.CONTINUE

    def _tell_of(self, unsaved: str | None) -> None:
        if unsaved and unsaved not in self._said:
            self._said.add(unsaved)
            self._say(
                f"A checkpoint could not be saved ({unsaved}). Trials go on; one that is cut off starts from "
                "the last that could, or anew."
            )
