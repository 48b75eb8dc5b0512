"""Parameters as coordinates from 0 to 1, and back, so that even coordinates give what is drawn evenly."""

from __future__ import annotations

import math
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


def value_at(distribution: BaseDistribution, place: float) -> Any:
    """The value at a coordinate; each of a few values has an equal share of the way from 0 to 1."""
    count = count_of(distribution)
    if count is not None:
        place = min(int(place * count), count - 1)
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(place)]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    if count is not None:
        return min(low + (distribution.step or 0) * place, high)
    if distribution.log:
        return min(max(math.exp(math.log(low) + place * math.log(high / low)), low), high)
    return min(low + place * (high - low), high)


def place_of(distribution: BaseDistribution, value: Any) -> float:
    """The coordinate of a value; of one of a few values, the middle of its share."""
    count = count_of(distribution)
    if isinstance(distribution, CategoricalDistribution):
        return float((distribution.to_internal_repr(value) + 0.5) / len(distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    if count is not None:
        return float((round((value - low) / (distribution.step or 1)) + 0.5) / count)
    if distribution.log:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def count_of(distribution: BaseDistribution) -> int | None:
    """How many values there are, where they can be counted."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.single():
        return 1
    if distribution.step is None:
        return None
    return round((distribution.high - distribution.low) / distribution.step) + 1
