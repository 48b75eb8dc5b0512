"""When each trial trained where, and for how long it waited for data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from search.report.facts.curves import worked
from search.report.facts.settings import family
from search.report.facts.view import SearchView, outcome_name
from search.trials.trials import Epoch, TrialRecord

CLOCK_S = 0.01
"""Stints that overlap by less do not: an epoch's end and its length are told by two clocks."""


class Stint(NamedTuple):
    """Epochs that one trial trained in a row in one place."""

    trial: int
    family: str
    outcome: str
    node: str
    device: str
    lane: int
    """From 0: the lowest of those in the same place that no other stint takes meanwhile."""
    start_s: float
    """Of its first epoch, since the start of the search, without the time between sessions."""
    end_s: float
    epochs: int
    busy_s: float
    """Of its epochs."""
    train_s: float
    """Of these, in training: the part in which data can be waited for."""
    waited_s: float | None
    """Of these, waiting for data; None where no epoch tells."""


class Place(NamedTuple):
    """A device of a node, and what was trained on it."""

    node: str
    device: str
    lanes: int
    """The most trials at a time."""
    trials: int
    epochs: int
    busy_s: float
    """Added up over the trials that shared it."""
    waiting: float | None
    """Share of the time in training; None where no epoch tells."""


def stints(view: SearchView) -> list[Stint]:
    """All stints, by place and by start.

    A stint ends where the trial's next epoch is in another place, or begins later than the last one took: its
    process, its machine or the driver was lost in between.
    """
    origin = min((record.started for record in view.records), default=0.0)
    found = [
        Stint(
            record.number,
            family(record),
            outcome_name(record, view.state),
            epochs[0].node,
            epochs[0].device,
            0,
            worked(_start(epochs[0]), origin, view.sessions),
            worked(epochs[-1].time, origin, view.sessions),
            len(epochs),
            sum(map(_seconds, epochs)),
            *_waiting(epochs),
        )
        for record in view.records
        for epochs in _in_a_row(record)
    ]
    found.sort(key=lambda stint: (stint.node, stint.device, stint.start_s, stint.trial))
    return list(_in_lanes(found))


def places(found: Iterable[Stint]) -> list[Place]:
    """The places of these stints, by name."""
    by_place: dict[tuple[str, str], list[Stint]] = {}
    for stint in found:
        by_place.setdefault((stint.node, stint.device), []).append(stint)
    return [
        Place(
            node,
            device,
            lanes=1 + max(stint.lane for stint in members),
            trials=len({stint.trial for stint in members}),
            epochs=sum(stint.epochs for stint in members),
            busy_s=sum(stint.busy_s for stint in members),
            waiting=_share(members),
        )
        for (node, device), members in sorted(by_place.items())
    ]


def _seconds(epoch: Epoch) -> float:
    return epoch.metrics.get("epoch_s", 0.0)


def _start(epoch: Epoch) -> float:
    return epoch.time - _seconds(epoch)


def _in_a_row(record: TrialRecord) -> Iterator[list[Epoch]]:
    row: list[Epoch] = []
    for epoch in record.history:
        if row and (
            (epoch.node, epoch.device) != (row[-1].node, row[-1].device)
            or _start(epoch) - row[-1].time > _seconds(row[-1])
        ):
            yield row
            row = []
        row.append(epoch)
    if row:
        yield row


def _waiting(epochs: Sequence[Epoch]) -> tuple[float, float | None]:
    """Seconds in training and in waiting for data, over the epochs that tell of both."""
    known = [epoch.metrics for epoch in epochs if {"train_s", "data_wait_s"} <= epoch.metrics.keys()]
    if not known:
        return 0.0, None
    return sum(m["train_s"] for m in known), sum(m["data_wait_s"] for m in known)


def _share(members: Sequence[Stint]) -> float | None:
    train_s = sum(stint.train_s for stint in members)
    return sum(stint.waited_s or 0.0 for stint in members) / train_s if train_s else None


def _in_lanes(ordered: Iterable[Stint]) -> Iterator[Stint]:
    """The stints of a place by start, each in the lowest lane that is free."""
    place, ends = ("", ""), list[float]()
    for stint in ordered:
        if (stint.node, stint.device) != place:
            place, ends = (stint.node, stint.device), []
        free = (i for i, end in enumerate(ends) if end <= stint.start_s + CLOCK_S)
        lane = next(free, len(ends))
        ends[lane : lane + 1] = [stint.end_s]
        yield stint._replace(lane=lane)
