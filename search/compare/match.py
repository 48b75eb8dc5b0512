"""The winners of several searches, compared in pairs by what their rematch runs say of the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from search.compare.cohorts import Cohort
from search.compare.entry import Entry
from search.rematch.answers import answers_of, complete_runs, truth
from search.rematch.noise import noise
from search.statistics import resampling
from search.statistics.intervals import TAIL, Interval
from search.storage.folder import SearchFolder
from search.trials.trials import Metric
from spaces.errors import InputError
from trainables.data import read_split


class Played(NamedTuple):
    """A search's winner, trained again."""

    number: int
    """Of the search."""
    runs: list[np.ndarray]
    """Of each seed the log-probabilities of the same pictures, float32 (N, C)."""


class Pair(NamedTuple):
    """Two winners."""

    better: int
    """The search whose winner has the better mean."""
    other: int
    by: float
    """By how much, in the metric; at least 0."""
    interval: Interval | None
    """Of the true difference; all of a match hold together in 95% of all cases. None where no winner has two
    runs, or all pictures are of one group."""

    @property
    def apart(self) -> bool | None:
        """Whether the better one is known to be better; None without an interval."""
        return None if self.interval is None else self.interval[0] > 0


class Match(NamedTuple):
    """Winners in pairs."""

    pictures: int
    pairs: list[Pair]
    """Those with the best of all first, then with the second best, and so on."""


class Answers(NamedTuple):
    """What a cohort's winners say of the selection part."""

    played: list[Played]
    labels: np.ndarray
    """int64 (N,)."""
    groups: np.ndarray
    """int64 (N,)."""
    unread: dict[int, str]
    """By search, why its answers cannot be read."""


def match(metric: Metric, played: Sequence[Played], labels: np.ndarray, groups: np.ndarray) -> Match:
    """Compares each two of at least two winners.

    As in a rematch (`search.rematch.verdict`): over seeds and pictures, with the spread of the seeds pooled
    over all winners, who have few each. Of m pairs, each interval is one of 100% - 5%/m (Bonferroni): with a
    probability of 95% not one of them misses its difference.
    """
    units = resampling.units(labels, groups)
    runs = [[resampling.summands(metric, labels, run) for run in one.runs] for one in played]
    means = [float(np.mean([resampling.score_of(run) for run in of_one])) for of_one in runs]
    ranking = sorted((-metric.gain(mean), played[place].number, place) for place, mean in enumerate(means))
    couples = list(combinations([place for _, _, place in ranking], 2))
    known = noise(runs, units)
    pairs = []
    for better, other in couples:
        by = abs(means[better] - means[other])
        half = None if known is None else known.between(better, other, TAIL / len(couples))
        interval = None if half is None else (by - half, by + half)
        pairs.append(Pair(played[better].number, played[other].number, by, interval))
    return Match(len(labels), pairs)


def match_of(cohort: Cohort) -> tuple[Match | None, dict[int, str]]:
    """The winners of those that had a rematch, and by search why others' answers cannot be read.

    None where there are no two to compare.
    """
    found = answers(cohort)
    if found is None or len(found.played) < 2:
        return None, found.unread if found else {}
    metric = cohort.entries[0].metric
    return match(metric, found.played, found.labels, found.groups), found.unread


def answers(cohort: Cohort) -> Answers | None:
    """What is in the folders; None where fewer than two had a rematch."""
    again = [entry for entry in cohort.entries if entry.view.rematch is not None]
    if len(again) < 2:
        return None
    split = read_split(SearchFolder(again[0].path).split_file)  # a cohort's are all the same
    played, unread = [], {}
    for entry in again:
        try:
            played.append(Played(entry.number, _runs(entry)))
        except InputError as fault:
            unread[entry.number] = str(fault)
    return Answers(played, *truth(split), unread)


def _runs(entry: Entry) -> list[np.ndarray]:
    folder = SearchFolder(entry.path)
    runs = complete_runs(folder, entry.winner.number if entry.winner else None)
    if not runs:
        raise InputError(f"{folder.rematch_records_file} has no complete run of its winner.")
    return answers_of(folder, runs, read_split(folder.split_file))
