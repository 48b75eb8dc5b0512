"""Our own search: the sampler and the stopping rule that `search.run` drives."""

from __future__ import annotations

import math

from benchmarks.quality.interface import Job, Objective
from search.policy.asha import Asha, Decision
from search.policy.sampler import Sampler
from search.trials import Epoch, Metric, Outcome, Trial, TrialRecord

SCORE = Metric("score", "score", "max")


class Ours:
    """TPE over the space as a whole, and ASHA that stops."""

    def __init__(self, objective: Objective, *, seed: int, workers: int) -> None:
        self._objective = objective
        self._sampler = Sampler(objective.space, SCORE, seed=seed)
        self._asha = Asha(objective.max_epochs)
        self._records: list[TrialRecord] = []

    def ask(self) -> Job:
        number, epochs = len(self._records), self._objective.max_epochs
        params = self._sampler.ask(number)
        self._records.append(TrialRecord(Trial(number, {}, params, number, epochs), started=0.0))
        return Job(number, params, epochs)

    def report(self, trial: int, epoch: int, score: float) -> bool:
        record = self._records[trial]
        record.history.append(Epoch(trial, epoch, epoch, {"score": score}))
        decision = self._asha.report(trial, epoch, score)
        if not math.isfinite(score):
            record.outcome = Outcome.DIVERGED
        elif epoch == self._objective.max_epochs:
            record.outcome = Outcome.COMPLETE
        elif decision is Decision.STOP:
            record.outcome = Outcome.STOPPED
        if record.outcome is None:
            return True
        self._sampler.tell(record)
        return False
