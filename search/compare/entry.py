"""One of the searches that are compared, read from its folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from search import results
from search.report import facts
from search.report.facts import SearchView
from search.storage.folder import FolderError, SearchFolder
from search.trials.trials import METRICS, Metric, TrialRecord, ranked
from spaces.errors import InputError
from trainables.data import read_split


class Identity(NamedTuple):
    """What has to be the same, or a score of one search means something else than that of another."""

    pictures: str
    """The fingerprint of their contents."""
    classes: tuple[str, ...]
    split: str
    """Of which picture is in which part, and in which group."""
    metric: str


@dataclass(frozen=True)
class Entry:
    """One search among others."""

    name: str
    """Unlike that of any other: the folder's, with those around it where two have the same."""
    path: Path
    view: SearchView
    identity: Identity
    number: int = 0
    """Its place on the page, from 1; by it people tell searches apart in figures."""

    @property
    def metric(self) -> Metric:
        """What it is compared by: its metric, without costs."""
        return METRICS[self.identity.metric]

    @property
    def best(self) -> TrialRecord | None:
        """The best trial by the search's own ranking; None as long as none has a score."""
        first = next(iter(ranked(self.view.records, self.view.metric)), None)
        return first if first is not None and first.score(self.metric) is not None else None

    @property
    def winner(self) -> TrialRecord | None:
        """Who won the rematch, or without one the best trial."""
        if self.view.rematch is None:
            return self.best
        won = self.view.rematch.verdict.winner
        return next(record for record in self.view.records if record.number == won)

    @property
    def steered_by(self) -> str:
        """The number that its trials were ranked by."""
        return self.view.objectives.definition if self.view.objectives else self.metric.title


def read_entries(paths: Sequence[Path]) -> list[Entry]:
    """The searches in these folders, in this order.

    Raises:
        InputError: There are fewer than two, one is named twice, or is not a search's folder, or is damaged;
            the message names it.
    """
    places = [path.expanduser().resolve() for path in paths]
    for place, count in Counter(places).items():
        if count > 1:
            raise FolderError(f"{paths[places.index(place)]} is named {count} times. Leave it in once.")
    if len(paths) < 2:
        raise FolderError(
            f"{', '.join(map(str, paths))}: one search alone compares with nothing. Name two or more; "
            "python -m search.leaderboard shows one."
        )
    names = names_of(places)
    return [_read(name, path) for name, path in zip(names, paths, strict=True)]


def names_of(places: Sequence[Path]) -> list[str]:
    """A name for each folder, as short as tells them apart: with as many of the folders around it as that
    takes."""
    depth = 1
    while True:
        found = ["/".join(place.parts[-depth:]) for place in places]
        count = Counter(found)
        if len(count) == len(places) or depth >= max(len(place.parts) for place in places):
            return found
        depth += 1


def _read(name: str, path: Path) -> Entry:
    if path.is_file():
        raise FolderError(f"{path} is a file, not a search's folder. A pattern such as results/*/ has none.")
    folder = SearchFolder.open(path.expanduser())
    try:
        view = results.view(folder, folder.state)
        stored = folder.read_json(folder.settings_file)
        split = read_split(folder.split_file)
        entry = Entry(
            name,
            folder.path,
            view,
            Identity(
                stored["data_fingerprint"],
                tuple(sorted(split["class"].unique())),
                hashlib.sha256(split.to_csv(index=False).encode(errors="replace")).hexdigest(),
                folder.settings().metric,
            ),
        )
        facts.summary(view)  # looks at everything that a page shows of a search
    except InputError as fault:
        raise FolderError(f"{path} cannot be compared: {fault}") from fault
    except Exception as fault:  # a value of another kind makes nearly every error
        raise FolderError(
            f"{path} cannot be compared: a file of it is damaged ({type(fault).__name__}: {fault}). Bring it "
            "back from a copy, or leave this search out."
        ) from fault
    return entry
