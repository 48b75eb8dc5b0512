"""What to try next by forecasts: where a model of all learning curves expects to gain most.

The first suggestions are random, of all branches of the space (families of networks, as a rule) in turn, from
cheap to dear. Later on, a quarter are around one of the best trials so far, as in PriorBand (Mallik et al.
2023): there they gain where the model is wrong. Of the others half are random. The other half first choose a
branch by the root of the probability that it holds the best configuration (after Thompson 1933) and by what
its trainings cost, and in it the configuration of the largest expected improvement (Jones et al. 1998). The
random half keeps asking what the model is sure of: with a quarter, or with TPE alone, searches were seen to
stay in the family that was the first to do well.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from search.policy.forecaster import FEWEST, Forecaster, Forecasts
from search.policy.history import Turn
from search.policy.points import Points

GUIDED_FROM = 30
"""Trials that must have come to the first rung before forecasts guide suggestions, if there is no former
search: with fewer, what leads is what starts fast."""
AROUND, LEADERS = 0.25, 3
"""The share of suggestions that are around one of the so many best trials, once there are `GUIDED_FROM`."""
AWAY = 0.25
"""A standard deviation by which half of their coordinates are moved, those of the others staying."""
RANDOM = 0.5
"""Of the other suggestions."""
DRAWN, NEAR, ROUNDS, KEPT = 120, 6, 3, 4
"""Candidates in a branch: so many random ones, so many near each of the best trials, of former searches too,
and near the so many best candidates in so many rounds."""
OFFERED = 10
"""Candidates that follow each other if the best must not be tried."""
IN_EACH, OF_EACH = 24, 5
"""Random candidates by which a branch is judged, and how many of the most hopeful count."""
CARRIED = 6
"""Of the best trials, so many are also judged in every other branch."""
SAMPLES = 128
"""Of the best scores that branches may hold."""
TEMPERED = 0.5
"""Power of the probabilities that branches hold the best, by which they are drawn: the model is surer than it
should be."""
LEAST = 0.01
"""Share that every branch has at least."""
COST_POWER = 0.2
"""A branch that costs twice as much is drawn as if it were less probable by `2 ** -COST_POWER`."""
HOPE = 0.7
"""Standard deviations above the expected score at which a candidate is taken to be hopeful."""
STEP = 0.15
"""By which a coordinate is moved to one near it, a standard deviation."""
CHANGES = 3
"""Coordinates of a point that are changed at most, to have one near it."""
_APART = 0x466F7265
"""Sets the random numbers apart from those of others that have the same turn."""


def suggested(forecaster: Forecaster, turn: Turn, begun: list[int]) -> np.ndarray:
    """The point to try, float (P,).

    Args:
        begun: Trials that run and have not come to a rung.
    """
    points = forecaster.points
    anew = np.random.default_rng([turn.seed, turn.number, turn.draw, _APART])
    known = forecaster.forecasts(begun=begun)
    guided = known is not None and len(known.ranked) >= GUIDED_FROM
    if known is None or not (guided or known.trends):
        branch = _cheap_first(points, forecaster.costs(), turn)
        return points.moved(anew.random((1, points.size)), branch)[0]
    rng = np.random.default_rng([turn.seed, turn.number, _APART])
    if guided and rng.random() < AROUND and turn.draw < OFFERED:
        return _around(known, anew)
    if rng.random() < RANDOM:
        return anew.random(points.size)
    shares = _shares(known, rng) * forecaster.costs() ** -COST_POWER
    best = _best(known, int(rng.choice(len(shares), p=shares / shares.sum())), rng)
    return best[turn.draw] if turn.draw < len(best) else anew.random(points.size)


def _cheap_first(points: Points, costs: np.ndarray, turn: Turn) -> int:
    """The branch of one of the first trials: one after the other, so that the first scores come soon."""
    count = min(points.branch_count, FEWEST)
    drawn = np.random.default_rng([turn.seed, turn.number // count]).permutation(points.branch_count)[:count]
    return int(drawn[np.argsort(costs[drawn])][turn.number % count])


def _around(known: Forecasts, rng: np.random.Generator) -> np.ndarray:
    """A point around one of the trials that are expected to end best, in its branch, float (P,)."""
    points, leaders = known.points, np.argsort(-known.final)[:LEADERS]
    leader = known.at[rng.choice(leaders)]
    moved = leader + AWAY * rng.standard_normal(points.size)
    moved = np.where((moved >= 0) & (moved < 1), moved, rng.random(points.size))
    change = rng.random(points.size) < 0.5
    if points.branch_place is not None:
        change[points.branch_place] = False
    return np.where(change, moved, leader)


def _shares(known: Forecasts, rng: np.random.Generator) -> np.ndarray:
    """By which branches are drawn, but for what they cost, float (B,): a power of the probability that each
    holds the best configuration."""
    points, count = known.points, known.points.branch_count
    if count == 1:
        return np.ones(1)
    top = np.argsort(-known.final)[: 3 * CARRIED]
    carried = known.at[rng.choice(top, min(CARRIED, len(top)), replace=False)]
    carried = np.vstack([carried, _near(points, carried, 1, rng)])
    hopeful = known.final + HOPE * known.spread
    tried = [_top(np.flatnonzero(known.branch == branch), hopeful) for branch in range(count)]
    candidates = [
        np.vstack(
            [
                points.moved(rng.random((IN_EACH, points.size)), branch),
                points.moved(carried, branch),
                _near(points, known.at[tried[branch]], NEAR, rng),
            ]
        )
        for branch in range(count)
    ]
    owner = np.repeat(np.arange(count), [len(found) for found in candidates])
    features = known.inputs(np.vstack(candidates))
    mean, variance = known.model.forecast(features)
    hope = mean + HOPE * np.sqrt(variance)
    new = np.concatenate([_top(np.flatnonzero(owner == branch), hope) for branch in range(count)])
    old = np.concatenate(tried)
    mean, covariance = known.model.joint(
        np.vstack([features[new], known.features[old]]), np.concatenate([np.full(len(new), -1), old])
    )
    root = np.linalg.cholesky(covariance + 1e-3 * np.eye(len(mean)))
    samples = mean[:, None] + root @ rng.standard_normal((len(mean), SAMPLES))
    winner = np.concatenate([owner[new], known.branch[old]])[np.argmax(samples, axis=0)]
    shares = np.bincount(winner, minlength=count) ** TEMPERED
    return np.maximum(shares / shares.sum(), LEAST)


def _best(known: Forecasts, branch: int, rng: np.random.Generator) -> np.ndarray:
    """Points of a branch that differ from each other and from those tried, by falling expected improvement,
    float (`OFFERED`, P), or fewer."""
    points = known.points
    sure = known.final - 0.5 * known.spread
    top = _top(np.flatnonzero(known.branch == branch), sure)
    drawn = points.moved(rng.random((DRAWN, points.size)), branch)
    former = [points.moved(trend.best, branch) for trend in known.trends]
    found = np.vstack([drawn, _near(points, np.vstack([known.at[top], *former]), NEAR, rng)])
    gain = _improvement(known, found)
    for _ in range(ROUNDS):
        near = _near(points, found[np.argsort(-gain)[:KEPT]], NEAR, rng)
        found, gain = np.vstack([found, near]), np.concatenate([gain, _improvement(known, near)])
    found = found[np.argsort(-gain)]
    tried, own = len(known.features), known.features[:, : len(points.owner)]
    _, first = np.unique(np.vstack([own, points.features(found)]), axis=0, return_index=True)
    return found[np.sort(first[first >= tried])[:OFFERED] - tried]


def _improvement(known: Forecasts, at: np.ndarray) -> np.ndarray:
    """Expected at full length over the best score so far, float (N,)."""
    mean, variance = known.model.forecast(known.inputs(at))
    spread = np.sqrt(variance)
    above = (mean - known.best_now) / spread
    return np.asarray(spread * (above * ndtr(above) + np.exp(-0.5 * above**2) / np.sqrt(2 * np.pi)))


def _top(places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Those of these places with the highest values."""
    return places[np.argsort(-values[places])[:OF_EACH]]


def _near(points: Points, at: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Each point so many times, in its branch, with some coordinates moved a little or drawn anew."""
    near = np.repeat(at, count, axis=0)
    drawn, moved = rng.random(near.shape), near + STEP * rng.standard_normal(near.shape)
    little = (rng.random(near.shape) < 0.5) & (moved >= 0) & (moved < 1)
    change = np.zeros(near.shape, dtype=bool)
    rows, many = np.arange(len(near)), rng.integers(1, CHANGES + 1, len(near))
    for place in range(CHANGES):
        change[rows, rng.integers(0, points.size, len(near))] |= many > place
    if points.branch_place is not None:
        change[:, points.branch_place] = False
    return np.where(change, np.where(little, moved, drawn), near)
