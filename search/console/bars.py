"""Progress bars for what happens before a search starts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Done = Callable[[int, int], None]
"""Hears how much of how much is done."""


@contextlib.contextmanager
def bars(console: Console) -> Iterator[Callable[[str], Done]]:
    """Makes a bar for each task; it is shown as soon as the task has something to do."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:

        def bar(what: str) -> Done:
            task = shown.add_task(what, total=None, visible=False)

            def done(count: int, total: int) -> None:
                shown.update(task, completed=count, total=total, visible=True)

            return done

        yield bar
