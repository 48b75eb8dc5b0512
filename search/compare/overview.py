"""A row a search: what it was, what it took, and what it came to."""

from __future__ import annotations

from typing import NamedTuple

from search import text
from search.compare.cohorts import source
from search.compare.entry import Entry
from search.report import facts
from search.settings.objectives import COSTS
from search.statistics.intervals import Interval
from search.trials.trials import Outcome, TrialRecord


class Tested(NamedTuple):
    """A model's score on the test part."""

    accuracy: float
    interval: Interval | None
    """95%; None where an older model did not note it."""
    of: str
    """Which model, where that is not the search's winner alone: `trial 5`, or the trials of an ensemble."""
    costs: str
    """Of an ensemble, where they were noted: those in the row are the winner's."""


class Row(NamedTuple):
    """One search."""

    number: int
    name: str
    state: str
    space: str
    """Or the recipe, where one was trained alone."""
    source: str
    """Of the pictures."""
    sampler: str
    trials: int
    complete: int
    """Trials that ran to their own end."""
    stopped: int
    """By the rule, or by the budget."""
    failed: int
    """Without a score: they diverged, failed, timed out, or needed too much memory."""
    running: int
    """Without an end so far."""
    seconds: float
    """Of all sessions, with the rematch."""
    epochs: int
    passes: float
    """Over the training part, by all trials."""
    best: float | None
    """The score of the best trial by the search's own ranking, without costs."""
    trial: int | None
    """The winner: of the rematch, or without one the best."""
    family: str
    """The winner's."""
    again: float | None
    """The winner's mean with fresh seeds on fresh pictures; None without a rematch."""
    interval: Interval | None
    """95%, of that."""
    flattered: float | None
    """By how much the winner's score in the search was better than that."""
    tested: Tested | None
    readings: int
    """How often the test part has been read."""
    parameters: int | None
    """The winner's, where they were counted."""
    latency_ms: float | None
    """The winner's, where it was measured, on the machine that drove the search."""


def overview(entry: Entry) -> Row:
    """The row of a search in any state."""
    view, outcomes = entry.view, [record.outcome for record in entry.view.records]
    complete, stopped = outcomes.count(Outcome.COMPLETE), outcomes.count(Outcome.STOPPED)
    running = outcomes.count(None)
    winner, played = entry.winner, facts.rematch(view)
    won = played.winner if played else None
    return Row(
        number=entry.number,
        name=entry.name,
        state=view.state,
        space=_space(entry),
        source=source(entry),
        sampler="" if view.alone else str(view.settings.get("sampler", "")),
        trials=len(outcomes),
        complete=complete,
        stopped=stopped,
        failed=len(outcomes) - complete - stopped - running,
        running=running,
        seconds=view.elapsed_s,
        epochs=sum(len(record.history) for record in view.records),
        passes=sum(record.passes for record in view.records),
        best=entry.best.score(entry.metric) if entry.best else None,
        trial=winner.number if winner else None,
        family=facts.family(winner) if winner else "",
        again=won.mean if won else None,
        interval=won.interval if won else None,
        flattered=won.flattered if won else None,
        tested=_tested(entry),
        readings=view.test_readings,
        parameters=won.parameters if won else _counted(winner, "params"),
        latency_ms=won.latency_ms if won else _measured(winner, "latency"),
    )


def _space(entry: Entry) -> str:
    settings = entry.view.settings
    return " ".join(("recipe", *settings["start_from"])) if entry.view.alone else str(settings.get("space"))


def _tested(entry: Entry) -> Tested | None:
    if not entry.view.model:
        return None
    test = entry.view.model["test"]
    known = test.get("accuracy_95")
    interval = (known[0], known[1]) if known else None
    return Tested(test["accuracy"], interval, *_tested_model(entry))


def _tested_model(entry: Entry) -> tuple[str, str]:
    """Which it is, and what it costs, as `Tested` has it."""
    model, winner = entry.view.model, entry.winner
    joined = model.get("ensemble") or {"kept": False}
    if joined["kept"]:
        costs = ""
        if "parameters" in joined:
            size, pace = text.amount(joined["parameters"]), text.number(joined["latency_ms"])
            costs = f"{size} parameters, {pace} ms a picture"
        return f"an ensemble of trials {text.listed(joined['trials'])}", costs
    trial = model["trial"]
    return "" if trial is None or (winner and trial == winner.number) else f"trial {trial}", ""


def _measured(record: TrialRecord | None, cost: str) -> float | None:
    """What the records of a search with objectives tell of a trial's network."""
    return record.kept().metrics.get(COSTS[cost].key) if record is not None and record.history else None


def _counted(record: TrialRecord | None, cost: str) -> int | None:
    found = _measured(record, cost)
    return None if found is None else int(found)
