"""The records of a search: one append-only file of JSON lines, the truth from which all else is derived.

Each line is one event: `session` (the driver started), `trial` (a trial was decided on), `epoch`,
`control` (the stopping rule would have stopped it, and it runs on), `retry` (it was lost, and starts again
from its checkpoint) and `end`. A line counts once its newline is written; a torn last line, left by a
killed driver, is dropped at the next start.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from search.trials.losses import MOST_IN_VAIN, Cause, Loss
from search.trials.trials import Epoch, Outcome, Trial, TrialRecord
from spaces.errors import InputError
from trainables.secrets import without_secrets

FILE = "records.jsonl"


class RecordsError(InputError):
    """The records file holds a line that this program did not write."""


class NoRecordError(InputError):
    """A record cannot be written: the disk is full, say. Without records there is no search."""


@dataclass
class Records:
    """A search as its records tell it."""

    trials: dict[int, TrialRecord] = field(default_factory=dict)
    """By trial number, in order."""
    sessions: list[tuple[float, float]] = field(default_factory=list)
    """Start and last sign of life of each run of the driver, in seconds since the Unix epoch."""
    order: list[Epoch] = field(default_factory=list)
    """All epochs in the order in which they arrived: what a scheduler is rebuilt from."""
    due: tuple[list[int], int] | None = None
    """Of a rematch, the contenders that its latest session has time for, and the runs of each; None where
    that is not told."""
    ended: list[TrialRecord] = field(default_factory=list)
    """Those that have ended, in that order."""
    stops: int = 0
    """How many trials the stopping rule has stopped, or would have stopped, had they been no controls."""
    in_vain: list[str] = field(default_factory=list)
    """Why the last attempts found nothing to work with, as long as none has come to anything since."""
    losses: list[tuple[int, str]] = field(default_factory=list)
    """Trials that were lost and started again, and why, in that order."""

    @property
    def elapsed_s(self) -> float:
        """Seconds that drivers have spent on this search, over all sessions."""
        return sum(last - start for start, last in self.sessions)

    @property
    def trouble(self) -> str | None:
        """Why there is no sense in trying further trials, in words: each finds nothing to work with."""
        return self.in_vain[-1] if len(self.in_vain) >= MOST_IN_VAIN else None

    def all(self) -> list[TrialRecord]:
        """The trials by number."""
        return [self.trials[number] for number in sorted(self.trials)]

    def apply(self, event: dict[str, Any]) -> int | None:
        """Takes one event in.

        Returns:
            The number of the trial that it is about.

        Raises:
            KeyError, TypeError, ValueError: The event is not of the form that `RecordFile` writes.
        """
        kind, moment = event["event"], float(event["time"])
        if kind == "session":
            self.sessions.append((moment, moment))
            self.due = (list(event["contenders"]), int(event["seeds"])) if "contenders" in event else None
            self.in_vain.clear()
            return None
        if self.sessions:
            self.sessions[-1] = (self.sessions[-1][0], max(self.sessions[-1][1], moment))
        if kind == "trial":
            trial = Trial(**event["trial"])
            self.trials.setdefault(trial.number, TrialRecord(trial, started=moment))
            return trial.number
        record = self.trials[event["trial"]]
        if kind == "epoch":
            epoch = Epoch(**{key: value for key, value in event.items() if key != "event"})
            if epoch.epoch > record.epochs_done:
                record.history.append(epoch)
                self.order.append(epoch)
                self.in_vain.clear()
        elif kind == "control":
            self.stops += record.control is None
            record.control = float(event["passes"])
        elif kind == "retry":
            cause = Cause(event.get("cause", Cause.PROCESS))
            record.retries += 1
            record.lost_by = event.get("why", "its process was lost")
            record.losses[cause] = record.losses.get(cause, 0) + 1
            self.losses.append((record.number, record.lost_by))
            if cause is Cause.PLACE:
                self.in_vain.append(record.lost_by)
        elif kind == "end":
            if record.outcome is None:
                record.outcome = Outcome(event["outcome"])
                record.ended, record.error, record.traceback = moment, event["error"], event["traceback"]
                self.stops += record.ended_by_rule and record.control is None
                self.ended.append(record)
        else:
            raise ValueError(f"unknown event {kind!r}")
        return record.number


class RecordReader:
    """Reads records while they may grow, whole lines only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = Records()
        self.size = 0
        """Bytes of the whole lines so far."""
        self._lines = 0

    def read(self) -> set[int]:
        """Takes in what has been appended since the last time; a file that is not there holds nothing.

        Returns:
            The numbers of the trials that it is about.

        Raises:
            RecordsError: A whole line is not one of ours; the message says which.
        """
        content = _after(self.path, self.size)
        whole = content[: content.rfind(b"\n") + 1]
        about = [self._apply(line) for line in whole.split(b"\n")[:-1]]
        self.size += len(whole)
        return {number for number in about if number is not None}

    def _apply(self, line: bytes) -> int | None:
        self._lines += 1
        try:
            return self.records.apply(json.loads(line))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as fault:
            raise RecordsError(
                f"{self.path}, line {self._lines}: not a record of this program ({type(fault).__name__}: "
                f"{fault}). Restore the file from a copy, or start a new search under another --name."
            ) from fault


