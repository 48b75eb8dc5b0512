"""Which trials figures show: all, as long as a browser draws them at once and an eye can tell them apart."""

from __future__ import annotations

from typing import TypeVar

from search.report.facts.view import SearchView
from search.trials.trials import ranked

T = TypeVar("T")

MOST_DRAWN = 1500
"""Trials in a figure."""
BEST_DRAWN = 500
"""Of these, the best ones, where there are more to choose from."""


def drawn_trials(view: SearchView) -> frozenset[int]:
    """The trials that figures show, by number: all; of more than `MOST_DRAWN` the best
    `BEST_DRAWN` and, of the others, every so many in the order of the ranking."""
    numbers = [record.number for record in ranked(view.records, view.metric)]
    if len(numbers) <= MOST_DRAWN:
        return frozenset(numbers)
    return frozenset(numbers[:BEST_DRAWN] + even_sample(numbers[BEST_DRAWN:], MOST_DRAWN - BEST_DRAWN))


def even_sample(items: list[T], size: int) -> list[T]:
    """So many of the items, at even distances, in their order."""
    return [items[i * len(items) // size] for i in range(size)]
