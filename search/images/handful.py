"""A few pictures of a source, in memory: enough to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spaces.errors import InputError
from trainables.data import DecodeError, Listing, decode, on_canvases


@dataclass(frozen=True)
class Handful:
    """A few pictures; see `trainables.feed.Pictures`. Each is a class, so that its samples and its shares in
    mixed ones can be told apart."""

    pictures: list[np.ndarray]
    """uint8 (H, W, 3)."""
    names: list[str]
    """Of the classes that they really belong to."""

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,)."""
        return np.arange(len(self))

    @property
    def classes(self) -> list[str]:
        """One a picture."""
        return self.names

    @property
    def canvas_px(self) -> tuple[int, int]:
        """Height and width that hold every picture."""
        heights, widths = zip(*(picture.shape[:2] for picture in self.pictures), strict=True)
        return max(heights), max(widths)

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Canvases uint8 (B, H, W, 3), and each picture's height and width in them int64 (B, 2)."""
        return on_canvases([self.pictures[row] for row in rows])


def pick(listing: Listing, count: int, *, side_px: int, rng: np.random.Generator) -> Handful:
    """Random pictures, decoded as for training, of different classes as long as there are more.

    Args:
        listing: Pictures that it gives to another part than train are not looked at.
        count: The most that are picked.
        side_px: Of the shorter side; see `trainables.data.decode`.

    Raises:
        InputError: None of the pictures can be decoded.
    """
    files = listing.files[listing.files["part"].isin(["", "train"])].sample(frac=1, random_state=rng)
    sources = {
        str(name): _decoded(listing.root, of_class["file"], side_px)
        for name, of_class in files.groupby("class", sort=False)
    }
    found: list[tuple[str, np.ndarray]] = []
    while sources and len(found) < count:
        for name in list(sources)[: count - len(found)]:
            picture = next(sources[name], None)
            if picture is None:
                del sources[name]
            else:
                found.append((name, picture))
    if not found:
        raise InputError(f"{listing.root}: none of its {len(files)} pictures to train on can be decoded.")
    found.sort(key=lambda entry: entry[0])
    return Handful([picture for _, picture in found], [name for name, _ in found])


def _decoded(root: Path, files: Iterable[str], side_px: int) -> Iterator[np.ndarray]:
    for file in files:
        try:
            yield decode(root / file, short_side_px=side_px)
        except DecodeError:
            continue
