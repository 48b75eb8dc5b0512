"""Forecasts of what trials and configurations come to at full length, learnt from all trials so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from search.policy.curve_model import CurveModel, Curves
from search.policy.points import Points
from search.policy.rungs import Rungs
from search.policy.scored import Scored
from search.policy.trend import Trend, with_trends
from spaces.tree import Tree

FEWEST = 12
"""Trials that must have come to the first rung before anything is forecast."""
MOST_DIVERGED = 25
DOUBT = 0.1
"""A variance of what diverged trials are said to score, which is made up; scores have one of about 1."""
STEPS = 100
"""Of the search for a model's parameters, at most."""
RETUNED = 1.25
"""The model's parameters are learnt anew each time that there are so many times the entries."""
FLAT = 0.2
"""The spread at the first rung is taken to be at least so much of the spread of all scores: as long as nobody
has learnt anything it says nothing."""
EDGE = 0.002
"""Shares are taken to be at least so far from 0 and 1."""

Params = Mapping[str, Any]
"""As an Optuna trial has them."""


@dataclass(frozen=True)
class Forecasts:
    """What is expected at some moment of T trials; scores are scaled by `Forecaster`."""

    points: Points
    model: CurveModel
    ranked: list[int]
    """Their numbers: those that came to a rung and have not diverged."""
    at: np.ndarray
    """Float (T, P): their points."""
    branch: np.ndarray
    """Int (T,): see `Points.branches`."""
    features: np.ndarray
    """Float (T, F + K)."""
    reached: np.ndarray
    """Int (T,): how many rungs each came to."""
    weight: np.ndarray
    """Float (T,): for how many trials each stands, as not all are modelled."""
    final: np.ndarray
    """Float (T,): what each is expected to score at full length."""
    spread: np.ndarray
    """Float (T,): how uncertain that is, a standard deviation."""
    best_now: float
    """The highest that one of them scores now, without noise."""
    trends: Sequence[Trend]
    """K, what was expected beforehand."""

    def inputs(self, at: np.ndarray) -> np.ndarray:
        """What the model takes of these points, float (N, F + K)."""
        return with_trends(self.points.features(at), self.trends)


class _Place(NamedTuple):
    """Where a trial is in the space."""

    point: np.ndarray
    """Float (P,)."""
    features: np.ndarray
    """Float (F + K,)."""
    branch: int


