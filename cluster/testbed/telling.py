"""What the tests of the cluster tell while they run."""

from __future__ import annotations

import time

_START = time.monotonic()


def tell(what: str) -> None:
    """Prints what has just been done or seen, with the seconds since the start."""
    print(f"{time.monotonic() - _START:7.1f} s  {what}", flush=True)
