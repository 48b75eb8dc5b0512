"""A line in the terminal that changes, under lines that stay; piped, a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

PIPED_EVERY_S = 15.0
LIVE_EVERY_S = 0.25


class LiveLine:
    """Shows what is new, and where things stand.

    Args:
        news: Lines that have not been told yet; they are told above the line.
        line: Where things stand.
        remarks: The same as `news`, for what takes time to find out: only asked for when the line changes.
        clock: Seconds, from any start.
    """

    def __init__(
        self,
        console: Console,
        *,
        news: Callable[[], Iterable[str]],
        line: Callable[[], str],
        remarks: Callable[[], Iterable[str]] = lambda: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._clock = console, clock
        self._news, self._line, self._remarks = news, line, remarks
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._every_s = LIVE_EVERY_S if self._live else PIPED_EVERY_S
        self._last_line = clock()

    def __enter__(self) -> LiveLine:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.tick()
        if self._live:
            self._live.update(self._wrapped())
            self._live.stop()

    def tick(self) -> None:
        """Shows what is new; cheap enough to be called many times a second."""
        self._tell(self._news())
        if self._clock() - self._last_line < self._every_s:
            return
        self._last_line = self._clock()
        self._tell(self._remarks())
        if self._live:
            self._live.update(self._wrapped())
        else:
            self._console.print(escape(self._line()))

    def _tell(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._console.print(escape(line))

    def _wrapped(self) -> Text:
        return Text(self._line(), no_wrap=False, overflow="fold")  # the console itself wraps nothing
