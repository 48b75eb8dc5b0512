"""`python -m search.list`: the searches under results/ and their state."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from search.console.command import guarded, table_console
from search.console.command_line import CommandLine
from search.fetch import bring_table, searches_in
from search.results import winner_of
from search.settings.allowance import lacked_recipes
from search.storage.folder import RESULTS, SearchFolder, State, searches
from search.storage.owner import drivers
from spaces.errors import InputError
from trainables.storage import Storage, StorageError, storage_uri


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = CommandLine(prog="python -m search.list", description=__doc__)
    parser.add_argument(
        "results", nargs="?", default=str(RESULTS), help="the folder to look in (default: results)"
    )
    parser.add_argument("--storage", metavar="URI", help="list the searches that are kept there instead")
    given = parser.parse_args(arguments)
    if given.storage:
        return guarded(lambda: _list_stored(Storage(storage_uri(given.storage))))
    return guarded(lambda: _list(Path(given.results)))


def _list(results: Path) -> int:
    if not results.is_dir() and results != RESULTS:
        raise InputError(f"there is no folder {results}.")
    folders = searches(results)
    _print([_row(folder) for folder in folders], results)
    return 0


def _list_stored(storage: Storage) -> int:
    """Lists what is in a storage by copies of the files that tell of it."""
    with tempfile.TemporaryDirectory(prefix="classifier-search-") as scratch:
        try:
            homes = [storage / name for name in sorted(searches_in(storage))]
            driven = drivers(homes)
            folders = {home: bring_table(Path(scratch) / home.below, home) for home in homes}
        except OSError as fault:
            raise StorageError(f"{storage} cannot be read: {fault}.") from fault
        rows = []
        for home, folder in folders.items():
            name, state, *others = _row(folder)
            rows.append((name, f"running on {driven[home]}" if home in driven else state, *others))
        _print(rows, storage)
    return 0


def _print(rows: Sequence[tuple[str, ...]], where: object) -> None:
    console = table_console()
    if not rows:
        console.print(f"No searches in {escape(str(where))}. Start one: python -m search.run")
        return
    table = Table(
        *("search", "state", "trials", "epochs", "best", "pictures", "space or recipe"),
        box=None,
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


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
