"""The runs of a rematch that has not come to its end: which are done, and which go on."""

from __future__ import annotations

from typing import NamedTuple

from search.report import text
from search.report.facts.settings import family
from search.report.facts.view import SearchView, outcome_name
from search.trials import TrialRecord


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
    """The runs of a rematch without a verdict; None where none has begun, or there is one."""
    if view.rematch is not None or not view.rematch_runs:
        return None
    by_contender: dict[int, list[TrialRecord]] = {}
    for record in view.rematch_runs:
        by_contender.setdefault(int(record.trial.source), []).append(record)
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
        for trial, records in by_contender.items()
        for place, record in enumerate(records, start=1)
    ]
    ended = sum(record.outcome is not None for record in view.rematch_runs)
    left = len(runs) - ended
    going = "going" if view.state == "running" else "cut off"
    states = [f"{text.count(ended, 'run')} ended" if ended else "", f"{left} {going}" if left else ""]
    return Runs(
        runs,
        "The best trials are trained again from scratch with fresh seeds: "
        f"{', '.join(filter(None, states))}. Scores are of the validation part; the selection part decides, "
        "and is asked when all runs have ended.",
    )