def read(path: Path) -> Records:
    """The records in `path`, as they are now; see `RecordReader.read`."""
    reader = RecordReader(path)
    reader.read()
    return reader.records


def _after(path: Path, at: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(at)
        return file.read()


def steady_clock(last: float = 0.0) -> Callable[[], float]:
    """A clock of seconds since the Unix epoch that is set but once, now, and never back: somebody may set the
    system's clock while a search runs, or between two sessions.

    Args:
        last: It begins no earlier.
    """
    ahead = max(time.time(), last) - time.monotonic()
    return lambda: ahead + time.monotonic()


class RecordFile:
    """Appends to the records, and keeps what they say at hand in `records`.

    Each event is one `write` of one line, so that a kill at any moment leaves whole lines and at most
    one torn one. NaN is written as JSON's common extension `NaN`.
    """

    def __init__(self, path: Path, clock: Callable[[], float] | None = None) -> None:
        self.path = path
        reader = RecordReader(path)
        reader.read()
        self.records = reader.records
        last = self.records.sessions[-1][1] if self.records.sessions else 0.0
        self._clock = clock or steady_clock(last)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._fd, reader.size)

    def session(self, **told: Any) -> None:
        """The driver starts; of a rematch, with what it has time for."""
        self._append({"event": "session", **told})

    def trial(self, trial: Trial) -> None:
        """A trial has been decided on and is about to run."""
        self._append({"event": "trial", "trial": asdict(trial)})

    def epoch(self, epoch: Epoch) -> None:
        """A trial reported an epoch; one that is already recorded is not written again."""
        if epoch.epoch > self.records.trials[epoch.trial].epochs_done:
            self._append({"event": "epoch", **asdict(epoch)})

    def control(self, trial: int, passes: float) -> None:
        """The stopping rule would have stopped a trial at so many passes; it runs on as a control."""
        self._append({"event": "control", "trial": trial, "passes": passes})

    def retry(self, trial: int, loss: Loss) -> bool:
        """A trial was lost. Whether it starts again from its checkpoint: not where it has ended, or has been
        lost too often in a way that counts."""
        record = self.records.trials[trial]
        if not record.may_restart(loss.cause):
            return False
        why = without_secrets(loss.words)
        self._append({"event": "retry", "trial": trial, "cause": loss.cause, "why": why})
        return True

    def end(
        self, trial: int, outcome: Outcome, error: str | None = None, traceback: str | None = None
    ) -> None:
        """A trial has ended. What libraries said goes on to the page and to trackers: no secret comes in."""
        told = {"error": error, "traceback": traceback}
        clean = {name: None if text is None else without_secrets(text) for name, text in told.items()}
        self._append({"event": "end", "trial": trial, "outcome": outcome, **clean})

    def _append(self, event: dict[str, Any]) -> None:
        event = {**event, "time": self._clock()}
        # A traceback may name a file whose name is not text: that must not end the search.
        line = json.dumps(event, ensure_ascii=False).encode(errors="replace") + b"\n"
        size = os.fstat(self._fd).st_size
        try:
            if os.write(self._fd, line) < len(line):
                os.ftruncate(self._fd, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as fault:
            raise NoRecordError(
                f"{self.path}: a record cannot be written ({fault.strerror}). Those before it are whole. "
                "Make room, and go on with the search by --resume."
            ) from fault
        self.records.apply(json.loads(line))

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)
