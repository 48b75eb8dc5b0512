"""How a search is told from others: by its number, and by a colour and a kind of line beside it."""

from __future__ import annotations

import html
from collections.abc import Sequence

from search.report.style import PALETTE, label

DASHES = {"solid": "", "dash": "9 5", "dot": "2 4", "dashdot": "9 4 2 4"}
"""Kinds of lines, as plotly calls them and as SVG draws them: after six colours the next kind begins."""
LEAST_PX = 14
"""Between the middles of two numbers, one above the other."""


def colour(number: int) -> str:
    """Of the search of this number."""
    return PALETTE[(number - 1) % len(PALETTE)]


def dash(number: int) -> str:
    """The kind of its lines."""
    return list(DASHES)[(number - 1) // len(PALETTE) % len(DASHES)]


def sample(number: int) -> str:
    """A piece of its line, as SVG."""
    return (
        '<svg class="line" viewBox="0 0 30 8" width="30" height="8" aria-hidden="true"><line x1="1" y1="4" '
        f'x2="29" y2="4" stroke="{colour(number)}" stroke-width="3" '
        f'stroke-dasharray="{html.escape(DASHES[dash(number)])}"/></svg>'
    )


def tick(number: int, name: str, longest: int = 16) -> str:
    """Its number and name as an axis shows them."""
    return f"<b>{number}</b> {label(name, longest)}"


def apart(
    middles_px: Sequence[float], within_px: float, *, beside: Sequence[float], near: float
) -> list[float]:
    """By how much each of these heights has to move so that no two are closer than `LEAST_PX`.

    Args:
        within_px: None gets above it, nor below 0, as long as there is room.
        beside: Where they stand on the other axis: those that are at least `near` apart there, with nothing
            in between, do not matter to each other.
    """
    order = sorted(range(len(middles_px)), key=lambda place: beside[place])
    groups: list[list[int]] = []
    for place in order:
        if groups and beside[place] - beside[groups[-1][-1]] < near:
            groups[-1].append(place)
        else:
            groups.append([place])
    found = [0.0] * len(middles_px)
    for group in groups:
        shifts = _shifts([middles_px[place] for place in group], within_px)
        for place, shift in zip(group, shifts, strict=True):
            found[place] = shift
    return found


def _shifts(middles_px: Sequence[float], within_px: float) -> list[float]:
    """Those that are too close make a heap around the mean of their heights (pool adjacent violators): of all
    heights that are apart, these are the nearest by squared distance."""
    heaps: list[tuple[float, list[int]]] = []  # where each begins, and its members
    for place in sorted(range(len(middles_px)), key=lambda place: middles_px[place]):
        members = [place]
        start = _start(middles_px, members, within_px)
        while heaps and start < heaps[-1][0] + LEAST_PX * len(heaps[-1][1]):
            members = heaps.pop()[1] + members
            start = _start(middles_px, members, within_px)
        heaps.append((start, members))
    found = [0.0] * len(middles_px)
    for start, members in heaps:
        for above, place in enumerate(members):
            found[place] = start + LEAST_PX * above - middles_px[place]
    return found


def _start(middles_px: Sequence[float], members: Sequence[int], within_px: float) -> float:
    """Where a heap of these begins."""
    wanted = [middles_px[place] - LEAST_PX * above for above, place in enumerate(members)]
    return max(0.0, min(sum(wanted) / len(wanted), within_px - LEAST_PX * (len(members) - 1)))
