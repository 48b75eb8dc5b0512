"""Tracking beside a running search, each tracker in a process of its own, which cannot end or slow it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape

from search.storage.folder import SearchFolder

PATIENCE_S = 60.0
"""For what is on its way to a server when the search has ended."""


@contextlib.contextmanager
def tracked(folder: SearchFolder, names: tuple[str, ...], terminal: Console) -> Iterator[None]:
    """Follows a search with these trackers until its manifest is there, which this block writes.

    Where the block is left by an exception, the processes end by themselves, when they have seen that nobody
    drives the search any more.
    """
    followers = [_Follower(["-m", "search.track", str(folder.path), f"--{name}"], terminal) for name in names]
    yield
    deadline = time.monotonic() + PATIENCE_S
    for follower in followers:
        follower.finish(deadline)


class _Follower:
    """A process that follows the search."""

    def __init__(self, arguments: list[str], terminal: Console) -> None:
        self._command, self._terminal = f"python {' '.join(arguments)}", terminal
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,  # what it says to people; all else goes where ours goes: to the log
            text=True,
            start_new_session=True,  # Ctrl-C is for the search
        )
        self._relay = threading.Thread(target=self._say, daemon=True)
        self._relay.start()

    def finish(self, deadline: float) -> None:
        """Waits for its end until then, by the clock `time.monotonic`."""
        try:
            level = self._process.wait(max(deadline - time.monotonic(), 0.1)) == 0
        except subprocess.TimeoutExpired:
            self._process.terminate()
            level = False
        self._relay.join(timeout=1)
        if not level:
            self._terminal.print(escape(f"What could not be sent can be sent later: {self._command}"))

    def _say(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._terminal.print(escape(line.rstrip()))
