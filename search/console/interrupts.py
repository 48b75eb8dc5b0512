"""Ctrl-C, and SIGTERM, end what runs on Ray cleanly; once more, at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from threading import Event
from types import FrameType
from typing import Any

from rich.console import Console


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None], console: Console, follows: str) -> Iterator[Event]:
    """Has the first signal in this block call `stop`, and the second one interrupt it.

    Args:
        follows: What comes when it has stopped, for people.

    Yields:
        Whether there was a signal.

    Raises:
        KeyboardInterrupt: There was a second signal.
    """
    asked = Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        stop()
        console.print(f"\nstopping; {follows} (Ctrl-C again leaves at once)")

    before: dict[int, Any] = {
        number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
