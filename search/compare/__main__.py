"""`python -m search.compare results/A results/B...`: several searches side by side, as a page and a table.

Searches are compared where they can be: on the same pictures in the same parts, by the same metric. Those
that still run, or were interrupted, are shown as they stand.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from search.compare.cohorts import cohorts
from search.compare.console import print_comparison
from search.compare.entry import read_entries
from search.compare.page import PAGE, write_comparison
from search.compare.sections import Sections
from search.console.command import guarded, table_console
from search.console.command_line import CommandLine
from search.storage.folder import RESULTS, FolderError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = CommandLine(prog="python -m search.compare", description=__doc__)
    parser.add_argument("folders", metavar="results/NAME", nargs="+", help="searches, in any state")
    parser.add_argument(
        "--out",
        metavar="FILE",
        default=str(RESULTS / PAGE),
        help=f"the page: an .html file (default: {RESULTS / PAGE})",
    )
    given = parser.parse_args(arguments)

    def compare() -> int:
        out = checked(Path(given.out).expanduser())
        found = Sections(cohorts(read_entries([Path(folder) for folder in given.folders])))
        write_comparison(out, found)
        print_comparison(table_console(), found)
        print(f"Comparison:  {out}")
        return 0

    return guarded(compare)


def checked(out: Path) -> Path:
    """Where the page is to be.

    Raises:
        FolderError: It is not the name of a page, or there is no such folder.
    """
    if out.suffix != ".html" or out.is_dir():
        raise FolderError(f"--out {out} must be a file that ends in .html; nothing else is overwritten.")
    if not out.parent.is_dir():
        raise FolderError(
            f"--out {out}: there is no folder {out.parent}. Make it first, or name another file."
        )
    return out


if __name__ == "__main__":
    sys.exit(main())
