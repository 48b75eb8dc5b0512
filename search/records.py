"""The records of a search: one append-only file of JSON lines, the truth from which all else is derived.

Each line is one event: `session` (the driver started), `trial` (a trial was decided on), `epoch`,
`control` (the stopping rule would have stopped it, and it runs on), `retry` (its process was lost, it starts
again from its checkpoint) and `end`. A line counts once its newline is written; a torn last line, left by a
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

from search.trials import Epoch, Outcome, Trial, TrialRecord
from spaces.errors import InputError

FILE = "records.jsonl"


class RecordsError(InputError):
    """The records file holds a line that this program did not write."""


@dataclass
class Records:
    """A search as its records tell it."""

    trials: dict[int, TrialRecord] = field(default_factory=dict)
    """By trial number, in order."""
    sessions: list[tuple[float, float]] = field(default_factory=list)
    """Start and last sign of life of each run of the driver, in seconds since the Unix epoch."""
    order: list[Epoch] = field(default_factory=list)
    """All epochs in the order in which they arrived: what a scheduler is rebuilt from."""

    @property
    def elapsed_s(self) -> float:
        """Seconds that drivers have spent on this search, over all sessions."""
        return sum(last - start for start, last in self.sessions)

    @property
    def stops(self) -> int:
        """How many trials the stopping rule has stopped, or would have stopped, had they been no controls."""
        return sum(entry.ended_by_rule or entry.control is not None for entry in self.trials.values())

    def all(self) -> list[TrialRecord]:
        """The trials by number."""
        return [self.trials[number] for number in sorted(self.trials)]

    def apply(self, event: dict[str, Any]) -> None:
        """Takes one event in.

        Raises:
            KeyError, TypeError, ValueError: The event is not of the form that `RecordFile` writes.
        """
        kind, moment = event["event"], float(event["time"])
        if kind == "session":
            self.sessions.append((moment, moment))
            return
        if self.sessions:
            self.sessions[-1] = (self.sessions[-1][0], max(self.sessions[-1][1], moment))
        if kind == "trial":
            trial = Trial(**event["trial"])
            self.trials.setdefault(trial.number, TrialRecord(trial, started=moment))
            return
        record = self.trials[event["trial"]]
        if kind == "epoch":
            epoch = Epoch(**{key: value for key, value in event.items() if key != "event"})
            if epoch.epoch > record.epochs_done:
                record.history.append(epoch)
                self.order.append(epoch)
        elif kind == "control":
            record.control = float(event["passes"])
        elif kind == "retry":
            record.retries += 1
        elif kind == "end":
            if record.outcome is None:
                record.outcome = Outcome(event["outcome"])
                record.ended, record.error, record.traceback = moment, event["error"], event["traceback"]
        else:
            raise ValueError(f"unknown event {kind!r}")


def read(path: Path) -> Records:
    """The records in `path`, whole lines only; empty when there is no file.

    Raises:
        RecordsError: A whole line is not one of ours; the message says which.
    """
    return _parse(path, _whole_lines(path))


def _parse(path: Path, content: bytes) -> Records:
    records = Records()
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            records.apply(json.loads(line))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as fault:
            raise RecordsError(
                f"{path}, line {number}: not a record of this program ({type(fault).__name__}: {fault}). "
                "Restore the file from a copy, or start a new search under another --name."
            ) from fault
    return records


def _whole_lines(path: Path) -> bytes:
    """The file up to its last newline; read at once, for it may grow meanwhile."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


class RecordFile:
    """Appends to the records, and keeps what they say at hand in `records`.

    Each event is one `write` of one line, so that a kill at any moment leaves whole lines and at most
    one torn one. NaN is written as JSON's common extension `NaN`.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        whole = _whole_lines(path)
        self.records = _parse(path, whole)
        self._clock = clock
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._fd, len(whole))

    def session(self) -> None:
        """The driver starts."""
        self._append({"event": "session"})

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

    def retry(self, trial: int) -> None:
        """A trial's process was lost; it starts again from its checkpoint."""
        self._append({"event": "retry", "trial": trial})

    def end(
        self, trial: int, outcome: Outcome, error: str | None = None, traceback: str | None = None
    ) -> None:
        """A trial has ended."""
        self._append(
            {"event": "end", "trial": trial, "outcome": outcome, "error": error, "traceback": traceback}
        )

    def _append(self, event: dict[str, Any]) -> None:
        event = {**event, "time": self._clock()}
        # A traceback may name a file whose name is not text: that must not end the search.
        line = json.dumps(event, ensure_ascii=False).encode(errors="replace") + b"\n"
        size = os.fstat(self._fd).st_size
        if os.write(self._fd, line) < len(line):
            os.ftruncate(self._fd, size)
            raise OSError(errno.ENOSPC, "no room for another record", str(self.path))
        self.records.apply(json.loads(line))

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)
