"""What trackers show of a search, as plain values from its records: one run for it, and one a trial."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from search.policy.rungs import Rungs
from search.settings.settings import Settings
from search.storage.folder import State
from search.trials.records import Records
from search.trials.trials import Outcome, TrialRecord
from spaces.flat import flatten
from spaces.yaml_files import dump_yaml

T = TypeVar("T")
Plain = bool | int | float | str | None
LONGEST = 1000
"""Characters of a text in a summary: some servers refuse long ones."""


class Status(StrEnum):
    """How a run stands, in MLflow's words."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    """It came to a result. A trial that was stopped for its score did, too."""
    FAILED = "FAILED"
    """It has no score: it crashed or diverged, say."""
    KILLED = "KILLED"
    """Interrupted or cut off: a resume goes on with it."""

    @property
    def final(self) -> bool:
        """Whether it stays so, for a trial's run; a search can get more trials."""
        return self in (Status.FINISHED, Status.FAILED)


@dataclass(frozen=True)
class Point:
    """The values of some curves at one step."""

    step: int
    time: float
    """Seconds since the Unix epoch."""
    values: dict[str, float]


@dataclass(frozen=True)
class Run:
    """What a tracker is to show of a trial, or of the search. All names are such as every tracker takes."""

    trial: int | None
    """The trial's number; None: it is the search's own run."""
    name: str
    status: Status
    started: float
    """Seconds since the Unix epoch, as `ended`."""
    settings: dict[str, Plain]
    """They stay as they are from the run's beginning on."""
    points: list[Point]
    """By step."""
    ended: float | None = None
    summary: dict[str, Plain] = field(default_factory=dict)
    """What became of it; empty while it runs."""
    files: dict[str, str] = field(default_factory=dict)
    """Texts to keep with it, by file name."""

    @property
    def key(self) -> str:
        """Its name among the runs of one search."""
        return "search" if self.trial is None else f"trial-{self.trial}"

    @property
    def final(self) -> bool:
        """Whether it never changes again."""
        return self.trial is not None and self.status.final

    @property
    def numbers(self) -> dict[str, float]:
        """Those of the summary."""
        return {name: value for name, value in self.summary.items() if isinstance(value, int | float)}


def identity(records: Records, settings: Settings) -> str:
    """What tells this search from all others, also of its name; it stays the same."""
    first = repr(records.sessions[0][0])
    return hashlib.sha256(f"{settings.name} {first}".encode()).hexdigest()[:12]


def trial_run(record: TrialRecord, settings: Settings, state: State) -> Run:
    """A trial: its recipe, every metric of every epoch, and what it came to.

    Args:
        state: The search's: tells a trial that runs from one that was cut off.
    """
    trial, status = record.trial, _status(record, state)
    return Run(
        trial=record.number,
        name=f"trial-{record.number}",
        status=status,
        started=record.started,
        settings=plain({"epochs": trial.epochs, "seed": trial.seed, **flatten(trial.recipe)}),
        points=[
            Point(epoch.epoch, epoch.time, plain_names({**epoch.metrics, "passes": epoch.passes}))
            for epoch in record.history
        ],
        ended=None if status is Status.RUNNING else record.ended or _last_sign(record),
        summary={} if status is Status.RUNNING else plain(_summary(record, settings)),
        files={
            "recipe.yaml": dump_yaml({"epochs": trial.epochs, "seed": trial.seed, "recipe": trial.recipe})
        },
    )


def _status(record: TrialRecord, state: State) -> Status:
    if record.outcome is None:
        return Status.RUNNING if state is State.RUNNING else Status.KILLED
    return Status.FINISHED if record.outcome.scored else Status.FAILED


def _last_sign(record: TrialRecord) -> float:
    return record.history[-1].time if record.history else record.started


