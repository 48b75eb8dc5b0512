"""Ctrl-C, and SIGTERM, end what runs on Ray cleanly; once more, at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from rich.console import Console


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None], console: Console, follows: str) -> Iterator[None]:
    """Has the first signal in this block call `stop`, and the second one interrupt it.

    Args:
        follows: What comes when it has stopped, for people.

    Raises:
        KeyboardInterrupt: There was a second signal.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop()
        console.print(f"\nstopping; {follows} (Ctrl-C again leaves at once)")

    before: dict[int, Any] = {
        number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
