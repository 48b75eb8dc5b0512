"""Readers of outside input, asked under watch.

A reader takes files of outside input. It may return, or raise `InputError`. Anything else is a fault: another
exception, more than `MOST_CPU_S` or `MOST_BYTES`, a file touched outside of the folder that it was given, a
process started, a connection, or an object unpickled.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from spaces.errors import InputError

CORPUS = Path(__file__).parent / "corpus"
"""READER/FILE/NAME: seeds, and `failed-*`, each an input that was once a fault. The `/` in FILE is `@`."""
MOST_CPU_S = 20.0
MOST_BYTES = 3 * 1024**3
"""Of address space, on top of what the process has."""

Input = tuple[str, bytes]
"""A file of the reader's, and what is in it."""


@dataclass(frozen=True)
class Reader:
    """A file of outside input, or a folder of such files, and what reads it."""

    name: str
    files: Mapping[str, str]
    """Below the folder that is read, each with its form: `yaml`, `json`, `lines` (of JSON), `text`, or
    `bytes`, which says how else than byte by byte a seed is damaged. One of them at a time is."""
    read: Callable[[Path], object]
    """Of the folder."""
    prepare: Callable[[Path], None] = lambda folder: None
    """Makes the folder, once; the files in it are then the first seeds."""
    words: tuple[str, ...] = ()
    """That mean something to the reader."""

    @property
    def binary(self) -> bool:
        return set(self.files.values()) == {"bytes"}


class FaultError(AssertionError):
    """What a reader must never do."""


class _TooLong(BaseException):
    """No reader's `except Exception` catches it."""


class Ground:
    """A folder with a reader's files, beside a sentinel that nothing may change."""

    def __init__(self, root: Path, reader: Reader) -> None:
        self.reader, self.folder, self._root, self._outside = reader, root / "given", root, root / "outside"
        self.folder.mkdir(parents=True)
        self._outside.mkdir()
        (self._outside / "sentinel").write_bytes(b"nobody writes here")
        reader.prepare(self.folder)
        kept = corpus(reader)
        self.seeds: dict[str, list[bytes]] = {}
        """By file; the first is the one that goes with the others."""
        for file in reader.files:
            path = self.folder / file
            first = [path.read_bytes()] if path.is_file() else []
            self.seeds[file] = first + [content for of, content in kept if of == file]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.seeds[file][0])
        self._before = self._tree()

    def ask(self, given: Input) -> bool:
        """Has the reader read its files, of which one is this.

        Returns:
            Whether it took it; False where it refused it by an `InputError`.

        Raises:
            FaultError: See this module; anything that the reader raises otherwise comes out as it is.
        """
        file, content = given
        (self.folder / file).write_bytes(content)
        taken = True
        try:
            with _watched(self.folder), _bounded():
                self.reader.read(self.folder)
        except InputError as fault:
            if not str(fault).strip():
                raise FaultError("an error without words") from fault
            taken = False
        finally:
            (self.folder / file).write_bytes(self.seeds[file][0])
        if self._tree() != self._before:
            raise FaultError("a file outside of the folder was made, changed or deleted")
        return taken

    def _tree(self) -> list[tuple[str, int, int]]:
        """All beside the folder."""
        found = []
        for entry in (*os.scandir(self._root), *os.scandir(self._outside)):
            if entry.name != "given":
                state = entry.stat(follow_symlinks=False)
                found.append((entry.path, state.st_size, state.st_mtime_ns))
        return found


def corpus(reader: Reader) -> list[Input]:
    """The kept inputs of a reader."""
    return [
        (file, path.read_bytes())
        for file in reader.files
        for path in sorted((CORPUS / reader.name / file.replace("/", "@")).glob("*"))
    ]


def keep(reader: Reader, given: Input) -> Path:
    """Keeps an input that was a fault."""
    file, content = given
    name = f"failed-{hashlib.sha256(content).hexdigest()[:12]}"
    path = CORPUS / reader.name / file.replace("/", "@") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.utime"}
_MOVES = {"os.rename": slice(2), "os.link": slice(2), "os.symlink": slice(1, 2), "shutil.move": slice(2)}
"""Which of their arguments are places that they change: what a link leads to is none."""
_NEVER = {
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn"),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "pickle.find_class", "ctypes.dlopen"),
}
_allowed: list[str] = []
"""The folder that may be written to while a reader reads; empty: nobody is watched."""
_seen: list[str] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Python tells a hook of every file that is opened, every process and connection."""
    if not _allowed:
        return
    if event in _NEVER:
        _seen.append(f"{event} {arguments!r:.200}")
    elif event == "open" and isinstance(arguments[0], str | bytes) and (arguments[2] or 0) & _WRITING:
        _note(event, arguments[0])
    elif event in _CHANGES or event in _MOVES:
        for place in arguments[_MOVES.get(event, slice(1))]:
            _note(event, place, arguments[-1] if event != "os.truncate" else -1)


def _note(event: str, place: Any, folder: int = -1) -> None:
    """Notes a change outside; a relative place may be told from an open folder."""
    if isinstance(place, int):
        return
    above = os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else os.getcwd()
    path = os.path.normpath(os.path.join(above, os.fsdecode(place)))
    if not f"{path}/".startswith(f"{_allowed[0]}/") and not path.startswith("/dev/"):
        _seen.append(f"{event} {path}")


sys.addaudithook(_audit)


@contextmanager
def _watched(folder: Path) -> Iterator[None]:
    _seen.clear()
    _allowed.append(str(folder))
    try:
        yield
    finally:
        _allowed.clear()
        if _seen:  # whatever was raised meanwhile, in words perhaps
            raise FaultError(f"outside of its folder: {'; '.join(_seen[:3])}")


def _too_long(number: int, frame: FrameType | None) -> None:
    raise _TooLong


@contextmanager
def _bounded() -> Iterator[None]:
    """Ends what takes too much CPU time; what takes too much memory gets a MemoryError."""
    with Path("/proc/self/statm").open("rb") as file:
        used_bytes = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGPROF, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (used_bytes + MOST_BYTES, limits[1]))
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
    try:
        yield
    except _TooLong as fault:
        raise FaultError(f"more than {MOST_CPU_S:g} s of CPU time") from fault
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGPROF, before)
