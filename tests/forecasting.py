"""Searches for the policy by forecasts: a space of two families, and trials whose curves are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from search.policy.asha import Asha, Decision
from search.policy.forecast_rule import ForecastRule
from search.policy.forecaster import Forecaster
from search.policy.rungs import Rungs
from spaces.domains import Choice, Domain, Range
from spaces.parameters import Parameter
from spaces.tree import Tree

PASSES = 27
RUNGS = (1, 3, 9, 27)
BEST = 0.6
"""Where in its range the learning rate is best."""


def tree(**domains: Domain) -> Tree:
    """A space without conditions."""
    parameters = [Parameter(name, name, domain, {}, ()) for name, domain in domains.items()]
    return Tree("small", "a small one", tuple(parameters), {})


def families() -> Tree:
    """A fast and a slow family of networks, each with its own range of learning rates."""
    fast, slow = {"family": ("fast",)}, {"family": ("slow",)}
    parameters = (
        Parameter("family", "family", Choice(("fast", "slow")), {}, ()),
        Parameter("lr", "lr@1", Range("log", 1e-4, 1e-2), fast, ()),
        Parameter("lr", "lr@2", Range("log", 1e-3, 1e-1), slow, ()),
        Parameter("depth", "depth", Choice((1, 2, 4)), slow, ()),
        Parameter("flip", "flip", Choice((True, False)), {}, ()),
    )
    return Tree("families", "two families", parameters, {})


def of_family(name: str, place: float, **others: Any) -> dict[str, Any]:
    """The parameters of a network whose learning rate is at this place of its range."""
    lr = {"lr@1": 1e-4 * 100**place} if name == "fast" else {"lr@2": 1e-3 * 100**place, "depth": 2}
    return {"family": name, **lr, "flip": True, **others}


def place_of_rate(params: Mapping[str, Any]) -> float:
    """Where in its range the learning rate is."""
    if params["family"] == "fast":
        return float(np.log10(params["lr@1"]) + 4) / 2
    return float(np.log10(params["lr@2"]) + 3) / 2


def curve(params: Mapping[str, Any]) -> list[float]:
    """Scores at the rungs: the fast family starts high and stays there, the slow one passes it late."""
    off = 0.5 * (place_of_rate(params) - BEST) ** 2
    fast, slow = (0.60, 0.64, 0.65, 0.65), (0.20, 0.35, 0.60, 0.85)
    return [score - off for score in (fast if params["family"] == "fast" else slow)]


class Search:
    """The rungs, the forecaster and the rule of a search, told of trials one by one."""

    def __init__(
        self,
        searched: Tree | None = None,
        *,
        seed: int = 0,
        cost: Callable[[Mapping[str, Any]], float] = lambda params: 1.0,
    ) -> None:
        reached = Rungs(PASSES)
        self.forecaster = Forecaster(searched or families(), reached, seed=seed, cost=cost)
        self.asha = Asha(reached, self.forecaster.branch)
        self.rule = ForecastRule(self.asha, self.forecaster)

    def reach(self, number: int, gains: Sequence[float], params: Mapping[str, Any] | None = None) -> Decision:
        """A trial comes to so many more rungs with these scores; what is decided at the last of them.

        Args:
            params: Of a trial in the space that is new.
        """
        if params is not None:
            self.forecaster.add(number, params)
        for gain in gains:
            self.rule.enter(number, RUNGS[self.asha.reached.count(number)], gain)
        return self.rule.decide(number)


def drawn(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """So many random networks of both families by turns."""
    rng = np.random.default_rng(seed)
    return [
        of_family(
            "slow" if number % 2 else "fast",
            float(rng.random()),
            flip=bool(rng.random() < 0.5),
            **({"depth": int(rng.choice([1, 2, 4]))} if number % 2 else {}),
        )
        for number in range(count)
    ]


def known(count: int, lengths: Sequence[int] = (4, 1, 2), seed: int = 0) -> Search:
    """A search in which so many trials have come to so many rungs, these lengths by turns."""
    search = Search()
    for number, params in enumerate(drawn(count, seed)):
        search.forecaster.add(number, params)
        for passes, gain in zip(RUNGS[: lengths[number % len(lengths)]], curve(params), strict=False):
            search.rule.enter(number, passes, gain)
    return search
