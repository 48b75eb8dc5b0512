"""What to bear in mind about searches that are compared, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search import text
from search.compare.differing import machine
from search.compare.entry import Entry
from search.compare.match import Match
from search.compare.overview import Row


def remarks(
    entries: Sequence[Entry], rows: Sequence[Row], match: Match | None, unread: dict[int, str]
) -> list[str]:
    """Of searches that compare; none where they differ in nothing but what they are compared for.

    Args:
        rows: Of the same searches.
        match: Their winners in pairs, where there are two to compare.
        unread: By search, why its answers in the rematch cannot be read.
    """
    return [
        *_unplayed(rows, match, unread),
        *_several(match),
        *_chosen(match),
        *_steered(entries),
        *_open(rows),
        *_read(rows),
        *_lengths(entries),
        *_machines(entries),
        *_learned(entries),
    ]


def _unplayed(rows: Sequence[Row], match: Match | None, unread: dict[int, str]) -> Iterator[str]:
    without = [row.name for row in rows if row.again is None]
    if match is not None and without:
        names = text.listed(without)
        yield f"{names} had no rematch, so the winner there is not among those that are compared."
    for row in rows:
        if row.number in unread:
            yield f"The winner of {row.name} cannot be compared: {unread[row.number]}"


def _several(match: Match | None) -> Iterator[str]:
    if match is not None and len(match.pairs) > 1 and match.pairs[0].interval is not None:
        yield (
            f"With {len(match.pairs)} comparisons one would soon look like a difference by chance. So the "
            "intervals are wider than those of one pair alone: all of them hold together in 95% of all cases "
            "(Bonferroni)."
        )


def _chosen(match: Match | None) -> Iterator[str]:
    if match is not None:
        yield (
            f"All winners were asked about the same {text.count(match.pictures, 'picture')} of the selection "
            "part. Each was also chosen there among the best of its search, so their means are a little too "
            "high; the number to quote is the test score."
        )


def _steered(entries: Sequence[Entry]) -> Iterator[str]:
    ways: dict[str, list[str]] = {}
    for entry in entries:
        ways.setdefault(entry.steered_by, []).append(entry.name)
    if len(ways) > 1:
        told = "; ".join(f"{text.listed(names)} by {way}" for way, names in ways.items())
        yield (
            f"These searches were after different things, marked by *: {told}. All numbers here are the "
            f"{entries[0].metric.title} alone, which is not what each of them tried to make the best of."
        )


def _open(rows: Sequence[Row]) -> Iterator[str]:
    running = [row.name for row in rows if row.state == "running"]
    ended = [row.name for row in rows if row.state in ("interrupted", "cut off")]
    if running:
        yield f"{text.listed(running)} {_are(running)} still running: what is shown is how far it has come."
    if ended:
        yield f"{text.listed(ended)} {_are(ended)} not finished: a resume may still change what is shown."


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _read(rows: Sequence[Row]) -> Iterator[str]:
    total = sum(row.readings for row in rows)
    readers = [row.name for row in rows if row.readings]
    if len(readers) > 1:
        yield (
            f"These searches have the same test part, which has been read {total} times in all. Who chooses "
            "among them by it has no number left that nothing has seen."
        )


def _lengths(entries: Sequence[Entry]) -> Iterator[str]:
    lengths: dict[int, list[str]] = {}
    for entry in entries:
        if entry.view.settings.get("max_epochs") is not None:
            lengths.setdefault(entry.view.settings["max_epochs"], []).append(entry.name)
    if len(lengths) > 1:
        told = "; ".join(f"{length} for {text.listed(names)}" for length, names in sorted(lengths.items()))
        yield f"Their trials are of different full lengths, in epochs: {told}."


def _machines(entries: Sequence[Entry]) -> Iterator[str]:
    kinds = {str({**machine(entry), "program": ""}) for entry in entries if entry.view.environment}
    if len(kinds) > 1:
        yield "They ran on different machines: times and latencies do not compare, passes do."
    programs = {machine(entry).get("program") for entry in entries if entry.view.environment}
    if len(programs) > 1:
        yield "They were run by different versions of this program."


def _learned(entries: Sequence[Entry]) -> Iterator[str]:
    names = [entry.name for entry in entries if entry.view.settings.get("warm_start")]
    if names:
        learned = f"{text.listed(names)} learned from former searches (--warm-start)"
        yield f"{learned}, whose time does not count here."
