"""Which states of trials are kept: of those that run or were cut off, and of the best that have ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from search.storage.folder import CHECKPOINTS, SearchFolder
from search.trials.trials import Metric, TrialRecord, ranked
from trainables.checkpoint import checkpoint_name
from trainables.storage import Storage, StorageError


class States:
    """Deletes the states that nothing needs any more.

    Args:
        records: The trials so far.
        metric: What they are ranked by.
        keep: How many of the best trials that have ended keep their state.
        delete: Deletes a file of the search's folder, by name.
    """

    def __init__(
        self, records: Iterable[TrialRecord], metric: Metric, keep: int, delete: Callable[[str], None]
    ) -> None:
        self._metric, self._keep, self._delete = metric, keep, delete
        self._best = self._ranked([record for record in records if record.outcome])[:keep]

    def ended(self, record: TrialRecord) -> None:
        """Takes in that a trial has ended."""
        best = self._ranked([*self._best, record])[: self._keep]
        for other in (*self._best, record):
            if other not in best:
                self._delete(f"{CHECKPOINTS}/{checkpoint_name(other.number)}")
        self._best = best

    def finish(self, home: Storage) -> None:
        """Deletes all but the best, whatever was left behind: nothing runs any more.

        Args:
            home: The search's folder, where the states are.
        """
        kept = {checkpoint_name(record.number) for record in self._best}

        def delete(name: str) -> None:
            if name not in kept:
                self._delete(f"{CHECKPOINTS}/{name}")

        delete_all(home / CHECKPOINTS, delete)

    def _ranked(self, records: list[TrialRecord]) -> list[TrialRecord]:
        return [record for record in ranked(records, self._metric) if record.score(self._metric) is not None]


def delete_all(states: Storage, delete: Callable[[str], None]) -> None:
    """Deletes what is in a folder, and, of this machine, the folder when it is empty.

    Args:
        delete: Called with the name of each file in the folder.
    """
    with contextlib.suppress(OSError):  # a storage that fails is told of by who copies the search there
        for name in states.files():
            delete(name)
        states.delete_empty()


def take_along(folder: SearchFolder, home: Storage) -> None:
    """Moves to the storage what trials have stored in the folder: a search may get its storage later.

    Raises:
        StorageError: It fails.
    """
    rematch = folder.rematch.name
    try:
        for below in (CHECKPOINTS, f"{rematch}/{CHECKPOINTS}"):
            here = Storage.of(folder.path) / below
            for name in here.files():
                (home / below).write(name, here.read(name))
                here.delete(name)
            here.delete_empty()
        answers, there = Storage.of(folder.rematch), (home / rematch).files()
        for name in answers.files():
            if name not in there:
                (home / rematch).write(name, answers.read(name))
    except OSError as fault:
        raise StorageError(f"{home} cannot be used: {fault}.") from fault
