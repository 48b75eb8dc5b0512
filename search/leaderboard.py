"""`python -m search.leaderboard results/NAME`: the page and the table, from the records, at any time.

With `--follow` they are written again and again until the search ends: `search.run` and `search.train` start
that themselves.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from search.console.command import guarded
from search.console.command_line import CommandLine
from search.live_page import follow
from search.results import write_page
from search.storage.folder import SearchFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = CommandLine(prog="python -m search.leaderboard", description=__doc__)
    parser.add_argument("folder", metavar="results/NAME", help="a search, finished or still running")
    parser.add_argument(
        "--follow", action="store_true", help="write them as results come, until the search has ended"
    )
    parser.add_argument("--driver", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    path = Path(given.folder)

    def build() -> int:
        folder = SearchFolder.open(path)
        if given.follow:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # half a file would be left behind
            os.nice(10)  # trainings come first
            follow(folder, driver=given.driver)
            return 0
        print(f"Leaderboard:  {write_page(folder, folder.state)}")
        return 0

    return guarded(build)


if __name__ == "__main__":
    sys.exit(main())
