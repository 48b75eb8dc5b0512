"""What a search's folder, perhaps somebody else's, must not do: lead out of itself, or bring code."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

LOOKED_INTO = ("checkpoints", "explained", "model", "rematch")
"""Folders in it, and in its model's, that commands read from or write to."""


def links_out(folder: Path) -> list[Path]:
    """The links in a search's folder that lead out of it: what is written to them would change other files,
    what is read from them would show these."""
    return [path for path in _entries(folder) if path.is_symlink() and not _within(path, folder)]


def _entries(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.name.startswith(LOOKED_INTO) and path.is_dir() and not path.is_symlink():
            yield from _entries(path)


def modules_in(folder: Path, modules: Sequence[str]) -> list[str]:
    """Those of these modules that Python might find in the folder. Nothing is imported."""
    return [module for module in modules if any(_within(place, folder) for place in _places(module))]


def _places(module: str) -> Iterator[Path]:
    """Files and folders that importing a module may run or look into."""
    for entry in sys.path:
        place = Path(entry)
        for part in module.split("."):
            if not part:
                break
            yield from place.glob(f"{glob.escape(part)}.*")
            place /= part
            if place.is_dir():
                yield place


def _within(path: Path, folder: Path) -> bool:
    """Whether it lies in the folder, wherever links lead."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
