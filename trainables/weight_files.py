"""Files of weights that trials start from: told apart by their contents, and fetched once a node."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from trainables.models.errors import ModelError
from trainables.models.weights import weights_file


def digest(path: Path) -> str:
    """The SHA-256 of a file of weights, or of the one in a folder, in hexadecimal.

    Raises:
        ModelError: There is no such file, or it cannot be read.
    """
    file = weights_file(path)
    try:
        state = file.stat()
        return _digest(file, state.st_mtime_ns, state.st_size)
    except OSError as fault:
        raise ModelError(f"model.weights: {file} cannot be read: {fault.strerror}.") from fault


@functools.lru_cache(maxsize=64)
def _digest(file: Path, mtime_ns: int, size: int) -> str:
    """Read once a process: a file that changes has another time or size."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def on_this_node(path: Path, sha256: str, suffix: str, fetch: Callable[[], bytes], cache_dir: Path) -> Path:
    """Where this machine has weights: at the path that recipes name, else in its cache.

    Args:
        path: A file, or a folder with one, on the machine that started the search.
        sha256: The file's digest there; what this machine has under the same path may be another one.
        suffix: The file's, which tells its format.
        fetch: Gets its contents from that machine; called only where the cache has no copy yet.
        cache_dir: On this machine.
    """
    if path.exists() and digest(path) == sha256:
        return path
    copy = cache_dir / "weights" / f"{sha256}{suffix}"
    copy.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(copy.with_suffix(".lock")):
        if not copy.exists():
            partial = copy.with_suffix(f".{os.getpid()}.partial")
            try:
                partial.write_bytes(fetch())
                partial.replace(copy)
            finally:
                partial.unlink(missing_ok=True)
    return copy
