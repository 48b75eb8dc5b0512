"""The page of a running search, rewritten as results come, by a process of its own.

Not by the driver, whose time belongs to the trials: while it draws, trials that have reported would wait for
their decisions. All that a page shows is in the search's folder, so the two share nothing else, and whatever
becomes of the page, the search goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from search.results import write_page
from search.storage.folder import SearchFolder, State, orphaned
from spaces.errors import InputError

LEAST_S = 10.0
"""Between two pages."""
MOST_S = 300.0
"""After so long a page is written again even if nothing has come: it then says that the search still runs."""
SHARE = 0.02
"""Of a CPU's time, at most, that pages take."""


def follow(
    folder: SearchFolder,
    *,
    driver: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
    cpu: Callable[[], float] = time.process_time,
) -> None:
    """Writes a search's page as results come, until it runs no more, and then once more.

    A page that cannot be written is named on standard error, and tried again.

    Args:
        driver: The process that started this one: where it has died and another drives the search, that has
            a follower of its own.
    """
    pause_s, waited_s, before = LEAST_S, MOST_S, -1
    while True:
        state, size = folder.state, _size(folder)
        if state is State.RUNNING and orphaned(driver):
            return
        if size != before or waited_s >= MOST_S or state is not State.RUNNING:
            started = cpu()
            try:
                write_page(folder, state, every_s=pause_s)
                before, waited_s = size, 0.0
            except (OSError, InputError) as fault:
                print(f"The page of {folder.path} cannot be written: {fault}", file=sys.stderr)
            pause_s = max(LEAST_S, (cpu() - started) / SHARE)
        if state is not State.RUNNING:
            return
        sleep(pause_s)
        waited_s += pause_s


def _size(folder: SearchFolder) -> int:
    """Bytes of all that is recorded, of trials and of runs of the rematch."""
    files = (folder.records_file, folder.rematch_records_file)
    return sum(file.stat().st_size for file in files if file.exists())


class LivePage:
    """Has the page of a search followed by a process of its own while the search is in this block.

    That process ends by itself when this one dies, with a page that says so.

    Args:
        clock: Seconds, from any start.
    """

    def __init__(self, folder: SearchFolder, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._first: float | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LivePage:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def tick(self) -> None:
        """To be called from the first result on, however often. The process begins a moment after, so that it
        does not import its libraries while the first trials import theirs."""
        if self._first is None:
            self._first = self._clock()
        if self._process is not None or self._clock() - self._first < LEAST_S:
            return
        self._first = self._clock()  # where no process can be had, it is tried again
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "search.leaderboard", str(self._folder.path.resolve())),
                    *("--follow", "--driver", str(os.getpid())),
                ],
                cwd=Path(__file__).parents[1],  # where the package is, also when it is not installed
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the driver
            )
        except OSError as fault:
            print(f"The page is not rewritten during the search: {fault}", file=sys.stderr)
