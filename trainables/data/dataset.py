"""From a source to a written-down split (`prepare`), and from both to pictures in batches (`load`)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trainables.data.cache import Progress, build_or_open
from trainables.data.cache_folder import Cache
from trainables.data.canvas import gathered
from trainables.data.errors import DataError
from trainables.data.sources import Listing, read_listing
from trainables.data.split import PARTS, SHARES, make_split

_EXAMPLES = 100  # how many of a long list go into the report


@dataclass(frozen=True)
class Prepared:
    """What a search works on."""

    split: pd.DataFrame
    """Columns `file`, `class`, `group`, `part`, sorted by file."""
    classes: list[str]
    """Sorted; a label is a place in this list."""
    report: dict[str, Any]
    """What was found, used and passed over, ready for JSON: see `prepare`."""


def prepare(
    source: Path,
    *,
    size_px: int,
    classes: Sequence[str] | None = None,
    min_per_class: int = 10,
    seed: int = 0,
    shares: Mapping[str, float] = SHARES,
    cache_dir: Path,
    cache_gb: float = math.inf,
    progress: Progress | None = None,
) -> Prepared:
    """Lists, decodes (once a node) and splits the pictures of a source.

    The report holds: `layout`; `fingerprint` (identity of the content: files, classes, groups and
    given parts, but neither times nor the place); `pictures`; `counts` {class: {part: pictures}}; `groups`
    {count, pictures}: groups of several pictures, and pictures in them; `skipped` [{file, reason}];
    `left_out` [{class, pictures, reason}]; `ignored` {count, examples}; `duplicates` {copies, sets
    (examples), in_two_classes, dropped}: how many pictures have the pixels of an earlier one, which, how many
    sets of them contradict each other, and which files the split leaves out because they belong together with
    one that was given to a later part.

    Args:
        source: See `sources.LAYOUTS`.
        size_px: The working size; see `build_or_open`.
        classes: Takes only these.
        min_per_class: A class with fewer pictures than this is left out.
        seed: Decides the split.
        shares: Wanted shares of the parts; see `make_split`.
        cache_dir: Where decoded pictures are kept.
        cache_gb: Bound of all that is kept there; see `build_or_open_each`.
        progress: Hears how far the decoding is.

    Raises:
        DataError: Nothing usable in the source, fewer than two classes left, a part without pictures that
            wants some, or no room for the decoded pictures.
    """
    listing = read_listing(source, classes=classes)
    left_out: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    listing = _leave_out(listing, _too_few(listing.files, listing.classes, min_per_class), left_out, skipped)
    while True:
        # `load` opens the cache of exactly the classes in the split. So when decoding, or the split,
        # makes one more class fall away, the cache is made again for those that stay.
        cache = build_or_open(
            listing, size_px=size_px, cache_dir=cache_dir, cache_gb=cache_gb, progress=progress
        )
        skipped |= dict(cache.skipped)
        files = listing.files.merge(cache.files[["file", "hash", "content"]], on="file")
        del cache  # nobody has it open any more: it may give way to the next one
        split = make_split(files.drop(columns="content"), seed=seed, shares=shares)
        reasons = _too_few(files, listing.classes, min_per_class)
        for name in sorted(set(listing.classes) - set(split["class"][split["part"] == "train"])):
            reasons.setdefault(name, (int((files["class"] == name).sum()), "no picture to train on"))
        if not reasons:
            break
        listing = _leave_out(listing, reasons, left_out, skipped)
    empty = [part for part in PARTS if shares.get(part, 0) > 0 and part not in set(split["part"])]
    if empty:
        raise DataError(
            f"{source}: no picture is left for {' and '.join(empty)}. Groups of pictures and duplicates are "
            "never divided: smaller groups, more pictures, or other given parts are needed."
        )
    report = {
        "layout": listing.layout,
        "fingerprint": _fingerprint(files),
        "pictures": len(split),
        "counts": {
            name: {part: int(((split["class"] == name) & (split["part"] == part)).sum()) for part in PARTS}
            for name in listing.classes
        },
        "groups": _groups(split),
        "skipped": [{"file": file, "reason": reason} for file, reason in sorted(skipped.items())],
        "left_out": left_out,
        "ignored": {"count": len(listing.ignored), "examples": listing.ignored[:_EXAMPLES]},
        "duplicates": _duplicates(files, split),
    }
    return Prepared(split, listing.classes, report)


def _too_few(files: pd.DataFrame, classes: list[str], least: int) -> dict[str, tuple[int, str]]:
    """The classes with too few pictures: how many, and the reason in words."""
    counts = files["class"].value_counts()
    return {
        name: (count, f"fewer than {least} pictures")
        for name in classes
        if (count := int(counts.get(name, 0))) < least
    }


def _leave_out(
    listing: Listing,
    reasons: dict[str, tuple[int, str]],
    left_out: list[dict[str, Any]],
    skipped: dict[str, str],
) -> Listing:
    """The listing without these classes, which are added to `left_out`."""
    left_out += [{"class": name, "pictures": n, "reason": why} for name, (n, why) in reasons.items()]
    stay = [name for name in listing.classes if name not in reasons]
    if len(stay) < 2:
        gone = "; ".join(f"{entry['class']}: {entry['pictures']} ({entry['reason']})" for entry in left_out)
        broken = "; ".join(f"{file}: {reason}" for file, reason in list(skipped.items())[:5])
        raise DataError(
            f"{listing.root}: a classifier needs two classes, and there "
            + (f"is only {stay[0]}" if stay else "are none")
            + (f". Left out: {gone}" if gone else "")
            + (f". {len(skipped)} files could not be decoded, such as {broken}" if broken else "")
            + ". Add pictures, or lower the least number a class (--min-per-class)."
        )
    return listing.only(stay)


def _fingerprint(files: pd.DataFrame) -> str:
    rows = files.sort_values("file")[["file", "content", "class", "group", "part"]].to_numpy().tolist()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _groups(split: pd.DataFrame) -> dict[str, int]:
    """Groups of several pictures, and the pictures in them."""
    sizes = split["group"][split["group"] != ""].value_counts()
    return {"count": int((sizes > 1).sum()), "pictures": int(sizes[sizes > 1].sum())}


def _duplicates(files: pd.DataFrame, split: pd.DataFrame) -> dict[str, Any]:
    same = files[files["hash"].duplicated(keep=False)].groupby("hash", sort=False)
    sets = sorted(sorted(of_one["file"]) for _, of_one in same)
    return {
        "copies": int(files["hash"].duplicated().sum()),
        "sets": sets[:_EXAMPLES],
        "in_two_classes": int((same["class"].nunique() > 1).sum()),
        "dropped": sorted(set(files["file"]) - set(split["file"])),
    }


@dataclass(frozen=True)
class Pictures:
    """Some parts of a data set. Holds a view of the memory map, no pixels of its own."""

    classes: list[str]
    files: list[str]
    labels: np.ndarray
    """int64 (N,): places in `classes`."""
    extents: np.ndarray
    """int64 (N, 2): height and width, in pixels."""
    _offsets: np.ndarray
    _pixels: np.ndarray
    _stack: np.ndarray | None
    """uint8 (M, H, W, 3): the whole file, where all pictures have one shape and lie at multiples of it."""

    def __len__(self) -> int:
        return len(self.files)

    @property
    def canvas_px(self) -> tuple[int, int]:
        """Height and width, in pixels, of the smallest canvas that holds every picture."""
        height, width = self.extents.max(axis=0, initial=0).tolist()
        return height, width

    def chosen(self, rows: np.ndarray) -> Pictures:
        """Some of the pictures: those in these rows, int64 (M,), in this order."""
        return replace(
            self,
            files=[self.files[row] for row in rows],
            labels=self.labels[rows],
            extents=self.extents[rows],
            _offsets=self._offsets[rows],
        )

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pictures in these rows, with their sizes.

        Args:
            rows: int64 (B,).

        Returns:
            pixels: uint8 (B, H, W, 3), with H and W the largest in the batch; each picture lies in the
                upper left corner, the rest is zero. A copy.
            extents: int64 (B, 2): height and width of each picture.
        """
        if self._stack is not None:
            height, width = self._stack.shape[1:3]
            return self._stack[self._offsets[rows] // (height * width * 3)], self.extents[rows]
        extents = self.extents[rows]
        return gathered(self._pixels, extents, self._offsets[rows]), extents


@dataclass(frozen=True)
class Dataset:
    """The pictures of a split. Open it in each process; it is not made to be sent to another one."""

    classes: list[str]
    """Sorted; a label is a place in this list."""
    _split: pd.DataFrame
    _rows: np.ndarray
    _cache: Cache

    def part(self, *names: str) -> Pictures:
        """The pictures of one part or of several together, in the split's order.

        Raises:
            DataError: No such part.
        """
        unknown = sorted(set(names) - set(PARTS))
        if unknown:
            raise DataError(f"no such part: {', '.join(unknown)}. The parts are {', '.join(PARTS)}.")
        chosen = self._split["part"].isin(names).to_numpy()
        files = self._split[chosen]
        index = self._cache.files.iloc[self._rows[chosen]]
        extents = index[["height", "width"]].to_numpy(np.int64)
        offsets = index["offset"].to_numpy(np.int64)
        pixels = np.asarray(self._cache.pixels)
        return Pictures(
            classes=self.classes,
            files=files["file"].tolist(),
            labels=np.searchsorted(np.array(self.classes), files["class"].to_numpy(str)).astype(np.int64),
            extents=extents,
            _offsets=offsets,
            _pixels=pixels,
            _stack=_stacked(pixels, extents, offsets),
        )


def _stacked(pixels: np.ndarray, extents: np.ndarray, offsets: np.ndarray) -> np.ndarray | None:
    if len(extents) == 0 or (extents != extents[0]).any():
        return None
    height, width = extents[0]
    size = height * width * 3
    if (offsets % size).any():
        return None
    return pixels[: len(pixels) // size * size].reshape(-1, height, width, 3)


def load(
    source: Path, split: pd.DataFrame, *, size_px: int, cache_dir: Path, cache_gb: float = math.inf
) -> Dataset:
    """The pictures of a split, from this node's cache; on a node that has none they are decoded first.

    Args:
        source: As given to `prepare`.
        split: As `prepare` made it, or as `read_split` read it.
        size_px: The same as for `prepare`: it decides which cache.
        cache_dir: Where decoded pictures are kept.
        cache_gb: Bound of all that is kept there; see `build_or_open_each`.

    Raises:
        DataError: A picture of the split, or a whole class, is gone or damaged, or there is no room for the
            decoded pictures.
    """
    classes = sorted(split["class"].unique())
    listing = read_listing(source)
    gone = sorted(set(split["file"]) - set(listing.files["file"]))
    if gone:
        raise DataError(
            f"{len(gone)} of {len(split)} pictures are gone from {source} since the split was written: "
            f"{', '.join(gone[:5])}{' and more' if len(gone) > 5 else ''}. Put them back, or start anew with "
            "the pictures there are."
        )
    cache = build_or_open(listing.only(classes), size_px=size_px, cache_dir=cache_dir, cache_gb=cache_gb)
    return Dataset(classes, split.reset_index(drop=True), cache.rows(list(split["file"])), cache)