class Forecaster:
    """Learns from what trials scored at rungs.

    Its model sees log-odds where all scores were shares when it was learnt, else scores, less the middle of
    those at the first rung and divided by their spread. A trial that diverged counts as one of the worst at
    the first rung. Forecasts depend on the seed and on the entries and their order alone: a search that is
    resumed goes on with those that it had.

    Args:
        reached: The rungs; others enter trials there.
        cost: What a trial with these parameters is expected to cost, in any unit.
        trends: What is expected beforehand, such as by former searches.
    """

    def __init__(
        self,
        tree: Tree,
        reached: Rungs,
        *,
        seed: int,
        cost: Callable[[Params], float] = lambda params: 1.0,
        trends: Sequence[Trend] = (),
    ) -> None:
        self.points, self.reached, self._seed, self._cost = Points(tree), reached, seed, cost
        self._trends = trends
        self._places: dict[int, _Place] = {}
        self._model, self._tuned = self._new_model(), 0
        self._made: tuple[object, Forecasts | None] = (None, None)
        self._scored, self._seen = Scored(), 0
        self._shares = False

    def add(self, number: int, params: Params) -> None:
        """Tells of a trial that is in the space; forecasts are of these alone."""
        if number not in self._places:
            point = self.points.point(params, np.random.default_rng([self._seed, number]))[None]
            features = with_trends(self.points.features(point), self._trends)
            self._places[number] = _Place(point[0], features[0], int(self.points.branches(point)[0]))

    def branch(self, number: int) -> int | None:
        """Of the space, that a trial is in; None of one outside of the space."""
        place = self._places.get(number)
        return None if place is None else place.branch

    def costs(self) -> np.ndarray:
        """What is expected to be the cost of the middle of each branch, float (B,)."""
        return np.array([self._cost(params) for params in self._middles])

    @cached_property
    def _middles(self) -> list[dict[str, Any]]:
        """Of each branch, what is in the middle of all ranges."""
        middle = np.full((self.points.branch_count, 1, self.points.size), 0.5)
        moved = (self.points.moved(point, branch)[0] for branch, point in enumerate(middle))
        return [self.points.params(point) for point in moved]

    def forecasts(self, *, until: int | None = None, begun: Sequence[int] = ()) -> Forecasts | None:
        """What is expected after the first `until` entries, all by default; None as long as they are too few.

        Args:
            begun: Trials that run and have not come to a rung: they are taken to turn out as expected, so
                that there is less to learn beside them.
        """
        until = len(self.reached.entries) if until is None else until
        asked = (until, tuple(begun))
        if self._made[0] != asked:
            self._made = (asked, self._forecasts(until, begun))
        return self._made[1]

    def _forecasts(self, until: int, begun: Sequence[int]) -> Forecasts | None:
        if len(self._entered(until).gains) < FEWEST:
            return None
        self._tune(until)
        scored = self._entered(until)
        ranked, weight = scored.modelled()
        curves = self._curves(ranked, scored)
        model = self._model.condition(curves)
        if begun:
            new = np.array([self._places[number].features for number in begun])
            expected, _ = model.forecast(new, None, 0)
            own, first = len(curves.features) + np.arange(len(begun)), np.zeros(len(begun), dtype=int)
            curves = Curves(
                np.vstack([curves.features, new]),
                np.append(curves.trial, own),
                np.append(curves.level, first),
                np.append(curves.score, expected),
                np.append(curves.doubt, first),
            )
            model = self._model.condition(curves)
        own, features = np.arange(len(ranked)), curves.features[: len(ranked)]
        final, variance = model.forecast(features, own)
        reached = np.array([len(scored.gains[number]) for number in ranked])
        now, _ = model.forecast(features, own, reached - 1)
        places = [self._places[number] for number in ranked]
        return Forecasts(
            points=self.points,
            model=model,
            ranked=ranked,
            at=np.array([place.point for place in places]),
            branch=np.array([place.branch for place in places]),
            features=features,
            reached=reached,
            weight=weight,
            final=final,
            spread=np.sqrt(variance),
            best_now=float(now.max()),
            trends=self._trends,
        )

    def _new_model(self) -> CurveModel:
        return CurveModel(self.points.owner, self.reached.levels, trends=len(self._trends))

    def _tune(self, until: int) -> None:
        """Has the model learn its parameters, from as many of the entries as any other moment until the next
        such one would take."""
        wanted = FEWEST
        while (more := math.ceil(wanted * RETUNED)) <= until:
            wanted = more
        if wanted == self._tuned:
            return
        self._tuned = wanted
        while len(self._entered(wanted).gains) < FEWEST:
            wanted += 1
        scored = self._entered(wanted)
        # Of the model that is learnt now: penalised scores may leave this range later on.
        self._shares = all(0 <= gain <= 1 for known in scored.gains.values() for gain in known)
        self._model = self._new_model()
        self._model.tune(self._curves(scored.modelled()[0], scored), steps=STEPS)

    def _entered(self, until: int) -> Scored:
        """What the first so many entries tell of trials in the space."""
        if until < self._seen:
            self._scored, self._seen = Scored(), 0
        for entry in self.reached.entries[self._seen : until]:
            if entry.trial in self._places:
                self._scored.enter(entry)
        self._seen = until
        return self._scored

    def _curves(self, ranked: Sequence[int], scored: Scored) -> Curves:
        scale: Callable[[Sequence[float]], np.ndarray] = _log_odds if self._shares else np.asarray
        scores = [scale(scored.gains[number]) for number in ranked]
        by_level = [
            [known[level] for known in scores if len(known) > level]
            for level in range(len(self.reached.levels))
        ]
        middle, low = np.median(by_level[0]), np.percentile(by_level[0], 5)
        floors = [_floor(known) for known in by_level]
        every = [max(score, floor) for known, floor in zip(by_level, floors, strict=True) for score in known]
        spread = max(float(np.maximum(by_level[0], low).std()), FLAT * float(np.std(every)), 1e-6)
        worst = min(max(floor, min(known)) for floor, known in zip(floors, by_level, strict=True) if known)
        lost = list(scored.diverged)[-MOST_DIVERGED:]
        rows = [
            (place, level, max(score, floors[level]), 0.0)
            for place, known in enumerate(scores)
            for level, score in enumerate(known)
        ]
        rows += [(len(ranked) + place, 0, worst, DOUBT) for place in range(len(lost))]
        trial, level, score, doubt = (np.array(column) for column in zip(*rows, strict=True))
        features = np.array([self._places[number].features for number in [*ranked, *lost]])
        return Curves(features, trial, level, (score - middle) / spread, doubt)


def _log_odds(shares: Sequence[float]) -> np.ndarray:
    inside = np.clip(shares, EDGE, 1 - EDGE)
    return np.asarray(np.log(inside / (1 - inside)))


def _floor(scores: Sequence[float]) -> float:
    """A score below it is an outlier (Tukey 1977), and how far below says nothing more."""
    if len(scores) < 4:
        return -math.inf
    low, high = np.percentile(scores, [25, 75])
    return float(low - 1.5 * (high - low))
