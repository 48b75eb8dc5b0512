"""Numbers, scores and durations as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

_GAP = "\u00a0"
"""Between a number and its unit, where a line must not break."""


def is_share(metric: str) -> bool:
    """Whether a metric is a share of 1, to be shown in percent: accuracies and F1 scores are."""
    return metric.endswith(("accuracy", "_f1"))


def number(value: float) -> str:
    """Three significant digits: `0.000213`, `64`, `1,230`."""
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}"
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    if abs(rounded) >= 100:
        return f"{rounded:,.0f}"
    return f"{rounded:.3g}"


def amount(count: int) -> str:
    """A number of parameters as `--max-params` takes it: `950`, `312.4k`, `44.55M`."""
    if count < 1_000:
        return str(count)
    return f"{count / 1e3:.4g}k" if count < 999_950 else f"{count / 1e6:.4g}M"


def is_log(metric: str) -> bool:
    """Whether a metric is drawn on a log scale: a loss is, but not with costs in it, which can be below 0."""
    return metric.endswith("loss") and not metric.startswith("penalised")


def score(value: float | None, metric: str) -> str:
    """A score with its unit: `93.7%`, or three significant digits for a loss; `none` without one."""
    if value is None:
        return "none"
    return f"{100 * value:.1f}%" if is_share(metric) else number(value)


def difference(value: float, metric: str) -> str:
    """A difference of two scores: `1.3 points` of a hundred, `0.04 points`; a loss's as the loss."""
    if not is_share(metric):
        return number(value)
    points = round(100 * value, 2) or 0.0  # no -0.0
    return f"{points:.{2 if 0 < abs(points) < 0.1 else 1}f} points"


def between(ends: tuple[float, float], metric: str) -> str:
    """The ends of an interval of a difference, without their unit: `-0.2 to 1.4`."""
    low, high = (difference(end, metric).removesuffix(" points") for end in ends)
    return f"{low} to {high}"


def listed(names: Iterable[Any]) -> str:
    """`A`, `A and B`, `A, B and C`."""
    *others, last = map(str, names)
    return f"{', '.join(others)} and {last}" if others else last


def duration(seconds: float) -> str:
    """A time span in its two largest units: `8.4 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f}{_GAP}s" if seconds else f"0{_GAP}s"
    whole = round(seconds)
    for size, name, smaller, smaller_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{_GAP}{name}" + (f" {rest}{_GAP}{smaller_name}" if rest else "")
    return f"{whole}{_GAP}s"


def value(thing: Any) -> str:
    """A setting's value: numbers short, everything else as it is; null and booleans as YAML has them."""
    if thing is None:
        return "null"
    if isinstance(thing, bool):
        return str(thing).lower()
    return number(thing) if isinstance(thing, int | float) else str(thing)


def count(n: float, noun: str, plural: str | None = None) -> str:
    """`1 trial`, `16 trials`, `2 classes`, `0.5 CPUs`."""
    return f"{n:,.12g} {noun if n == 1 else plural or noun + 's'}"
