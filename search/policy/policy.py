"""The policy of a search: a sampler, which says what to try, and a rule, which says what goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from search.policy.asha import Asha, Rule
from search.policy.forecast_rule import ForecastRule
from search.policy.forecaster import Forecaster
from search.policy.former import Former, trends_of
from search.policy.history import seed_of
from search.policy.rungs import Rungs
from search.policy.sampler import Sampler
from search.trials.trials import Metric
from spaces.tree import Tree


@dataclass(frozen=True)
class Policy:
    """Both learn from the same trials."""

    sampler: Sampler
    rule: Rule


def make_policy(
    tree: Tree,
    metric: Metric,
    *,
    name: str,
    seed: int,
    max_passes: float,
    reduction: int = 3,
    fits: Callable[[Mapping[str, Any]], bool] = lambda params: True,
    cost: Callable[[Mapping[str, Any]], float] = lambda params: 1.0,
    former: Sequence[Former] = (),
) -> Policy:
    """A new policy that knows no trials of its own.

    Args:
        name: Of the sampler, see `Sampler`; the rule is the same for all.
        max_passes: Full length of a trial, in passes over the training part.
        reduction: At each rung one trial in so many goes on.
        fits: Whether what these parameters give may be tried.
        cost: What a trial with these parameters is expected to cost, in any unit.
        former: Searches that it learns from.
    """
    reached = Rungs(max_passes, reduction=reduction)
    trends = trends_of(former, tree, seed=seed)
    forecaster = Forecaster(tree, reached, seed=seed, cost=cost, trends=trends)
    # Else a search with a former one's seed would draw what that has drawn.
    anew = seed_of(seed, *(crc32(one.source.encode()) for one in former)) if former else seed
    sampler = Sampler(tree, metric, seed=anew, name=name, fits=fits, forecaster=forecaster)
    return Policy(sampler, ForecastRule(Asha(reached, forecaster.branch), forecaster))
