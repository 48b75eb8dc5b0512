"""`python -m search.list`: the searches under results/ and their state."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from search.allowance import lacked_recipes
from search.command import guarded, table_console
from search.command_line import CommandLine
from search.folder import RESULTS, SearchFolder, State, searches
from search.results import winner_of
from spaces.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = CommandLine(prog="python -m search.list", description=__doc__)
    parser.add_argument(
        "results", nargs="?", default=str(RESULTS), help="the folder to look in (default: results)"
    )
    results = Path(parser.parse_args(arguments).results)
    return guarded(lambda: _list(results))


def _list(results: Path) -> int:
    if not results.is_dir() and results != RESULTS:
        raise InputError(f"there is no folder {results}.")
    console = table_console()
    folders = searches(results)
    if not folders:
        console.print(f"No searches in {escape(str(results))}. Start one: python -m search.run")
        return 0
    table = Table(
        *("search", "state", "trials", "epochs", "best", "pictures", "space or recipe"),
        box=None,
        pad_edge=False,
    )
    for folder in folders:
        table.add_row(*(escape(cell) for cell in _row(folder)))
    console.print(table)
    return 0


def _row(folder: SearchFolder) -> tuple[str, ...]:
    """A search in cells; one whose files are damaged is listed with what is wrong."""
    try:
        settings, records = folder.settings(), folder.records().all()
        metric = settings.scored_by
        best = winner_of(folder)
        ended = sum(record.outcome is not None for record in records)
        asked = settings.allowance.trials
        cut_short = folder.state is State.FINISHED and lacked_recipes(folder.ended_by, len(records), asked)
        return (
            folder.path.name,
            str(folder.state),
            f"{ended}{f'/{asked}' if asked else ''}{' (no further recipe)' * cut_short}",
            str(sum(len(record.history) for record in records)),
            "-" if best is None else f"{best.score(metric):.4f} ({metric.name})",
            settings.data or "demo",
            settings.space or " ".join(("recipe", *settings.start_from)),
        )
    except InputError as fault:
        return (folder.path.name, f"damaged: {fault}", "", "", "", "", "")


if __name__ == "__main__":
    sys.exit(main())
