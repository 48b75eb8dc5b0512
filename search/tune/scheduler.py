"""Ray Tune's scheduler interface over what is driven: whether a trial goes on after a report."""

from __future__ import annotations

import json
import time
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from search.policy.asha import Decision
from search.trials import Epoch, Outcome
from search.tune.driven import Driven
from search.tune.unsaved import Unsaved


class TrialScheduler(Unsaved, FIFOScheduler):
    """Passes every message of a trial on to where it is recorded and decided on."""

    def __init__(self, driven: Driven) -> None:
        super().__init__()
        self._driven = driven

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        """CONTINUE or STOP, after one message of `trainables.worker`."""
        message = json.loads(result["message"])
        event = message.pop("event")
        if event == "begin":
            return self.CONTINUE  # its workers are together, which the watch wants to know
        if event == "end":
            outcome = Outcome(message.pop("outcome"))
            self._driven.end(message.pop("trial"), outcome, **message)
            return self.CONTINUE  # the trial's function returns by itself
        decision = self._driven.report(Epoch(**message, time=time.time()))
        return self.STOP if decision is Decision.STOP else self.CONTINUE
