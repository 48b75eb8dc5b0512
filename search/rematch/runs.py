"""The rematch: the best trials of a search, trained again from scratch with fresh seeds.

A search compares single noisy runs on the same validation pictures, so its best score is partly luck. Here
each of the best trials, the *contenders*, gets several runs, whose answers on the selection part, which
nothing has looked at before, are compared afterwards (`search.rematch.conclusion`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from search.policy.asha import Decision
from search.trials.losses import Loss
from search.trials.records import RecordFile, Records
from search.trials.trials import Epoch, Metric, Outcome, Trial, TrialRecord, diverged, ranked

ORIGIN = "rematch"
"""Of the runs' trials."""
_APART = 0x52656D61
"""Sets the runs' seeds apart from those of a search's trials."""


def contenders(records: list[TrialRecord], metric: Metric, count: int) -> list[TrialRecord]:
    """The best trials of a search, at most so many; all have a score."""
    return [record for record in ranked(records, metric) if record.score(metric) is not None][:count]


def runs_of(records: Sequence[TrialRecord], contender: int) -> list[TrialRecord]:
    """The runs of a contender, by its trial's number."""
    return [record for record in records if record.trial.source == str(contender)]


def runs_due(records: Records) -> list[TrialRecord]:
    """The runs that the latest session of a rematch goes on with, or has done, by number: without those that
    a former session began, and that there is no time for any more."""
    if records.due is None:
        return records.all()
    numbers, seeds = records.due
    due = [run for number in numbers for run in runs_of(records.all(), number)[:seeds]]
    return sorted(due, key=lambda run: run.number)


class Rematch:
    """The runs over their records; on records that hold some already it goes on from them.

    Each contender gets a first run before any gets a second one. A run that fails, or diverges, is not
    repeated.

    Args:
        file: Of the runs alone.
        seeds: Runs of each contender.
        seed: Of the search; each run derives its own from this, its contender and its place.
        ended: Hears the number of each run that has ended, after it is recorded.
    """

    def __init__(
        self,
        file: RecordFile,
        contenders: Sequence[TrialRecord],
        *,
        seeds: int,
        seed: int,
        ended: Callable[[int], None] = lambda run: None,
    ) -> None:
        self.contenders, self.seeds = contenders, seeds
        self._file, self._seed, self._ended = file, seed, ended
        self._unfinished = deque(record.trial for record in self.due if record.outcome is None)

    @classmethod
    def largest(
        cls,
        file: RecordFile,
        contenders: Sequence[TrialRecord],
        *,
        seeds: int,
        has_room: Callable[[Sequence[TrialRecord]], bool],
        **given: Any,
    ) -> Rematch | None:
        """One that there is time for: with fewer seeds, then with fewer contenders; None where for none.

        With one contender nothing is compared, and one seed says nothing of the next.

        Args:
            has_room: Whether runs of these trials, each as often as it is named, end in time.
            given: As for a new one.
        """
        sizes = [(len(contenders), fewer) for fewer in range(seeds, 1, -1)]
        sizes += [(fewer, 2) for fewer in range(len(contenders) - 1, 1, -1)]
        for number, runs in sizes:
            found = cls(file, contenders[:number], seeds=runs, **given)
            if has_room([contender for contender, _ in found.lacking()]):
                return found
        return None

    @property
    def records(self) -> list[TrialRecord]:
        """All runs so far, by number: those of former contenders too."""
        return self._file.records.all()

    @property
    def due(self) -> list[TrialRecord]:
        """The runs of these contenders so far."""
        numbers = [contender.number for contender in self.contenders]
        return [run for number in numbers for run in runs_of(self.records, number)[: self.seeds]]

    def lacking(self) -> list[tuple[TrialRecord, int]]:
        """The contenders whose runs have not begun, with the runs' places among their own, in order."""
        have = {
            contender.number: len(runs_of(self.records, contender.number)) for contender in self.contenders
        }
        return [
            (contender, place)
            for place in range(self.seeds)
            for contender in self.contenders
            if have[contender.number] <= place
        ]

    @property
    def finished(self) -> bool:
        """Whether all runs have ended."""
        return not self.lacking() and all(run.outcome for run in self.due)

    def ask(self) -> Trial | None:
        """The next run: first those that were cut off or lost; None when no more begins, or none can be
        trained."""
        if self._file.records.trouble:
            return None
        if self._unfinished:
            return self._unfinished.popleft()
        lacking = self.lacking()
        if not lacking:
            return None
        contender, place = lacking[0]
        entropy = [self._seed, contender.number, place, _APART]
        trial = contender.trial
        run = Trial(
            len(self.records),
            trial.recipe,
            {},
            int(np.random.SeedSequence(entropy).generate_state(2)[1]),
            trial.epochs,
            origin=ORIGIN,
            source=str(contender.number),
        )
        self._file.trial(run)
        return run

    def report(self, epoch: Epoch) -> Decision:
        """Records an epoch; STOP where the run has ended. Epochs known already change nothing."""
        record = self._file.records.trials[epoch.trial]
        if record.outcome is not None:
            return Decision.STOP
        self._file.epoch(epoch)
        if diverged(epoch):
            self.end(epoch.trial, Outcome.DIVERGED, "the loss was no longer a finite number")
            return Decision.STOP
        return Decision.CONTINUE

    def end(
        self, trial: int, outcome: Outcome, error: str | None = None, traceback: str | None = None
    ) -> None:
        """Records how a run ended; a second end of one run changes nothing."""
        if self._file.records.trials[trial].outcome is None:
            self._file.end(trial, outcome, error, traceback)
            self._ended(trial)

    def lost(self, trial: int, loss: Loss) -> None:
        """Records that a run was lost, as `Engine.lost` does."""
        if self._file.retry(trial, loss):
            self._unfinished.append(self._file.records.trials[trial].trial)
        else:
            self.end(trial, Outcome.FAILED, loss.given_up, loss.details)
