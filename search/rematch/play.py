"""Plays a rematch on Ray, as far as the budget of its search goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from search.engine.budget import Budget
from search.rematch.runs import Rematch, contenders
from search.rematch.shown import announcement, progress
from search.settings.settings import Settings
from search.storage.folder import CHECKPOINTS, SearchFolder
from search.storage.states import delete_all
from search.trials.records import RecordFile
from search.trials.trials import TrialRecord
from search.tune.driver import Venue, run
from trainables.checkpoint import checkpoint_name
from trainables.storage import Storage


def play(
    folder: SearchFolder,
    file: RecordFile,
    records: list[TrialRecord],
    settings: Settings,
    budget: Budget,
    venue: Venue,
    terminal: Console,
    *,
    home: Storage,
    delete: Callable[[str], None],
    tick: Callable[[], None],
) -> bool:
    """Trains the best trials of a finished search again. Runs that there are already are not repeated.

    Args:
        file: The records of its runs.
        records: The search's trials.
        venue: Of the search's trials.
        home: The search's folder for what runs store: its own, or the one in its storage.
        delete: Deletes a file there, by name.
        tick: Called several times a second while runs go on.

    Returns:
        Whether all that there is time for has been run.
    """
    if not settings.rematch and file.records.trials:
        terminal.print("The rematch is set aside (--rematch 0); a resume with --rematch N takes it up again.")
    answers, states = folder.rematch.name, f"{folder.rematch.name}/{CHECKPOINTS}"
    rematch = Rematch.largest(
        file,
        contenders(records, settings.scored_by, settings.rematch),
        seeds=settings.rematch_seeds,
        seed=settings.seed,
        has_room=budget.has_room,
        ended=lambda number: delete(f"{states}/{checkpoint_name(number)}"),
    )
    if rematch is None:
        terminal.print("No rematch: the time that is left is the retrain's.")
        return True
    if rematch.finished:
        return True
    terminal.print(announcement(rematch, int((venue.place.split["part"] == "selection").sum())))
    file.session(contenders=[one.number for one in rematch.contenders], seeds=rematch.seeds)
    place = replace(venue.place, checkpoints=home / states, answers=home / answers)
    with progress(rematch, settings.scored_by, terminal) as shown:

        def both() -> None:
            shown.tick()
            tick()

        run(rematch, replace(venue, place=place), tick=both)
    if rematch.finished:
        delete_all(home / states, lambda name: delete(f"{states}/{name}"))  # every run has ended
    return rematch.finished
