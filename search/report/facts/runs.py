"""The runs of a rematch that has no verdict: which are done, and which go on."""

from __future__ import annotations

from typing import NamedTuple

from search import text
from search.rematch.runs import contenders, runs_of
from search.report.facts.settings import family
from search.report.facts.view import SearchView, outcome_name


class Run(NamedTuple):
    """One training of a contender."""

    trial: int
    """The contender."""
    family: str
    place: int
    """Among the runs of its contender, from 1."""
    outcome: str
    epochs: int
    """So far."""
    of: int
    score: float | None
    """On the validation part, as the weights are now."""


class Runs(NamedTuple):
    """The runs so far, by contender, the one first that was first in the search."""

    runs: list[Run]
    sentence: str


def rematch_runs(view: SearchView) -> Runs | None:
    """The runs of a rematch without a verdict; None where none has begun, or there is one.

    Runs of former contenders, such as of a rematch before more trials were added, do not count.
    """
    if view.rematch is not None:
        return None
    best = contenders(view.records, view.metric, view.settings.get("rematch", len(view.records)))
    played = [(one.number, runs_of(view.rematch_runs, one.number)) for one in best]
    runs = [
        Run(
            trial,
            family(record),
            place,
            outcome_name(record, view.state),
            record.epochs_done,
            record.trial.epochs,
            record.score(view.metric),
        )
        for trial, records in played
        for place, record in enumerate(records, start=1)
    ]
    if not runs:
        return None
    ended = sum(record.outcome is not None for _, records in played for record in records)
    left = len(runs) - ended
    going = "going" if view.state == "running" else "cut off"
    states = [f"{text.count(ended, 'run')} ended" if ended else "", f"{left} {going}" if left else ""]
    told = (
        f"from scratch with fresh seeds: {', '.join(filter(None, states))}. Scores are of the validation part"
    )
    if view.state == "finished":
        came_to = (
            "These runs came to no verdict, so the best trial is the one with the best score in the search."
        )
        return Runs(runs, f"The best trials were trained again {told}. {came_to}")
    decides = "the selection part decides, and is asked when all runs have ended"
    return Runs(runs, f"The best trials are trained again {told}; {decides}.")
