"""A folder for what a driver needs only while it lives. What a killed one leaves, the next one deletes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "cs-"
"""Short, for Ray has its sockets there: their paths have at most 107 characters."""
LOCK = "classifier-search.lock"


def temporary() -> Path:
    """Where such folders are: where Ray would have its own."""
    return Path(os.environ.get("RAY_TMPDIR", "/tmp"))


def folders() -> list[Path]:
    """All that are there, of whatever driver."""
    return [file.parent for file in temporary().glob(f"{PREFIX}*/{LOCK}")]


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new folder that only this user may enter, until the end of this block.

    As long as its process lives it holds a lock in it, which the system takes back from a killed one: a
    folder that nobody holds is left over, and goes when the next one is made, with the processes in it.
    """
    sweep()
    folder, held = _held()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _held() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=temporary()))
        held = os.open(folder / LOCK, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        if (folder / LOCK).exists():
            return folder, held
        os.close(held)  # somebody swept in this very moment


def sweep() -> None:
    """Ends the processes that killed drivers have left, and deletes their folders."""
    for folder in folders():
        _delete_if_left(folder)


def _delete_if_left(folder: Path) -> None:
    with contextlib.suppress(OSError):  # held, of somebody else, or gone already
        lock = os.open(folder / LOCK, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _end_those_in(folder)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _end_those_in(folder: Path) -> None:
    """Ends processes that write there: some of a killed driver's Ray find out about it only after a minute,
    and would make anew what is deleted. Does nothing but on Linux."""
    inside, mine = f"{folder.resolve()}/", str(os.getpid())
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # somebody else's, or it ends in this moment
            opened = (str(file.readlink()) for file in (process / "fd").iterdir())
            if process.name != mine and any(path.startswith(inside) for path in opened):
                os.kill(int(process.name), signal.SIGKILL)
