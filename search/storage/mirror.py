"""A search's folder kept level with its storage while it runs, so that another machine can go on."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from search.storage.folder import CHECKPOINTS, SearchFolder
from search.storage.owner import Owner
from trainables.saving import SHARE
from trainables.storage import Storage, is_partial

if TYPE_CHECKING:
    from pathlib import Path

EVERY_S, SELDOM_S = 5.0, 60.0
"""Between two copies of a file, at least; the second of what is derived from others."""
RETRY_S = 10.0
PATIENCE_S = 60.0
"""For a storage that fails when the search has ended."""

Stamp = tuple[int, int]
"""Size of a file, and when it was written."""


class Mirror:
    """Copies what changes in a search's folder to the storage, from a thread of its own, and deletes there
    what the search needs no more.

    What fails is said once and tried again: a storage that is away costs the search nothing. The settings and
    all else that is written once come before the records, and the manifest comes last.

    Args:
        home: The search's folder in the storage.
        told: Hears what is going on.
        superseded: Called when another process has taken the search over. Nothing is written from then on.
        clock: Seconds, from any start.
    """

    def __init__(
        self,
        folder: SearchFolder,
        home: Storage,
        owner: Owner,
        *,
        told: Callable[[str], None],
        superseded: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._home, self._owner = folder, home, owner
        self._told, self._superseded, self._clock = told, superseded, clock
        self._copied: dict[str, Stamp] = {}
        self._due: dict[str, float] = {}
        self._needless: list[str] = []
        self._fault = ""
        self._lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Mirror:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Copies what is left, for as long as there is hope."""
        self._ended.set()
        self._thread.join()
        self._due.clear()
        deadline = self._clock() + PATIENCE_S
        while not self.level() and self._clock() < deadline:
            time.sleep(RETRY_S)
        if not self._lost and (missing := [*self._changed(), *self._needless]):
            self._told(f"Not level in {self._home}: {', '.join(missing)}. A resume copies them.")

    def delete(self, name: str) -> None:
        """Deletes a file in the storage, once the records there say that it is not needed."""
        self._needless.append(name)

    def _follow(self) -> None:
        while not self._ended.wait(EVERY_S if self.level() else RETRY_S):
            pass

    def level(self) -> bool:
        """Copies what is due; whether the storage took it. Called again and again by the thread."""
        if self._lost:
            return True
        try:
            self._copy()
        except OSError as fault:
            if not self._fault:
                self._told(f"The storage {self._home} fails: {fault}. The search goes on; it is tried again.")
            self._fault = str(fault)
            return False
        if self._fault:
            self._fault = ""
            self._told(f"The storage {self._home} works again.")
        return True

    def _copy(self) -> None:
        if not self._changed() and not self._needless:
            return
        if not self._owner.is_ours():
            self._lost = True
            self._told(f"Another process drives this search now, from {self._home}. This one stops.")
            self._superseded()
            return
        if not self._copied:
            self._sweep()
        needless = list(self._needless)  # before the records are read, which say why
        for path in (self._folder.manifest_file, self._folder.rematch_file):
            if not path.exists() and (not self._copied or path.name in self._copied):
                self._home.delete(path.name)  # as in the folder, when the search went on
                self._copied.pop(path.name, None)
        waiting = set()
        for name, stamp in self._changed().items():
            if self._clock() < self._due.get(name, -math.inf):
                waiting.add(name)
            elif not (name == self._folder.manifest_file.name and waiting):
                self._put(name, stamp)
        if waiting.isdisjoint((self._folder.records_file.name, self._folder.rematch_records_file.name)):
            for name in needless:
                self._home.delete(name)
                self._needless.remove(name)

    def _sweep(self) -> None:
        """Deletes what a killed driver had begun to write; states are deleted when all trials have ended."""
        for name in self._home.files():
            path = PurePosixPath(name)
            if is_partial(path.name) and CHECKPOINTS not in path.parts:
                self._home.delete(name)

    def _put(self, name: str, stamp: Stamp) -> None:
        started = self._clock()
        with contextlib.suppress(FileNotFoundError):  # it has just gone
            content = (self._folder.path / name).read_bytes()
            self._home.write(name, content)
            self._copied[name] = stamp
        took_s = self._clock() - started
        self._due[name] = self._clock() + max(self._pause_s(name), took_s / SHARE)

    def _changed(self) -> dict[str, Stamp]:
        """What the storage lacks, in the order in which it is copied."""
        if not self._folder.records_file.exists():  # nothing was tried: there is nothing to go on with
            return {}
        last = (self._folder.rematch_records_file, self._folder.records_file, self._folder.manifest_file)
        changed = {}
        for path in sorted(self._files(), key=lambda path: (path in last and last.index(path) + 1, path)):
            with contextlib.suppress(FileNotFoundError):  # it has just gone
                stamp = _stamp(path)
                if stamp != self._copied.get(path.name):
                    changed[path.name] = stamp
        return changed

    def _files(self) -> Iterator[Path]:
        """The search's own files: neither what is being written, nor models, nor what trackers keep."""
        for path in self._folder.path.iterdir():
            if path.is_file() and not path.name.startswith(".") and path != self._folder.readings_file:
                yield path

    def _pause_s(self, name: str) -> float:
        derived = (self._folder.page_file.stem, self._folder.log_file.stem)
        return SELDOM_S if name.startswith(derived) else EVERY_S


def level(folder: SearchFolder, home: Storage, owner: Owner, told: Callable[[str], None]) -> None:
    """Brings a storage level with the folder of a search that does not go on."""
    with Mirror(folder, home, owner, told=told, superseded=lambda: None):
        pass


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
