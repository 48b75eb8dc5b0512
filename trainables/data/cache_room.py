"""Keeps all caches in a folder within a bound: what was used least recently goes first.

A cache that a process has open is never deleted. Who opens one holds a shared lock on its pixels, who builds
one an exclusive lock beside it, and both end with the process, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from trainables.data.cache_folder import MANIFEST, PIXELS

UNFINISHED, LOCK = ".unfinished", ".lock"

_NAME = re.compile(r"[0-9a-f]{24}-\d+px")
_STEP_BYTES = 64 << 20


class NoRoomError(Exception):
    """More is wanted than can be had."""

    def __init__(self, wanted_bytes: float, most_bytes: float) -> None:
        super().__init__(f"{wanted_bytes:.0f} bytes are wanted, and at most {most_bytes:.0f} can be had")
        self.wanted_bytes = wanted_bytes
        self.most_bytes = most_bytes
        """What is free when all caches that nobody has open are deleted."""


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Lets nobody else build or delete the cache of this folder; the lock lies beside it.

    Raises:
        OSError: Somebody does, and `wait` is false; or the lock cannot be made.
    """
    with FileLock(folder.with_suffix(LOCK)).acquire(blocking=wait) as lock:
        try:
            yield
        finally:
            # Whoever waits for it looks whether the file it locked is still there.
            Path(lock.lock_file).unlink(missing_ok=True)


def clear_leftovers(cache_dir: Path) -> None:
    """Deletes what killed processes left: unfinished caches and locks that nobody holds."""
    for path in list(cache_dir.iterdir()):
        if path.suffix in (UNFINISHED, LOCK) and _NAME.fullmatch(path.stem):
            # Not those that somebody holds, nor another user's.
            with contextlib.suppress(OSError), locked(path.with_suffix(""), wait=False):
                shutil.rmtree(path.with_suffix(UNFINISHED), ignore_errors=True)


class Room:
    """The room for new caches in a folder. Several processes that build at once may overrun the bound by
    `_STEP_BYTES` each, for as long as they do.

    Args:
        limit_bytes: Of all caches together; other files in the folder are neither counted nor touched.
    """

    def __init__(self, cache_dir: Path, limit_bytes: float) -> None:
        self._cache_dir, self._limit_bytes = cache_dir, limit_bytes
        self._claimable_bytes = math.inf if math.isinf(limit_bytes) else 0.0

    def claim(self, size_bytes: int) -> None:
        """Takes room for what is written next.

        Raises:
            NoRoomError: There is not so much.
        """
        if size_bytes > self._claimable_bytes:
            self._claimable_bytes = min(self.make(size_bytes), max(size_bytes, _STEP_BYTES))
        self._claimable_bytes -= size_bytes

    def make(self, wanted_bytes: float) -> float:
        """Deletes caches that nobody has open, the least recently used first, until so much is free.

        Returns:
            The bytes that are free.

        Raises:
            NoRoomError: There cannot be so much; nothing was deleted.
        """
        with locked(self._cache_dir / "room"):  # two that count and delete at once would count twice
            return self._make(wanted_bytes)

    def _make(self, wanted_bytes: float) -> float:
        sizes = {path: _size_bytes(path) for path in self._cache_dir.iterdir() if _NAME.fullmatch(path.stem)}
        free_bytes = self._limit_bytes - sum(sizes.values())
        with contextlib.ExitStack() as held:
            unused = []
            for folder in sorted((path for path in sizes if not path.suffix), key=_last_used):
                if free_bytes >= wanted_bytes:
                    break
                if _taken(folder, held):
                    unused.append(folder)
                    free_bytes += sizes[folder]
            if free_bytes < wanted_bytes:
                raise NoRoomError(wanted_bytes, free_bytes)
            for folder in unused:
                # Renamed first: what is deleted by half must not be taken for a cache.
                shutil.rmtree(folder.rename(folder.with_suffix(UNFINISHED)))
        return free_bytes


def _taken(folder: Path, held: contextlib.ExitStack) -> bool:
    """Whether nobody has the cache open or builds it; then nobody can until `held` is closed."""
    with contextlib.ExitStack() as locks:
        try:
            locks.enter_context(locked(folder, wait=False))
            with contextlib.suppress(FileNotFoundError):  # damaged: nobody can have it open
                pixels = locks.enter_context((folder / PIXELS).open("r+b"))  # NFS locks for writers alone
                fcntl.flock(pixels, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held, or another user's
            return False
        held.enter_context(locks.pop_all())
    return True


def _size_bytes(path: Path) -> int:
    """Of the files in a cache; it may be deleted meanwhile."""
    total = 0
    with contextlib.suppress(OSError):
        for file in path.iterdir():
            total += file.stat().st_size
    return total


def _last_used(folder: Path) -> float:
    with contextlib.suppress(OSError):
        return (folder / MANIFEST).stat().st_mtime
    return 0.0
