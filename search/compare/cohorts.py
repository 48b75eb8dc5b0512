"""Which searches compare: those whose scores are of the same metric on the same pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from search import text
from search.compare.entry import Entry, Identity
from search.report.facts import data_facts


@dataclass(frozen=True)
class Cohort:
    """Searches whose scores compare."""

    entries: list[Entry]
    """Best first, see `merit`."""
    differs: list[str]
    """From the largest cohort, in words; empty for that one itself."""

    @property
    def compares(self) -> bool:
        """Whether there is something to compare."""
        return len(self.entries) > 1


def cohorts(entries: Sequence[Entry]) -> list[Cohort]:
    """The entries in cohorts, numbered through in their order; the largest cohort first."""
    members: dict[Identity, list[Entry]] = {}
    for entry in entries:
        members.setdefault(entry.identity, []).append(entry)
    in_order = sorted(members.values(), key=len, reverse=True)
    largest, numbers = in_order[0][0], iter(range(1, len(entries) + 1))
    return [
        Cohort(
            [replace(entry, number=next(numbers)) for entry in sorted(found, key=merit)],
            list(differences(found[0], largest)),
        )
        for found in in_order
    ]


def merit(entry: Entry) -> tuple[int, float]:
    """Sorts the entries of a cohort, the best first: by what their winners came to with fresh seeds, then
    those without a rematch by their best trials' scores, last those without a score."""
    gain = entry.metric.gain
    if entry.view.rematch is not None:
        verdict = entry.view.rematch.verdict
        return 0, -gain(next(one.mean for one in verdict.standings if one.trial == verdict.winner))
    score = entry.best.score(entry.metric) if entry.best else None
    return (2, 0.0) if score is None else (1, -gain(score))


def differences(entry: Entry, other: Entry) -> Iterator[str]:
    """What makes the scores of two searches mean different things, in words, of the first."""
    mine, its = entry.identity, other.identity
    if mine.pictures != its.pictures:
        same_place = source(entry) == source(other)
        yield "other pictures" + (", though from the same place" if same_place else f", {source(entry)}")
    if mine.classes != its.classes:
        here, there = len(mine.classes), len(its.classes)
        yield f"{text.count(here, 'class', 'classes')}, not {there}" if here != there else "other classes"
    if mine.pictures == its.pictures and mine.split != its.split:
        seeds = entry.view.settings.get("seed"), other.view.settings.get("seed")
        why = f" (--seed {seeds[0]}, not {seeds[1]})" if seeds[0] != seeds[1] else ""
        yield f"the same pictures, but divided otherwise into parts{why}"
    if mine.metric != its.metric:
        yield f"ranked by {entry.metric.title}, not {other.metric.title}"


def source(entry: Entry) -> str:
    """Where its pictures are from."""
    found = data_facts(entry.view)
    return found.source if found else str(entry.view.settings.get("data") or "the built-in demo")
