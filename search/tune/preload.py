"""Imports what a trial needs: each worker process of a Ray that was started here does so at its start."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from search.console.imports import uncollected

FEW_CPUS = 2


@contextlib.contextmanager
def _in_turn() -> Iterator[None]:
    """Lets one process at a time into this block where there are few CPUs: the driver keeps one of them busy,
    and the first trial should not wait until the others are ready too."""
    here = os.open(Path(__file__).parent, os.O_RDONLY)
    try:
        if (os.cpu_count() or 1) <= FEW_CPUS:
            with contextlib.suppress(OSError):  # a file system that cannot lock
                fcntl.flock(here, fcntl.LOCK_EX)
        yield
    finally:
        os.close(here)


with _in_turn(), uncollected():
    import search.tune.trial  # noqa: F401
