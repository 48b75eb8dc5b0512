"""Ray Tune's scheduler interface over the engine: whether a trial goes on after a report."""

from __future__ import annotations

import json
import time
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from search.engine import Engine
from search.policy.asha import Decision
from search.trials import Epoch, Outcome
from search.tune.unsaved import Unsaved


class EngineScheduler(Unsaved, FIFOScheduler):
    """Passes every message of a trial to the engine, which records it and decides."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        """CONTINUE or STOP, after one message of `trainables.worker`."""
        message = json.loads(result["message"])
        if message.pop("event") == "end":
            outcome = Outcome(message.pop("outcome"))
            self._engine.end(message.pop("trial"), outcome, **message)
            return self.CONTINUE  # the trial's function returns by itself
        decision = self._engine.report(Epoch(**message, time=time.time()))
        return self.STOP if decision is Decision.STOP else self.CONTINUE
