"""What is expected of configurations before a search has tried any: the forecasts of a former one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.policy.curve_model import CurveModel


@dataclass(frozen=True)
class Trend:
    """What a former search expects at full length, in its own units: 0 is the mean of its trials, 1 their
    spread. So it says which configurations are good, and nothing of how high scores are on other data."""

    model: CurveModel
    """It takes the same features as that of the search, without trends."""
    middle: float
    spread: float
    """Of what it expects of the trials that it learnt from."""
    best: np.ndarray
    """Float (B, P): the points of those of which it expects most."""

    def at(self, features: np.ndarray) -> np.ndarray:
        """Its values, float (N,), for features without trends, float (N, F)."""
        return (self.model.mean(features) - self.middle) / self.spread


def with_trends(features: np.ndarray, trends: Sequence[Trend]) -> np.ndarray:
    """Float (N, F + K): what a model takes, see `CurveModel`."""
    return np.column_stack([features, *(trend.at(features) for trend in trends)])
