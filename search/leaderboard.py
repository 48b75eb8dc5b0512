"""`python -m search.leaderboard results/NAME`: the page and the table, from the records, at any time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from search.command import guarded
from search.folder import SearchFolder
from search.results import write_page


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m search.leaderboard", description=__doc__)
    parser.add_argument("folder", metavar="results/NAME", help="a search, finished or still running")
    path = Path(parser.parse_args(arguments).folder)

    def build() -> int:
        folder = SearchFolder.open(path)
        print(f"Leaderboard:  {write_page(folder, folder.state)}")
        return 0

    return guarded(build)


if __name__ == "__main__":
    sys.exit(main())
