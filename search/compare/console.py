"""The comparison in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search import text
from search.compare import told
from search.compare.overview import Tested
from search.compare.sections import Sections, Shown
from search.settings.allowance import span

COLUMNS = (
    *("", "search", "state", "trials", "complete", "stopped", "failed", "time", "epochs"),
    *("best", "trained again", "test accuracy", "test read", "winner"),
)
BESIDE_THE_TABLE = (
    "winners are compared on the same pictures and by their own seeds; the intervals of the table, by all "
    "contenders, may overlap all the same"
)
MOST_PAIRS = 6
"""Of more, the terminal has those with the best alone."""


def print_comparison(console: Console, sections: Sections) -> None:
    """A table and what it comes to for each of the cohorts."""
    for shown in sections.cohorts:
        console.print(f"[bold]{escape(shown.said.title)}[/], {escape(shown.metric.title)}")
        if shown.differs:
            console.print(f"Not comparable with the first: {escape('; '.join(shown.differs))}.")
        console.print(_table(shown))
        names = {row.number: row.name for row in shown.rows}
        lines = [shown.said.verdict] if shown.said.verdict else []
        pairs = shown.match.pairs if shown.match else []
        told_here = pairs if len(pairs) <= MOST_PAIRS else [p for p in pairs if p.better == pairs[0].better]
        lines += [f"  {told.pair(one, names, shown.metric)}" for one in told_here if len(pairs) > 1]
        if told_here != pairs:
            lines.append(f"  (all {len(pairs)} pairs are on the page)")
        if any(pair.apart for pair in pairs):
            lines.append(f"  ({BESIDE_THE_TABLE})")
        for line in (*lines, *(f"- {remark}" for remark in shown.said.remarks)):
            console.print(escape(line), soft_wrap=True)
        console.print()


def _table(shown: Shown) -> Table:
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for row in shown.rows:
        cells = (
            str(row.number),
            f"{row.name}{'*' * (row.number in shown.marked)}",
            row.state,
            f"{row.trials}{f' ({row.running} not ended)' * bool(row.running)}",
            *map(str, (row.complete, row.stopped, row.failed)),
            span(row.seconds),
            f"{row.epochs:,}",
            "-" if row.best is None else text.score(row.best, shown.metric.name),
            "-" if row.again is None else _with(row.again, row.interval, shown.metric.name),
            "-" if row.tested is None else _tested(row.tested),
            text.count(row.readings, "time") if row.readings else "-",
            "-" if row.trial is None else f"trial {row.trial}, {row.family}",
        )
        table.add_row(*map(escape, cells))
    return table


def _tested(found: Tested) -> str:
    return f"{_with(found.accuracy, found.interval, 'accuracy')}{f', of {found.of}' * bool(found.of)}"


def _with(score: float, interval: tuple[float, float] | None, metric: str) -> str:
    shown = text.score(score, metric)
    if interval is None:
        return shown
    return f"{shown} [{text.score(interval[0], metric)}, {text.score(interval[1], metric)}]"
