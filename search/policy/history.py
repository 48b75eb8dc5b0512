"""What a suggestion depends on: the trials so far in the order of their worth, and whose turn it is."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search.policy.forecaster import Forecaster
from spaces.tree import Tree

Space = dict[str, BaseDistribution]


@dataclass(frozen=True)
class Turn:
    """Which suggestion is asked for."""

    seed: int
    """The search's."""
    number: int
    """The trial's."""
    draw: int = 0
    """What was drawn before was refused so many times."""

    @cached_property
    def own_seed(self) -> int:
        """A seed that no other turn has."""
        return seed_of(self.seed, self.number, self.draw)


class History:
    """What a sampler learns from: takes in trials, maybe thousands, and never looks at all of them again.

    The order of the trials is the one in which TPE ranks them: those of full length by their values; then the
    stopped ones, by how far they came and by their values there; last the diverged ones. Samplers that know
    neither stopped nor diverged trials are shown ranks in this order, where each of them has one.

    Args:
        mode: Of the metric: `max` or `min`.
        forecaster: Of the sampler that goes by forecasts.
    """

    def __init__(
        self,
        tree: Tree,
        trials: Iterable[FrozenTrial] = (),
        mode: str = "max",
        forecaster: Forecaster | None = None,
    ) -> None:
        self.tree, self.mode, self.forecaster = tree, mode, forecaster
        self.ended: list[FrozenTrial] = []
        """The trials that say something about their recipes, by number."""
        self.active: Counter[str] = Counter()
        """In how many of them each parameter is."""
        self._trials: dict[int, FrozenTrial] = {}
        self._running: dict[int, FrozenTrial] = {}
        self._ranked: list[tuple[tuple[int, int, float], int]] = []
        for trial in trials:
            self.put(trial)

    def put(self, trial: FrozenTrial) -> None:
        """Takes in a trial that runs, or has ended; once it has, it does not change."""
        self._trials[trial.number] = trial
        self._running.pop(trial.number, None)
        if trial.state is TrialState.RUNNING:
            self._running[trial.number] = trial
        elif trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            bisect.insort(self.ended, trial, key=lambda other: other.number)
            bisect.insort(self._ranked, (self.rank(trial), trial.number))
            self.active.update(list(trial.params))

    def get(self, number: int) -> FrozenTrial | None:
        """What is known of a trial; None of one that was not taken in."""
        return self._trials.get(number)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return [self._trials[number] for number in sorted(self._trials)]

    @property
    def running(self) -> list[FrozenTrial]:
        """Those that have not ended yet, by number."""
        return [self._running[number] for number in sorted(self._running)]

    @cached_property
    def space(self) -> Space:
        """All parameters that are drawn in the tree, whatever they depend on."""
        return {name: domain.distribution for name, domain in self.tree.domains.items()}

    @cached_property
    def flat(self) -> Space:
        """Those with more than one value, for samplers that know no conditions: they suggest a value for
        each, and a trial takes those of its branch."""
        return {name: entry for name, entry in self.space.items() if not entry.single()}

    def rank(self, trial: FrozenTrial) -> tuple[int, int, float]:
        """A key that sorts trials that have ended from the best to the worst."""
        sign = -1 if self.mode == "max" else 1
        if trial.state is TrialState.COMPLETE:
            assert trial.value is not None
            return 0, 0, sign * trial.value
        if not trial.intermediate_values:
            return 2, 0, 0.0
        epoch, value = max(trial.intermediate_values.items())
        return 1, -epoch, math.inf if math.isnan(value) else sign * value

    def best(self, count: int) -> list[FrozenTrial]:
        """So many of the ended trials, the best one first; of equals the one with the lower number."""
        return [self._trials[number] for _, number in self._ranked[:count]]

    def modelled(self, most: int, best: int) -> list[FrozenTrial]:
        """At most so many of the ended trials: the `best` best and the most recent others, by number."""
        if len(self.ended) <= most:
            return self.ended
        kept = self.best(best)
        known = {trial.number for trial in kept}
        others = [trial for trial in self.ended[-most:] if trial.number not in known]
        return sorted([*kept, *others[best - most :]], key=lambda trial: trial.number)


def seed_of(*parts: int) -> int:
    """A seed of its own for these numbers together."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
