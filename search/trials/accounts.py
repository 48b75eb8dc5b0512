"""What a search has used so far, and what its next epochs and the retrain of its winner are going to take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice

from search.trials.lengths import length_passes
from search.trials.records import Records
from search.trials.trials import Metric, Outcome, Trial, TrialRecord
from spaces.recipe import Recipe

FAILURES = (Outcome.FAILED, Outcome.OUT_OF_MEMORY, Outcome.TIMED_OUT)


@dataclass(frozen=True)
class Sums:
    """Over trials."""

    trials: int = 0
    epochs: int = 0
    passes: float = 0.0
    seconds: float = 0.0
    """Of training and validation."""
    gpu_s: float = 0.0
    best: TrialRecord | None = None
    """None as long as none has a score."""
    since_best: int = 0
    """Trials in a row that ended without a better score; none while a running one has it."""
    failures: int = 0
    """Trials in a row that failed."""


@dataclass(frozen=True)
class After:
    """What follows a search, in seconds: of the clock, and of the GPUs that it reserves."""

    retrain_s: float
    rematch_s: float
    retrain_gpu_s: float
    rematch_gpu_s: float


class Accounts:
    """The records of a search, added up.

    Args:
        records: Of this session's `RecordFile`; they grow.
        pictures: Size of the training part.
        growth: How many times as many pictures a retrain has.
        workers: Of each trial. A retrain has one, and takes so many times as long.
        rematch: Runs of the rematch that follows the search.
        at_once: Of these, at a time.
        played: What has been run of rematches; they grow.
        gpus: What a trial reserves, taken for former sessions too.
        clock: Seconds, from any start.
    """

    def __init__(
        self,
        records: Records,
        metric: Metric,
        *,
        pictures: int,
        growth: float = 1.0,
        workers: int = 1,
        rematch: int = 0,
        at_once: int = 1,
        played: Records | None = None,
        gpus: Callable[[Trial], float] = lambda trial: 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.records, self.gpus = records, gpus
        self._metric, self._pictures, self._growth, self._workers = metric, pictures, growth, workers
        self._rematch, self.at_once, self._played = rematch, at_once, played or Records()
        self._clock, self._started = clock, clock()
        self._earlier_s = records.elapsed_s + self._played.elapsed_s
        self.ended = Sums()
        """Over the trials that had ended at the last call of `sums`: there may be thousands of them."""
        self.running: list[TrialRecord] = []
        """Those that trained then, or were going to go on."""
        self._seen = 0
        self.earlier = self.sums()
        """Of former sessions."""

    @property
    def elapsed_s(self) -> float:
        """Seconds of the search, over all sessions, until now; time between sessions does not count."""
        return self._earlier_s + max(0.0, self._clock() - self._started)

    def pace(self, sums: Sums) -> float:
        """Passes a second in this session."""
        return (sums.passes - self.earlier.passes) / max(1e-9, self.elapsed_s - self._earlier_s)

    def sums(self) -> Sums:
        """Over all trials."""
        trials = self.records.trials
        begun = islice(reversed(trials.values()), len(trials) - self._seen)  # not past thousands each time
        known = [*self.running, *reversed([*begun])]
        self._seen = len(trials)
        self.running = [record for record in known if record.outcome is None]
        new = [record for record in known if record.outcome is not None]
        self.ended = self._added(self.ended, sorted(new, key=lambda record: record.ended or 0.0))
        return self._added(self.ended, self.running)

    def _added(self, sums: Sums, records: Iterable[TrialRecord]) -> Sums:
        for record in records:
            better = self._gain(record) > self._gain(sums.best)
            ended_itself = record.outcome is not None and not record.ended_by_budget
            sums = replace(
                sums,
                trials=sums.trials + 1,
                epochs=sums.epochs + len(record.history),
                passes=sums.passes + record.passes,
                seconds=sums.seconds + record.seconds,
                gpu_s=sums.gpu_s + record.seconds * self.gpus(record.trial),
                best=record if better else sums.best,
                since_best=0 if better else sums.since_best + ended_itself,
                failures=sums.failures + 1 if record.outcome in FAILURES else 0,
            )
        return sums

    def _gain(self, record: TrialRecord | None) -> float:
        score = None if record is None else record.score(self._metric)
        return -math.inf if score is None else self._metric.gain(score)

    def next_passes(self, record: TrialRecord) -> float:
        """Passes of a trial's next epoch; 0 where it has none."""
        if record.epochs_done >= record.trial.epochs:
            return 0.0
        if record.history:
            return record.passes / record.epochs_done
        recipe = Recipe.model_validate(record.trial.recipe)
        return length_passes(recipe, epochs=1, pictures=self._pictures)

    def gpu_s(self, sums: Sums) -> float:
        """Seconds of GPUs so far, those of rematches too."""
        return sums.gpu_s + sum(run.seconds * self.gpus(run.trial) for run in self._played.trials.values())

    def after(self, sums: Sums) -> After | None:
        """What follows the search: a rematch, and the retrain of the best trial so far.

        Without a best one, of the trial that takes longest; None where nothing is measured.
        """
        trials = self.records.trials.values()
        known = [sums.best] if sums.best else [record for record in trials if record.history]
        if not known:
            return None
        costs = [(self._retrain_s(record), self.run_s(record), self.gpus(record.trial)) for record in known]
        turns = math.ceil(self._rematch / self.at_once)
        return After(
            max(retrain_s * self._workers for retrain_s, _, _ in costs),
            max(run_s * turns for _, run_s, _ in costs),
            max(retrain_s * gpus for retrain_s, _, gpus in costs),
            max(run_s * gpus * self._rematch for _, run_s, gpus in costs),
        )

    def run_s(self, record: TrialRecord) -> float:
        """Seconds of a run of the rematch: at the trial's full length, or to where its patience ended."""
        epochs = record.epochs_done if record.outcome is Outcome.COMPLETE else record.trial.epochs
        return record.seconds / len(record.history) * epochs

    def _retrain_s(self, record: TrialRecord) -> float:
        """Seconds of a retrain on as many workers as the trial had; `results.config_of` has its length.

        The trial's validation, which a retrain does not have, stands for the test and the export.
        """
        epochs = record.kept().epoch if record.outcome is Outcome.COMPLETE else record.trial.epochs
        growth = self._growth if record.trial.recipe.get("steps_per_epoch") is None else 1.0
        return record.seconds / len(record.history) * epochs * growth


def next_s(record: TrialRecord, sums: Sums) -> float:
    """Seconds of a trial's next epoch: as its own took so far, and before there is one, as those of all."""
    if record.history:
        return record.seconds / len(record.history)
    return sums.seconds / sums.epochs if sums.epochs else 0.0
