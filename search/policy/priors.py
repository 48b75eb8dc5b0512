"""What the user believed beforehand, mixed into what a sampler suggests, until the trials know better.

A prior (`spaces.priors`) is a distribution over its parameter's coordinate from 0 to 1 (`unit_cube`): normal
around the centre and cut off at the ends, as in PriorBand (Mallik et al. 2023); among choices it is the
centre with some probability, else any of them. In a share of the suggestions the parameters with a prior are
drawn from it; all else is the sampler's. So priors on a few parameters leave the sampler what it has learnt
about the rest.

The share of a parameter is the product of two numbers, each a pure function of the trials that have ended:

- How probable it is that its prior is right (`_belief`). If it is, trials near the centre rank higher than
  those far from it, whoever suggested them. Likelihoods under the prior tell near from far, as in
  PriorBand, so nobody needs to note which trials were drawn from it. Before there is any trial: 0.74.
- How much the sampler has yet to learn: `OUTWEIGHED / (OUTWEIGHED + n)` after n trials. A prior says roughly
  where to look, and trials say it better in the end: piBO's prior decays so (Hvarfner et al. 2022), and the
  prior is one more observation among the good ones in TPE (Bergstra et al. 2011).

One random number a suggestion is held against the shares of all parameters. As long as all are believed, they
come from their priors together: the recipe that the user had in mind is tried as a whole. Where one of them
turns out wrong, the others stay.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from search.policy.history import History, Turn, seed_of
from search.policy.unit_cube import place_of, value_at
from spaces.priors import Prior

SPREAD = {"low": 0.25, "medium": 0.12, "high": 0.05}
"""Standard deviation of the normal distribution, as a share of the parameter's range."""
CERTAINTY = {"low": 0.5, "medium": 0.7, "high": 0.9}
"""That the centre is taken among choices, beside its chance among all of them."""
OUTWEIGHED = 30
"""After so many trials the sampler has half of the suggestions, of a prior that is right."""
TRUSTED, AS_TRIALS = 0.2, 10
"""A prior is believed at first as if so many trials had shown this correlation of near and better."""
MOST_TRIALS = 300
"""The most recent ones are asked, so that a suggestion's time stays bounded."""
_APART = 0x5052494F52
"""Sets the random numbers apart from those of the sampler, which has the same turn."""

Rank = tuple[int, int, float]
"""As `History.rank` has it."""
Given = Callable[[str, BaseDistribution], Any]
"""What a suggestion has for a parameter of this name."""


def with_priors(given: Given, history: History, turn: Turn) -> Given:
    """A sampler's suggestion, in which parameters may be drawn from their priors instead.

    Only the first draw of a turn is: what was refused is replaced with what the sampler alone suggests.
    """
    priors = history.tree.priors
    if not priors or turn.draw:
        return given
    own, *even = np.random.default_rng(seed_of(turn.own_seed, _APART)).random(1 + len(priors)).tolist()
    drawn = {
        name: draw(history.space[name], priors[name], at)
        for at, (name, share) in zip(even, shares(history).items(), strict=True)
        if own < share
    }
    return lambda name, entry: drawn[name] if name in drawn else given(name, entry)


def shares(history: History) -> dict[str, float]:
    """By the name of a parameter with a prior: in how many suggestions it is drawn from it, from 0 to 1."""
    recent = [(history.rank(trial), trial.params) for trial in history.ended[-MOST_TRIALS:]]
    found = {}
    for name, prior in history.tree.priors.items():
        known = [(rank, params[name]) for rank, params in recent if name in params]
        ranks, values = [rank for rank, _ in known], [value for _, value in known]
        belief = _belief(likelihoods(history.space[name], prior, values), ranks)
        found[name] = belief * OUTWEIGHED / (OUTWEIGHED + history.active[name])
    return found


def draw(entry: BaseDistribution, prior: Prior, even: float) -> Any:
    """A value from the prior, made of a number that is drawn evenly from 0 to 1."""
    if isinstance(entry, CategoricalDistribution):
        certain = CERTAINTY[prior.confidence]
        return prior.centre if even < certain else value_at(entry, (even - certain) / (1 - certain))
    normal, below, within = _cut_off(entry, prior)
    place = normal.inv_cdf(below + even * within)
    return value_at(entry, min(max(place, 0.0), 1.0))


def likelihoods(entry: BaseDistribution, prior: Prior, values: Sequence[Any]) -> np.ndarray:
    """How much more often the prior gives each of these values than an even draw does, float (N,)."""
    if isinstance(entry, CategoricalDistribution):
        certain = CERTAINTY[prior.confidence]
        hits = np.array([value == prior.centre for value in values], dtype=float)
        return 1 - certain + certain * len(entry.choices) * hits
    normal, _, within = _cut_off(entry, prior)
    return np.array([normal.pdf(place_of(entry, value)) / within for value in values])


def _cut_off(entry: BaseDistribution, prior: Prior) -> tuple[NormalDist, float, float]:
    """The normal distribution of a number's coordinate, and its mass below 0 and from 0 to 1."""
    normal = NormalDist(place_of(entry, prior.centre), SPREAD[prior.confidence])
    return normal, normal.cdf(0.0), normal.cdf(1.0) - normal.cdf(0.0)


def _belief(found: np.ndarray, ranks: Sequence[Rank]) -> float:
    """The probability that trials near the centre are better: that near and better correlate above 0.

    Near is the probability that the prior gave a trial's value, not an even draw; better is its place among
    the ranks. Their correlation is taken to be normally distributed, at first as `AS_TRIALS` trials would
    leave it; each trial narrows it down as it does among independent ones (to a variance of 1 / (n - 1)).

    Args:
        found: float (N,), likelihoods under the prior as shares of those under an even draw.
        ranks: Of the same trials, the lowest is the best.
    """
    weight, total = AS_TRIALS, AS_TRIALS * TRUSTED
    near, ordered = found / (1 + found), sorted(ranks)
    worse = np.array([bisect_left(ordered, rank) + bisect_right(ordered, rank) for rank in ranks])
    if len(ranks) > 1 and np.ptp(near) and np.ptp(worse):
        weight += len(ranks) - 1
        total -= (len(ranks) - 1) * float(np.corrcoef(near, worse)[0, 1])
    return NormalDist().cdf(total / math.sqrt(weight))
