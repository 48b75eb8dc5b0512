"""One cache: a folder that holds decoded pictures in one size, how it is written and how it is opened.

`pixels.bin` has the pictures back to back, each uint8 (height, width, 3); `index.parquet` says what lies
where, and what was skipped and why; `manifest.json`, written last, has the checksums of both.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trainables.data.errors import DataError

FORMAT = 3
"""Goes up when the files' form or the decoding changes: old caches are then left alone."""
MANIFEST, PIXELS, INDEX = "manifest.json", "pixels.bin", "index.parquet"

_BLOCK_BYTES = 1 << 20
_CHECKED_BLOCKS = 32
_INDEX_TYPES: dict[str, Any] = {
    "file": str,
    "height": "int64",
    "width": "int64",
    "offset": "int64",
    "hash": str,
    "content": str,
    "reason": str,
}


@dataclass(frozen=True)
class Cache:
    """Decoded pictures in a memory map. Open one in each process: sent to another one, it would be copied."""

    files: pd.DataFrame
    """A row a picture, in the listing's order: `file`, `height`, `width` (pixels), `offset` (bytes, in
    `pixels`), `hash` (of the decoded pixels) and `content` (the hash of the file)."""
    skipped: list[tuple[str, str]]
    """File and reason of each that could not be decoded."""
    pixels: np.ndarray
    """uint8 (bytes,), read-only: a memory map. As long as it lives, in this or any other process, the cache
    is not deleted to make room."""

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


def open_cache(folder: Path) -> Cache | None:
    """The cache in a folder, or None when there is none, or a damaged one.

    Checks the size of the pixels, the whole index, and the checksums of up to `_CHECKED_BLOCKS` blocks of
    pixels, evenly spread: opening stays quick however large the file is.
    """
    try:
        pixels = _map(folder / PIXELS)
        manifest = json.loads((folder / MANIFEST).read_text())
        if manifest["format"] != FORMAT or manifest["pixels_bytes"] != pixels.size:
            return None
        if manifest["index_sha256"] != _sha256(folder / INDEX):
            return None
        sums = manifest["blocks_crc32"]
        if len(sums) != -(-pixels.size // _BLOCK_BYTES):
            return None
        spread = np.linspace(0, len(sums) - 1, min(len(sums), _CHECKED_BLOCKS)).astype(int)
        if any(zlib.crc32(_block(pixels, number)) != sums[number] for number in spread):
            return None
        index = pd.read_parquet(folder / INDEX)
    except Exception:  # readers of damaged files raise nearly everything
        return None
    with contextlib.suppress(OSError):  # another user's cache can be read all the same
        os.utime(folder / MANIFEST)  # what was used last is deleted last
    good = index["reason"] == ""
    skipped = index[~good]
    return Cache(
        files=index[good].drop(columns="reason").reset_index(drop=True),
        skipped=list(zip(skipped["file"], skipped["reason"], strict=True)),
        pixels=pixels,
    )


def _map(path: Path) -> np.ndarray:
    """The file as a memory map that keeps a shared lock on it for as long as it lives."""
    with path.open("rb") as file:
        # A lock belongs to the open file, of which the map keeps a duplicate: it ends with the last map,
        # also when the process is killed. Where a file system has no locks nothing is ever deleted.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH)
        if os.fstat(file.fileno()).st_size == 0:  # an empty file cannot be mapped
            return np.zeros(0, np.uint8)
        return np.memmap(file, np.uint8, mode="r")


class CacheWriter:
    """Writes a cache into an empty folder, picture by picture; none of them stays in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[tuple[str, int, int, int, str, str, str]] = []
        self._pixels = (folder / PIXELS).open("wb")
        self._size = 0
        self._sums: list[int] = []

    def add(self, file: str, picture: np.ndarray, digest: str, content: str) -> None:
        """The next picture, uint8 (H, W, 3), with the `picture_hash` of its pixels and its file's hash."""
        height, width, _ = picture.shape
        self._rows.append((file, height, width, self._size, digest, content, ""))
        rest = picture.data.cast("B")
        self._pixels.write(rest)
        while rest:
            filled = self._size % _BLOCK_BYTES
            part = rest[: _BLOCK_BYTES - filled]
            before = self._sums.pop() if filled else 0
            self._sums.append(zlib.crc32(part, before))
            self._size += len(part)
            rest = rest[len(part) :]

    def skip(self, file: str, reason: str) -> None:
        """A file that has no picture."""
        self._rows.append((file, 0, 0, self._size, "", "", reason))

    def finish(self) -> None:
        """Writes what makes a cache of it."""
        self.close()
        index = pd.DataFrame(self._rows, columns=list(_INDEX_TYPES)).astype(_INDEX_TYPES)
        index.to_parquet(self._folder / INDEX, index=False)
        manifest = {
            "format": FORMAT,
            "pixels_bytes": self._size,
            "index_sha256": _sha256(self._folder / INDEX),
            "blocks_crc32": self._sums,
        }
        (self._folder / MANIFEST).write_text(json.dumps(manifest))

    def close(self) -> None:
        """Ends the writing; without `finish` there is no cache."""
        self._pixels.close()


def picture_hash(picture: np.ndarray) -> str:
    """Equal for equal pixels in the same shape, uint8 (H, W, 3)."""
    return hashlib.blake2b(picture.data, digest_size=16, key=str(picture.shape).encode()).hexdigest()


def _block(pixels: np.ndarray, number: int) -> memoryview:
    return pixels[number * _BLOCK_BYTES : (number + 1) * _BLOCK_BYTES].data


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