def _summary(record: TrialRecord, settings: Settings) -> dict[str, Any]:
    """How the trial ended. What does not apply is left out."""
    if record.outcome is None:
        return {"outcome": "cut off"}
    found = {
        "outcome": str(record.outcome),
        "score": record.score(settings.scored_by),
        "origin": record.trial.source or record.trial.origin,
        "epochs_done": record.epochs_done,
        "seconds": record.seconds,
        "retries": record.retries,
        "stopped_at_rung": _rung(record.passes, settings) if record.ended_by_rule else None,
        "control_from_rung": None if record.control is None else _rung(record.control, settings),
        "node": record.history[-1].node if record.history else None,
        "device": record.history[-1].device if record.history else None,
        "error": record.error,
    }
    return {name: value for name, value in found.items() if value is not None}


def _rung(passes: float, settings: Settings) -> float | None:
    """The highest rung that so many passes over the training part reach; None: not the lowest."""
    levels = Rungs(settings.max_epochs, reduction=settings.reduction).levels[:-1]
    return max((level for level in levels if level <= passes), default=None)


def search_run(
    records: Records,
    settings: Settings,
    state: State,
    files: Mapping[str, str],
    winner: int | None = None,
) -> Run:
    """The search: what it was told, and its best score as trials ended (the step is how many had).

    Args:
        files: See `Run`.
        winner: The trial that a retrain trains, in a search that has ended.
    """
    running = state is State.RUNNING
    asked = {"metric": settings.metric, "data": settings.data or "demo", "space": settings.space}
    statuses = {State.RUNNING: Status.RUNNING, State.FINISHED: Status.FINISHED}
    return Run(
        trial=None,
        name=settings.name,
        status=statuses.get(state, Status.KILLED),
        started=records.sessions[0][0],
        settings=plain({**asked, **flatten(settings.what_matters())}),
        points=_best_scores(records, settings),
        ended=None if running else records.sessions[-1][1],
        summary={} if running else plain(_search_summary(records, settings, state, winner)),
        files=dict(files),
    )


def _best_scores(records: Records, settings: Settings) -> list[Point]:
    """The best score so far, whenever a trial ended with a score."""
    metric, points, best = settings.scored_by, [], settings.scored_by.worst
    ended = sorted((record for record in records.all() if record.ended), key=lambda record: record.ended or 0)
    for count, record in enumerate(ended, start=1):
        score = record.score(metric)
        if score is not None and record.ended is not None:
            best = max(best, score, key=metric.gain)
            points.append(Point(count, record.ended, {"best_score": best}))
    return points


def _search_summary(records: Records, settings: Settings, state: State, winner: int | None) -> dict[str, Any]:
    outcomes = [str(record.outcome or "cut_off") for record in records.all()]
    found: dict[str, Any] = {"state": str(state), "trials": len(outcomes), "seconds": records.elapsed_s}
    # Of none too: what was said when an earlier session ended is to be replaced.
    found |= {f"trials_{name}": outcomes.count(name) for name in (*Outcome, "cut_off")}
    if winner is not None:
        found |= {"winner": winner, "winner_score": records.trials[winner].score(settings.scored_by)}
    return found


def plain(values: Mapping[str, Any]) -> dict[str, Plain]:
    """Values as every tracker takes them: lists as JSON, long texts cut."""
    return plain_names({name: _plain(value) for name, value in values.items()})


def _plain(value: Any) -> Plain:
    if isinstance(value, str):
        return value[:LONGEST]
    if value is None or isinstance(value, bool | int | float):
        return value
    return json.dumps(value, default=str)[:LONGEST]


def plain_names(values: Mapping[str, T]) -> dict[str, T]:
    """The values under names that every tracker takes: ASCII letters, digits, `_`, and inside `.` and `-`.

    At most 250 characters; others become `_`. Where two names become the same, the later one gets a number.
    """
    found: dict[str, T] = {}
    for name, value in values.items():
        safe = short = re.sub(r"^[.-]|[^A-Za-z0-9_.-]", "_", name)[:240] or "_"
        count = 1
        while safe in found:
            count += 1
            safe = f"{short}_{count}"
        found[safe] = value
    return found
