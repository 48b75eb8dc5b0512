"""Folders of searches that never ran, told event by event, for trackers to follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.storage.folder import SearchFolder, State
from search.tracking.runs import Run
from search.trials.records import RecordFile
from search.trials.trials import Epoch, Outcome, Trial, TrialRecord, ranked
from tests.simulated import search_folder

Event = tuple[float, Trial | Epoch | TrialRecord]


def events(records: list[TrialRecord]) -> list[Event]:
    """All that happened, in order: trials that began, epochs, and the records of trials that ended."""
    found: list[tuple[float, int, Any]] = []
    for record in records:
        found.append((record.started, 0, record.trial))
        found += [(epoch.time, 1, epoch) for epoch in record.history]
        if record.ended is not None:
            found.append((record.ended, 2, record))
    return [(moment, what) for moment, _, what in sorted(found, key=lambda event: event[:2])]


def told_folder(path: Path, happened: list[Event], **asked: Any) -> SearchFolder:
    """A search's folder with these events in its records; its driver is gone."""
    folder = search_folder(path, **asked)
    tell(folder, happened)
    return folder


def tell(folder: SearchFolder, happened: list[Event]) -> None:
    """A session of the driver in which this happened."""
    now = happened[0][0] - 1 if happened else 0.0
    file = RecordFile(folder.records_file, clock=lambda: now)
    file.session()
    for moment, what in happened:
        now = moment
        if isinstance(what, Trial):
            file.trial(what)
        elif isinstance(what, Epoch):
            file.epoch(what)
        else:
            assert isinstance(what.outcome, Outcome)
            file.end(what.number, what.outcome, what.error, what.traceback)
    file.close()


def end(folder: SearchFolder, state: State = State.FINISHED) -> None:
    """The search has ended, and left its files."""
    (folder.path / "best_config.yaml").write_text("epochs: 9\n")
    (folder.path / "leaderboard.html").write_text("<p>größer</p>")
    (folder.path / "leaderboard.csv").write_text("rank,trial\n1,3\n")
    best = ranked(folder.records().all(), folder.settings().scored_by)[0].number
    folder.write_json(folder.manifest_file, {"state": str(state), "best_trial": best})


class Listing:
    """A tracker that notes what it is told, and fails when it is asked to."""

    look = "look here"

    def __init__(self) -> None:
        self.told: list[Run] = []
        self.failing: set[str] = set()
        """Keys of runs."""
        self.closed = False

    def write(self, run: Run) -> None:
        if run.key in self.failing:
            raise ConnectionError("no answer from https://me:geheim123@example.org/")
        self.told.append(run)

    def close(self) -> None:
        self.closed = True

    def latest(self) -> dict[str, Run]:
        """The runs as they were told last."""
        return {run.key: run for run in self.told}
