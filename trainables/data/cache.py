"""Decodes all pictures of a listing once a node into one memory-mapped file that all trials share.

A cache is a folder: `pixels.bin` (the pictures back to back, each uint8 (height, width, 3)),
`index.parquet` (what lies where, and what was skipped and why) and, written last, `manifest.json` with the
checksums of both. It is made in a temporary folder under a lock and renamed into place, so any number of
processes may ask for it at the same moment, and one that is killed leaves nothing that could be mistaken
for a cache.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from trainables.data.decode import DecodeError, decode
from trainables.data.errors import DataError
from trainables.data.sources import Listing

Progress = Callable[[int, int], None]
"""Called with the number of files done and the number of all files."""

MARGIN = 1.15
"""The shorter side of a cached picture over the working size: room for crops, zooms and rotations."""

_FORMAT = 1  # raise it when the files' form or the decoding changes: old caches are then left alone
_BLOCK_BYTES = 1 << 20
_CHECKED_BLOCKS = 32
_DECODED_AT_ONCE = 256
_INDEX_TYPES: dict[str, Any] = {
    "file": str,
    "height": "int64",
    "width": "int64",
    "offset": "int64",
    "hash": str,
    "reason": str,
}


def short_side_px(size_px: int) -> int:
    """Shorter side of a picture that is kept for this working size, both in pixels."""
    return math.ceil(MARGIN * size_px)


def default_cache_dir() -> Path:
    """`$CLASSIFIER_SEARCH_CACHE`, or `~/.cache/classifier-search`."""
    given = os.environ.get("CLASSIFIER_SEARCH_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "classifier-search"


@dataclass(frozen=True)
class Cache:
    """Decoded pictures in a memory map. Open one in each process: sent to another one, it would be copied."""

    files: pd.DataFrame
    """A row a picture, in the listing's order: `file`, `height`, `width` (pixels), `offset` (bytes, in
    `pixels`) and `hash` (of the decoded pixels)."""
    skipped: list[tuple[str, str]]
    """File and reason of each that could not be decoded."""
    pixels: np.ndarray
    """uint8 (bytes,), read-only: a memory map."""

    def rows(self, files: Sequence[str]) -> np.ndarray:
        """Where these files stand in `files`: int64 (N,).

        Raises:
            DataError: Some are not there; the message names them and says why, where that is known.
        """
        rows = pd.Index(self.files["file"]).get_indexer(pd.Index(files))
        if (rows < 0).any():
            reasons = dict(self.skipped)
            lost = [file for file, row in zip(files, rows, strict=True) if row < 0]
            shown = [f"{file} ({reasons.get(file, 'no longer in the folder')})" for file in lost[:5]]
            more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
            raise DataError(
                f"{len(lost)} of {len(files)} pictures are gone since the split was written: "
                f"{', '.join(shown)}{more}. Put them back, or start anew with the pictures there are."
            )
        return rows.astype(np.int64)

    def picture(self, row: int) -> np.ndarray:
        """One picture: uint8 (H, W, 3), a view."""
        at = self.files.iloc[row]
        size = at["height"] * at["width"] * 3
        return self.pixels[at["offset"] : at["offset"] + size].reshape(at["height"], at["width"], 3)


def build_or_open(
    listing: Listing, *, size_px: int, cache_dir: Path, progress: Progress | None = None
) -> Cache:
    """The decoded pictures of a listing, from the cache, or decoded now and cached.

    A cache belongs to the relative paths, sizes and modification times of the listed files and to
    `size_px`: when one of these changes another cache is made. A damaged one is made again. A file that
    cannot be decoded is skipped and listed.

    Args:
        listing: Which files.
        size_px: The working size. Pictures are shrunk to a shorter side of `MARGIN` times this, rounded up.
        cache_dir: Folder of all caches; made when missing.
        progress: Hears how far the decoding is.

    Raises:
        DataError: The cache cannot be written.
    """
    side_px = short_side_px(size_px)
    folder = cache_dir / _key(listing, side_px)
    if cache := _open(folder):
        return cache
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if cache := _open(folder):  # another process was faster
                return cache
            shutil.rmtree(folder, ignore_errors=True)
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)  # left by a process that was killed
            unfinished.mkdir()
            try:
                _build(unfinished, listing, side_px, progress)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as fault:
        raise DataError(
            f"cannot write the cache of decoded pictures in {cache_dir}: {fault}. Name another folder in the "
            "environment variable CLASSIFIER_SEARCH_CACHE."
        ) from fault
    cache = _open(folder)
    if cache is None:
        raise DataError(
            f"the cache of decoded pictures in {folder} does not read back as it was written. Is the disk "
            "sound? Another folder can be named in the environment variable CLASSIFIER_SEARCH_CACHE."
        )
    return cache


def _key(listing: Listing, side_px: int) -> str:
    """Names the cache of these files, as they are now, in this size."""
    digest = hashlib.sha256(f"{_FORMAT} {side_px}\n".encode())
    for file in listing.files["file"]:
        try:
            status = os.stat(listing.root / file)
            digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(f"{file}\0missing\n".encode())
    return f"{digest.hexdigest()[:24]}-{side_px}px"


def _build(folder: Path, listing: Listing, side_px: int, progress: Progress | None) -> None:
    """Writes the three files of a cache into an empty folder."""
    files = list(listing.files["file"])
    rows: list[tuple[str, int, int, int, str, str]] = []
    offset = 0
    with (folder / "pixels.bin").open("wb") as pixels:
        for file, result in _decoded(listing.root, files, side_px):
            if isinstance(result, str):
                rows.append((file, 0, 0, offset, "", result))
            else:
                pixels.write(result.data)
                rows.append((file, *result.shape[:2], offset, _hash(result), ""))
                offset += result.nbytes
            if progress is not None:
                progress(len(rows), len(files))
    index = pd.DataFrame(rows, columns=list(_INDEX_TYPES)).astype(_INDEX_TYPES)
    index.to_parquet(folder / "index.parquet", index=False)
    content = _map(folder / "pixels.bin")
    manifest = {
        "format": _FORMAT,
        "short_side_px": side_px,
        "pixels_bytes": offset,
        "index_sha256": _sha256(folder / "index.parquet"),
        "blocks_crc32": [_crc32(content, number) for number in range(_blocks(offset))],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _decoded(root: Path, files: list[str], side_px: int) -> Iterator[tuple[str, np.ndarray | str]]:
    """Each file in order with its pixels, or with the reason why it has none."""

    def one(file: str) -> np.ndarray | str:
        try:
            return decode(root / file, short_side_px=side_px)
        except DecodeError as fault:
            return str(fault)

    # Threads are enough: Pillow lets others run while it decodes. A portion at a time, so that pictures
    # don't pile up in memory when the disk is slower than the decoding.
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), _DECODED_AT_ONCE):
            portion = files[start : start + _DECODED_AT_ONCE]
            yield from zip(portion, pool.map(one, portion), strict=True)


def _open(folder: Path) -> Cache | None:
    """The cache in a folder, or None when there is none, or a damaged one.

    Checks the size of the pixels, the whole index, and the checksums of up to `_CHECKED_BLOCKS` blocks of
    pixels, evenly spread: opening stays quick however large the file is.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        pixels = _map(folder / "pixels.bin")
        if manifest["format"] != _FORMAT or manifest["pixels_bytes"] != pixels.size:
            return None
        if manifest["index_sha256"] != _sha256(folder / "index.parquet"):
            return None
        sums = manifest["blocks_crc32"]
        if len(sums) != _blocks(pixels.size):
            return None
        spread = np.linspace(0, len(sums) - 1, min(len(sums), _CHECKED_BLOCKS)).astype(int)
        if any(_crc32(pixels, number) != sums[number] for number in spread):
            return None
        index = pd.read_parquet(folder / "index.parquet")
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    good = index["reason"] == ""
    skipped = index[~good]
    return Cache(
        files=index[good].drop(columns="reason").reset_index(drop=True),
        skipped=list(zip(skipped["file"], skipped["reason"], strict=True)),
        pixels=pixels,
    )


def _map(path: Path) -> np.ndarray:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.zeros(0, np.uint8)
    return np.memmap(path, np.uint8, mode="r")


def _blocks(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK_BYTES)


def _crc32(pixels: np.ndarray, number: int) -> int:
    return zlib.crc32(pixels[number * _BLOCK_BYTES : (number + 1) * _BLOCK_BYTES].data)


def _hash(picture: np.ndarray) -> str:
    return hashlib.blake2b(picture.data, digest_size=16, key=str(picture.shape).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
