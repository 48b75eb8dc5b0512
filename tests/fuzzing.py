"""Inputs that break readers: seeds that are damaged, values of other kinds, and plain noise.

A reader takes one file of outside input. It may return, or raise `InputError`; anything else is a fault: another
exception, more than `MOST_CPU_S` or `MOST_BYTES`, a file touched outside of the folder that it was given, a
process started, a connection, or an object unpickled.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import yaml

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
    """Below the folder that is read, each with its form: `yaml`, `json`, `lines` (of JSON), `text`, or `bytes`,
    which says how else than byte by byte a seed is damaged. One of them at a time is."""
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


# ---- one input -----------------------------------------------------------------------------------------------


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


# ---- making inputs -------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.0, 1e-300, 1e308, 2**31, 2**63, -(2**63), 10**30),
    *(float("inf"), float("-inf"), float("nan"), "", " ", "x", "nan", "1e999", "null", "true", "0", "-1"),
    *("../../../../etc/passwd", "/etc/passwd", "~root/x", "a/../b", ".", "..", "\x00", "\x1b[2J", "\u202e"),
    *("<script>alert(1)</script>", "{{7*7}}", "${HOME}", "$(id)", "%s%n", "é漢🙂", "\ud800", "x" * 3000),
    *(
        "!!python/object/apply:os.system [id]",
        "&a [*a]",
        "[bold]",
        "'\"`",
        "\n",
        "\r\n---\n",
        "NA",
        "__class__",
    ),
    *(
        [],
        {},
        [[]],
        [None],
        {"": None},
        [0] * 50,
        {"a": {"b": {"c": {}}}},
        [1, "a", None, {}],
        [[[[[[[[1]]]]]]]],
    ),
)
"""Values that fields are given in place of their own."""
TOKENS = (
    *(
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\n",
        b"\r",
        b",",
        b'"',
        b"'",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(
        b"---\n",
        b"&a",
        b"*a",
        b"!!",
        b"? ",
        b"- ",
        b"#",
        b"|",
        b">",
        b"%",
        b"@",
        b"`",
        b"\t",
        b"..",
        b"/",
        b"~",
    ),
    *(
        b"9" * 5000,
        b"[" * 2000,
        b"{" * 400,
        b'{"a":' * 3000,
        b"1e999",
        b"NaN",
        b"Infinity",
        b"\\ud800",
        b"null",
    ),
    *(
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x80\x00\x00\x00",
        b"\xff\xff\xff\x7f",
    ),
)
MOST_CONTENT = 200_000


def damaged(random: Random, ground: Ground) -> Input:
    """An input for the reader: mostly a seed with a few changes, now and then noise."""
    file = random.choice(list(ground.reader.files))
    return file, _content(random, ground.seeds[file], ground.reader.files[file], ground.reader.words)[
        :MOST_CONTENT
    ]


def _content(random: Random, seeds: list[bytes], form: str, words: tuple[str, ...]) -> bytes:
    way = random.randrange(20)
    if way == 0:
        return random.randbytes(random.randrange(64))
    if way == 1:
        return b"".join(random.choice(TOKENS) for _ in range(random.randrange(1, 12)))
    content = random.choice(seeds)
    if form in _FORMS and way < 14:
        return _FORMS[form](random, content, words)
    for _ in range(random.randrange(1, 6)):
        content = _cut(random, content, seeds, words)
    return content


def _cut(random: Random, content: bytes, seeds: list[bytes], words: tuple[str, ...]) -> bytes:
    """One change among the bytes."""
    at = random.randrange(len(content) + 1)
    until = min(len(content), at + random.choice((0, 1, 1, 2, 4, 16, 256)))
    way = random.randrange(9)
    if way == 0 and content:
        at = min(at, len(content) - 1)
        return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
    if way == 1:
        return content[:at] + random.choice(TOKENS) + content[until:]
    if way == 2:
        return content[:at] + content[until:]
    if way == 3:
        return content[:at]
    if way == 4:
        return content[:until] + content[at:until] * random.choice((1, 2, 100)) + content[until:]
    if way == 5:
        other = random.choice(seeds)
        return content[:at] + other[random.randrange(len(other) + 1) :]
    if way == 6 and words:
        return content[:at] + random.choice(words).encode() + content[until:]
    if way == 7:
        size = random.choice((1, 2, 4, 8))
        return content[:at] + random.getrandbits(8 * size).to_bytes(size, "big") + content[at + size :]
    return content[:at] + bytes([random.randrange(256)]) + content[at + 1 :]


@lru_cache
def _parsed_yaml(content: bytes) -> Any:
    return yaml.safe_load(content)


def _of_yaml(random: Random, content: bytes, words: tuple[str, ...]) -> bytes:
    try:
        value = _parsed_yaml(content)
    except (yaml.YAMLError, ValueError, RecursionError):
        return content + b"\n: ["
    changed = _other(random, value, words)
    return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True).encode(errors="surrogatepass")


def _of_json(random: Random, content: bytes, words: tuple[str, ...]) -> bytes:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return content + b"}"
    return json.dumps(_other(random, value, words)).encode()


def _of_lines(random: Random, content: bytes, words: tuple[str, ...]) -> bytes:
    lines = content.split(b"\n")
    at = random.randrange(len(lines))
    way = random.randrange(6)
    if way == 0:
        lines.insert(random.randrange(len(lines)), lines[at])
    elif way == 1:
        del lines[at]
    else:
        lines[at] = _of_json(random, lines[at], words) if lines[at] else b"{}"
    return b"\n".join(lines)


def _of_text(random: Random, content: bytes, words: tuple[str, ...]) -> bytes:
    """A cell of a table, or a line, gets another value."""
    lines = content.split(b"\n")
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(lines))
        cells = lines[at].split(b",")
        odd = random.choice(words) if words and random.randrange(2) else random.choice(ODD)
        text = (odd if isinstance(odd, str) else json.dumps(odd)).encode(errors="surrogatepass")
        cells[random.randrange(len(cells))] = text
        lines[at] = b",".join(cells)
    return b"\n".join(lines)


_FORMS = {"yaml": _of_yaml, "json": _of_json, "lines": _of_lines, "text": _of_text}


def _other(random: Random, value: Any, words: tuple[str, ...]) -> Any:
    """The value with one to three of its parts changed."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        holder = [value]
        _change(random, holder, words)
        value = holder[0]
    return value


def _change(random: Random, top: list[Any], words: tuple[str, ...]) -> None:
    holder: Any = top
    key: Any = 0
    while isinstance(holder[key], dict | list) and holder[key] and random.randrange(6):
        holder = holder[key]
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = random.choice(keys)
    way = random.randrange(8)
    if way == 0 and holder is not top:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        name = random.choice(words) if words and random.randrange(2) else str(random.choice(ODD))
        holder[name] = holder[key] if random.randrange(2) else copy.deepcopy(random.choice(ODD))
    elif way == 2 and isinstance(holder, list) and holder is not top:
        holder.insert(key, copy.deepcopy(random.choice(holder)))
    elif way == 3 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * random.choice((-1, 0, 0.5, 1.0, 2, 1000, 10**9))
    elif way == 4 and words:
        holder[key] = random.choice(words)
    else:
        holder[key] = copy.deepcopy(random.choice(ODD))
