"""What a comparison comes to, in sentences, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from search import text
from search.compare.cohorts import Cohort, source
from search.compare.match import Match, Pair
from search.compare.overview import Row, overview
from search.compare.remarks import remarks
from search.report.facts import data_facts
from search.trials.trials import Metric

MOST_NAMES = 4
"""That a sentence lists, rather than how many they are."""


class Said(NamedTuple):
    """Of a cohort."""

    title: str
    """On what its searches ran."""
    first: Row | None
    """The search that is ahead: by its winner, trained again, where two can be compared so, else by its best
    score. None where nothing compares, or has a score."""
    verdict: str
    """Which of them is ahead, and how sure that is; empty where there is nothing to compare."""
    against: dict[int, str]
    """How each other winner stands to the first one's, where that is known: `tied`, or `behind`."""
    remarks: list[str]
    """What to bear in mind."""


def said(cohort: Cohort, match: Match | None, unread: dict[int, str]) -> Said:
    """A cohort in sentences.

    Args:
        match: Its winners in pairs, where there are two to compare.
        unread: By search, why its answers in the rematch cannot be read.
    """
    if not cohort.compares:
        return Said(_title(cohort), None, "", {}, [])
    rows = [overview(entry) for entry in cohort.entries]
    names = {row.number: row.name for row in rows}
    metric = cohort.entries[0].metric
    first = _first(match, rows, metric)
    if first is None:
        verdict = "No trial has a score yet."
    else:
        verdict = _by_match(first, match, names, metric) if match else _by_score(first, metric)
    found = remarks(cohort.entries, rows, match, unread)
    return Said(_title(cohort), first, verdict, _against(first, match), found)


def pair(found: Pair, names: dict[int, str], metric: Metric) -> str:
    """What is known of two winners: `A is better than B by 1.3 points (0.2 to 2.4)`, or they are tied."""
    better, other = names[found.better], names[found.other]
    if found.interval is None:
        return f"{better} has the better mean, by {text.difference(found.by, metric.name)} over {other}"
    by, between = text.difference(found.by, metric.name), interval(found, metric)
    if found.apart:
        return f"{better} is better than {other} by {by} ({between})"
    return f"{better} and {other} are tied: {by} apart ({between})"


def interval(found: Pair, metric: Metric) -> str:
    """Of a pair, as `-0.2 to 1.4`, in points where its difference is."""
    return "not known" if found.interval is None else text.between(found.interval, metric.name)


def _title(cohort: Cohort) -> str:
    entry = cohort.entries[0]
    found = data_facts(entry.view)
    pictures = f", {text.count(sum(found.totals.values()), 'picture')}" if found else ""
    classes = text.count(len(entry.identity.classes), "class", "classes")
    return f"{source(entry)}: {classes}{pictures}"


def _first(match: Match | None, rows: Sequence[Row], metric: Metric) -> Row | None:
    if match is not None:
        return next(row for row in rows if row.number == match.pairs[0].better)
    scored = [(metric.gain(row.best), -row.number, row) for row in rows if row.best is not None]
    return max(scored)[-1] if scored else None


def _against(first: Row | None, match: Match | None) -> dict[int, str]:
    pairs = match.pairs if match else []
    return {
        one.other: "behind" if one.apart else "tied"
        for one in pairs
        if first is not None and one.better == first.number and one.apart is not None
    }


def _by_match(first: Row, match: Match, names: dict[int, str], metric: Metric) -> str:
    against = [one for one in match.pairs if one.better == first.number]
    start = (
        f"Of the winners, trained again, that of {first.name} has the best mean: "
        f"{text.score(first.again, metric.name)} {metric.quantity}"
    )
    if against[0].interval is None:
        return f"{start}. How sure that is cannot be told from these runs."
    if len(against) == 1:
        (only,) = against
        by = f"{text.difference(only.by, metric.name)}, 95% interval {interval(only, metric)}"
        if only.apart:
            return f"{start}. It is better than that of {names[only.other]} by {by}."
        return f"{start}. It is tied with that of {names[only.other]}: they are apart by {by}."
    tied = [names[one.other] for one in against if not one.apart]
    if not tied:
        return f"{start}. It is better than each of the others, with 95% confidence."
    if len(tied) == len(against):
        return f"{start}. None of the others is shown to be worse: they are tied."
    which = text.listed(tied) if len(tied) <= MOST_NAMES else f"{len(tied)} of the others"
    return f"{start}. It is tied with {which}, and better than the rest, with 95% confidence."


def _by_score(first: Row, metric: Metric) -> str:
    return (
        f"{first.name} has the best {metric.title}, {text.score(first.best, metric.name)}. That is no proof: "
        "the best of many scores is partly luck, and without the rematches of two searches nothing tells by "
        "how much."
    )
