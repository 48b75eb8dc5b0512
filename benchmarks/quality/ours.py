"""Our own search: the policy that `search.run` drives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.quality.interface import Job, Objective
from search.engine.starting import turn
from search.policy.asha import Decision
from search.policy.former import Former, former_search
from search.policy.policy import make_policy
from search.trials.trials import Epoch, Metric, Outcome, Trial, TrialRecord, ranked

SCORE = Metric("score", "score", "max")


class Ours:
    """A search as it comes: half of the suggestions and the stopping by forecasts of where trials will end.

    It knows beforehand what a configuration costs in comparison with others, as our cost model does. No trial
    that the rule would stop runs on as a control: that share is for those who want to know what it costs.

    Args:
        sampler: By its name for a search.
        former: Searches that it learns from.
        starts: Parameters that are tried early, by the turns that starting recipes have in a search.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        seed: int,
        workers: int,
        sampler: str = "forecast",
        former: Sequence[Former] = (),
        starts: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._objective = objective
        self._starts = {turn(place): params for place, params in enumerate(starts)}
        made = make_policy(
            objective.space,
            SCORE,
            name=sampler,
            seed=seed,
            max_passes=objective.max_epochs,
            cost=lambda params: objective.evaluate(objective.space.drawn(params), 0)[2],
            former=former,
        )
        self._sampler, self._rule = made.sampler, made.rule
        self._records: list[TrialRecord] = []
        self._order: list[Epoch] = []

    def ask(self) -> Job:
        number, epochs = len(self._records), self._objective.max_epochs
        given = number in self._starts
        params = dict(self._starts[number]) if given else self._sampler.ask(number)
        self._records.append(TrialRecord(Trial(number, {}, params, number, epochs), started=0.0))
        if given:
            self._sampler.restore(self._records[number])
        return Job(number, params, epochs)

    def report(self, trial: int, epoch: int, score: float) -> bool:
        record = self._records[trial]
        record.history.append(Epoch(trial, epoch, epoch, {"score": score}))
        self._order.append(record.history[-1])
        self._rule.enter(trial, epoch, score)
        if not math.isfinite(score):
            record.outcome = Outcome.DIVERGED
        elif epoch == self._objective.max_epochs:
            record.outcome = Outcome.COMPLETE
        elif self._rule.decide(trial) is Decision.STOP:
            record.outcome = Outcome.STOPPED
        if record.outcome is None:
            return True
        self._sampler.tell(record)
        return False

    def as_former(self) -> Former:
        """What a later search of the same space learns from this one."""
        return former_search(
            self._objective.name,
            {record.number: record.trial.params for record in self._records},
            dict(enumerate(self._records)),
            self._order,
            SCORE,
            of=len(self._records),
            max_passes=self._objective.max_epochs,
            reduction=3,
        )

    def best(self) -> list[dict[str, Any]]:
        """Parameters of the trials of full length, the best first."""
        whole = [record for record in self._records if record.outcome is Outcome.COMPLETE]
        return [record.trial.params for record in ranked(whole, SCORE)]
