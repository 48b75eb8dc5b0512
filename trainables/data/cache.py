"""Decodes all pictures of a listing once a node into memory-mapped files that all trials share.

A cache is made in a temporary folder under a lock and renamed into place, so any number of processes may ask
for it at the same moment, and one that is killed leaves nothing that could be mistaken for a cache. What a
cache holds is in `cache_folder`, how all of them stay within a bound in `cache_room`.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from trainables.data.cache_folder import FORMAT, Cache, CacheWriter, open_cache, picture_hash
from trainables.data.cache_room import UNFINISHED, NoRoomError, Room, clear_leftovers, locked
from trainables.data.decode import DecodeError, decode_each
from trainables.data.errors import DataError
from trainables.data.sources import Listing

Progress = Callable[[int, int], None]
"""Called with the number of files done and the number of all files."""

MARGIN = 1.15
"""The shorter side of a cached picture over the working size: room for crops, zooms and rotations."""

_AHEAD = 64  # files that are decoded before the ones in front of them are written
_SAMPLE = 128  # files whose pictures tell how large all will be
_ROW_BYTES = 128  # of the index


def short_side_px(size_px: int) -> int:
    """Shorter side of a picture that is kept for this working size, both in pixels."""
    return math.ceil(MARGIN * size_px)


def build_or_open(
    listing: Listing,
    *,
    size_px: int,
    cache_dir: Path,
    cache_gb: float = math.inf,
    progress: Progress | None = None,
) -> Cache:
    """The decoded pictures of a listing in one size; see `build_or_open_each`."""
    (cache,) = build_or_open_each(
        listing, sizes_px=[size_px], cache_dir=cache_dir, cache_gb=cache_gb, progress=progress
    )
    return cache


def build_or_open_each(
    listing: Listing,
    *,
    sizes_px: Sequence[int],
    cache_dir: Path,
    cache_gb: float = math.inf,
    progress: Progress | None = None,
) -> list[Cache]:
    """The decoded pictures of a listing in several sizes, each from its cache, or decoded now and cached.

    A cache belongs to the relative paths, sizes and modification times of the listed files and to a
    working size: when one of these changes another cache is made. A damaged one is made again. A file that
    cannot be decoded is skipped and listed. Each file is read once for all sizes that are not there yet.

    Args:
        listing: Which files.
        sizes_px: The working sizes. Pictures are shrunk to a shorter side of `MARGIN` times one, rounded up.
        cache_dir: Folder of all caches; made when missing.
        cache_gb: Bound of all caches in it, in 10^9 bytes. To make room the least recently used of those that
            no process has open are deleted.
        progress: Hears how far the decoding is.

    Returns:
        In the order of `sizes_px`.

    Raises:
        DataError: The caches cannot be written, or would not fit within the bound.
    """
    key = _key(listing)
    folders = {size_px: cache_dir / f"{key}-{short_side_px(size_px)}px" for size_px in sizes_px}
    caches = {folder: open_cache(folder) for folder in folders.values()}
    try:
        with contextlib.ExitStack() as locks:
            for folder in sorted(_missing(caches)):  # sorted: processes never wait for each other in a ring
                cache_dir.mkdir(parents=True, exist_ok=True)
                locks.enter_context(locked(folder))
                caches[folder] = open_cache(folder)  # another process may have been faster
            if missing := set(_missing(caches)):
                lacking = {size_px: folder for size_px, folder in folders.items() if folder in missing}
                there_bytes = sum(cache.pixels.size for cache in caches.values() if cache)
                _build(listing, lacking, there_bytes, cache_dir, cache_gb, progress)
                caches |= {folder: open_cache(folder) for folder in missing}
    except OSError as fault:
        raise DataError(
            f"cannot write the cache of decoded pictures in {cache_dir}: {fault}. Name another folder in the "
            "environment variable CLASSIFIER_SEARCH_CACHE."
        ) from fault
    if unreadable := _missing(caches):
        raise DataError(
            f"the cache of decoded pictures in {unreadable[0]} does not read back as it was written. Is the "
            "disk sound? Another folder can be named in the environment variable CLASSIFIER_SEARCH_CACHE."
        )
    return [cache for size_px in sizes_px if (cache := caches[folders[size_px]])]


def _missing(caches: Mapping[Path, Cache | None]) -> list[Path]:
    return [folder for folder, cache in caches.items() if cache is None]


def _key(listing: Listing) -> str:
    """Names the caches of these files, as they are now."""
    digest = hashlib.sha256(f"{FORMAT}\n".encode())
    root = str(listing.root)
    for file in listing.files["file"]:
        try:
            status = os.stat(os.path.join(root, file))
            digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(f"{file}\0missing\n".encode())
    return digest.hexdigest()[:24]


def _build(
    listing: Listing,
    folders: Mapping[int, Path],
    there_bytes: int,
    cache_dir: Path,
    cache_gb: float,
    progress: Progress | None,
) -> None:
    """Writes caches, by their working size, all at once: every one of them whole, or none.

    Args:
        there_bytes: Of the caches that the search needs as well and that are there already.
    """
    files = list(listing.files["file"])
    sides_px = [short_side_px(size_px) for size_px in folders]
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)  # damaged, where there is one
    clear_leftovers(cache_dir)
    room = Room(cache_dir, cache_gb * 1e9)
    written_bytes = done = 0
    try:
        if math.isfinite(cache_gb):
            # Hours would be lost, and other caches, if only a full one told that all do not fit.
            room.make(_expected_bytes(listing.root, files, sides_px))
        with contextlib.ExitStack() as stack:
            writers = [stack.enter_context(_writer(folder)) for folder in folders.values()]
            for file, result in _decoded(listing.root, files, sides_px):
                if isinstance(result, str):
                    for writer in writers:
                        writer.skip(file, result)
                else:
                    size_bytes = _stored_bytes(result)
                    room.claim(size_bytes)
                    written_bytes += size_bytes
                    for writer, hashed in zip(writers, result, strict=True):
                        writer.add(file, *hashed)
                done += 1
                if progress is not None:
                    progress(done, len(files))
    except NoRoomError as fault:
        sizes = ", ".join(f"{size_px}" for size_px in folders)
        wanted_bytes = written_bytes / done * len(files) if done else fault.wanted_bytes
        used_bytes = cache_gb * 1e9 - fault.most_bytes - written_bytes
        raise DataError(
            f"{len(files)} pictures decoded for {sizes} px take about {_gb(wanted_bytes)}, which does not "
            f"fit into the cache in {cache_dir}: it may take {_gb(cache_gb * 1e9)}, and {_gb(used_bytes)} "
            f"of that are in use ({_gb(there_bytes)} by the same pictures in other sizes). Raise --cache-gb, "
            "or use fewer or smaller sizes (geometry.size_px in the space)."
        ) from fault


@contextlib.contextmanager
def _writer(folder: Path) -> Iterator[CacheWriter]:
    """Writes a cache that comes into place when it is whole."""
    unfinished = folder.with_suffix(UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)  # left by a process that was killed
    unfinished.mkdir()
    writer = CacheWriter(unfinished)
    try:
        yield writer
        writer.finish()
        unfinished.rename(folder)
    finally:
        writer.close()
        shutil.rmtree(unfinished, ignore_errors=True)


_Decoded = list[tuple[np.ndarray, str, str]]
"""A picture in each size, uint8 (H, W, 3), with its hash and that of its file."""


def _decoded(
    root: Path, files: Sequence[str], sides_px: Sequence[int]
) -> Iterator[tuple[str, _Decoded | str]]:
    """Each file in order with its pictures, or with the reason why it has none."""

    def one(file: str) -> _Decoded | str:
        try:
            pictures = decode_each(root / file, short_sides_px=sides_px)
            content = _content_hash(root / file)
        except (DecodeError, OSError) as fault:
            return str(fault)
        return [(picture, picture_hash(picture), content) for picture in pictures]

    # Threads are enough: Pillow lets others run while it decodes. Only so many ahead that pictures don't
    # pile up in memory when the disk is slower than the decoding.
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        ahead: deque[tuple[str, Future[_Decoded | str]]] = deque()
        for file in files:
            ahead.append((file, pool.submit(one, file)))
            if len(ahead) == _AHEAD:
                first, future = ahead.popleft()
                yield first, future.result()
        for file, future in ahead:
            yield file, future.result()


def _content_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _stored_bytes(pictures: _Decoded) -> int:
    return sum(picture.nbytes + _ROW_BYTES for picture, *_ in pictures)


def _expected_bytes(root: Path, files: Sequence[str], sides_px: Sequence[int]) -> float:
    """What the pictures will take, by a sample that is evenly spread over the files."""
    sample = files[:: max(1, len(files) // _SAMPLE)]
    results = [result for _, result in _decoded(root, sample, sides_px)]
    known = [_stored_bytes(result) for result in results if not isinstance(result, str)]
    return sum(known) / max(1, len(sample)) * len(files)


def _gb(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.3g} GB"
