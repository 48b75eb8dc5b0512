"""A folder's pictures and subfolders, looked at only when asked, with everything else counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from trainables.data.decode import SUFFIXES
from trainables.data.names import has_control_characters, printable

MOST_DEEP = 32
"""Folders below the root: an archive can hold thousands, one in the other."""
_SYSTEM = frozenset(("__macosx", "thumbs.db", "desktop.ini"))


class Folder:
    """One folder below (or at) the root of a source.

    Attributes:
        name: Its own name.
        path: Its posix path relative to the root, "" for the root itself.
        ignored: Shared by all folders of one source: what was passed over, as "path (reason)".
    """

    def __init__(self, root: Path, path: str = "", ignored: list[str] | None = None) -> None:
        self.root = root
        self.path = path
        self.name = Path(path).name or root.name
        self.ignored = [] if ignored is None else ignored

    @property
    def pictures(self) -> list[str]:
        """Paths of the pictures that lie directly in it, relative to the root, sorted."""
        return self._content[0]

    @property
    def folders(self) -> list[Folder]:
        """Its subfolders by name, hidden ones and links left out."""
        return self._content[1]

    @cached_property
    def _content(self) -> tuple[list[str], list[Folder]]:
        pictures: list[str] = []
        folders: list[Folder] = []
        try:
            with os.scandir(self.root / self.path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as fault:
            self.ignore(self.path, f"cannot be read: {fault.strerror}")
            entries = []
        for entry in entries:
            path = f"{self.path}/{entry.name}" if self.path else entry.name
            if reason := self._reason_to_ignore(entry):
                self.ignore(path, reason)
            elif entry.is_dir():
                folders.append(Folder(self.root, path, self.ignored))
            else:
                pictures.append(path)
        return pictures, folders

    def _reason_to_ignore(self, entry: os.DirEntry[str]) -> str | None:
        try:
            return self._reason(entry)
        except OSError as fault:  # such as a link that leads in a circle
            return f"cannot be looked at: {fault.strerror}"

    def _reason(self, entry: os.DirEntry[str]) -> str | None:
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            return "its name is not UTF-8"
        if has_control_characters(entry.name):
            return "its name has control characters"
        if entry.name.startswith(".") or entry.name.lower() in _SYSTEM:
            return "hidden, or a file of the operating system"
        if entry.is_symlink():
            if not Path(os.path.realpath(entry.path)).is_relative_to(self.root):
                return "a link that leads out of the folder"
            if entry.is_dir():
                return "a link to a folder"  # its pictures are listed already, or it is a loop
        if entry.is_dir():
            return f"over {MOST_DEEP} folders deep" if self.path.count("/") >= MOST_DEEP - 1 else None
        if not entry.is_file():
            return "not a regular file"
        return None if Path(entry.name).suffix.lower() in SUFFIXES else "not a picture by its name"

    def all_pictures(self) -> Iterator[str]:
        """The pictures in it and in its subfolders."""
        yield from self.pictures
        for folder in self.folders:
            yield from folder.all_pictures()

    def ignore(self, path: str, reason: str) -> None:
        """Counts a file or folder as passed over."""
        self.ignored.append(f"{printable(path)} ({reason})")
