"""Keeps a tracker level with a search's records, while it runs and when it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from filelock import FileLock, Timeout

from search.storage.folder import SearchFolder, State
from search.tracking.runs import identity, search_run, trial_run
from search.tracking.trackers import KINDS, Tracker, TrackingError, open_tracker
from search.trials.records import RecordReader
from trainables.secrets import without_secrets

EVERY_S = 1.0
RETRY_S = 60.0
FILES = ("best_config.yaml", "leaderboard.html", "leaderboard.csv", "rematch.json")
"""Kept with the search's own run when it has ended."""
LONGEST = 200
"""Characters of a library's own words."""
Say = Callable[[str], None]


def follow(folder: SearchFolder, name: str, say: Say, *, retry_s: float = RETRY_S) -> bool:
    """Brings a tracker level with a search, and keeps it so for as long as the search runs.

    What fails is said once and tried again: what a tracker lacks, the records have.

    Args:
        name: In `KINDS`.
        say: Hears sentences for people.
        retry_s: Pause after a failure.

    Returns:
        Whether the tracker has all of it.

    Raises:
        TrackingError: The search has recorded nothing.
        RecordsError: The records are damaged.
    """
    lock = FileLock(folder.path / f".{name}.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        say(f"{KINDS[name].title}: another process sends this search there; waiting until it has ended.")
        held = lock.acquire(poll_interval=EVERY_S)
    with held:
        return _Follower(folder, name, say, retry_s).run()


class _Follower:
    def __init__(self, folder: SearchFolder, name: str, say: Say, retry_s: float) -> None:
        self._folder, self._name, self._say, self._retry_s = folder, name, say, retry_s
        self._settings = folder.settings()
        self._reader = RecordReader(folder.records_file)
        self._tracker: Tracker | None = None
        self._behind: dict[int, None] = {}
        """The trials whose runs lack something, in the order of their turns."""
        self._failed = False
        self._not_before = 0.0

    def run(self) -> bool:
        while True:
            state = self._folder.state  # first: of a search that has ended, all is there to be read
            news = self._reader.read()
            if not self._reader.records.sessions:
                raise TrackingError(f"{self._folder.path} has recorded nothing yet.")
            self._behind |= dict.fromkeys(sorted(news))
            if state is not State.RUNNING:
                return self._tried(self._last, state)
            if (self._behind or self._tracker is None) and time.monotonic() >= self._not_before:
                self._tried(self._level, state)
            time.sleep(EVERY_S)

    def _tried(self, step: Callable[[State], None], state: State) -> bool:
        try:
            step(state)
        except Exception as fault:  # of any library, or of the network behind it
            self._not_before = time.monotonic() + self._retry_s
            if not self._failed:
                words = without_secrets(f"{type(fault).__name__}: {fault}".splitlines()[0])
                goes_on = " The search goes on, and this is tried again." * (state is State.RUNNING)
                self._say(f"{KINDS[self._name].title} cannot be written to ({words[:LONGEST]}).{goes_on}")
            self._failed = True
            return False
        return True

    def _level(self, state: State) -> None:
        """Writes what the tracker lacks."""
        records = self._reader.records
        if self._tracker is None:
            self._tracker = open_tracker(self._name, self._folder, identity(records, self._settings))
            self._say(f"{KINDS[self._name].title}: {self._tracker.look}")
        self._tracker.write(
            search_run(records, self._settings, State.RUNNING, self._files(["settings.json"]))
        )
        for number in list(self._behind):
            del self._behind[number]
            self._behind[number] = None  # where it fails, all others have their turns first
            self._tracker.write(trial_run(records.trials[number], self._settings, state))
            del self._behind[number]

    def _last(self, state: State) -> None:
        """As `_level`, of a search that has ended, with its files; nothing is written after."""
        records = self._reader.records
        cut_off = [record.number for record in records.all() if record.outcome is None]
        self._behind |= dict.fromkeys(cut_off)
        self._level(state)
        assert self._tracker is not None
        manifest = self._folder.manifest_file
        winner = self._folder.read_json(manifest).get("best_trial") if manifest.exists() else None
        files = self._files(["settings.json", *FILES])
        self._tracker.write(search_run(records, self._settings, state, files, winner))
        self._tracker.close()

    def _files(self, names: Iterable[str]) -> dict[str, str]:
        """Those of the folder's files that are there."""
        paths = (self._folder.path / name for name in names)
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}
