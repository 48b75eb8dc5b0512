"""What do priors gain when they are right, and what do they cost when they are wrong?

    python benchmarks/priors.py [--seeds 10] [--confidence medium] [--of 1] [--worse 20]   (20 s a seed)

Our search on the simulated fine-tuning tasks (quality/finetuning.py), with four workers and the time of 40
whole trainings: without priors, with right ones and with wrong ones. Of 1,000 random configurations, ordered
by their final scores without noise, right priors have the values of the best as centres, wrong ones those of
the one at the 20th percentile (`--worse`). Every parameter that is active there has one, or the share `--of`.
Prints the normalised regret (0: the best of the 1,000, 1: their median) after shares of the time, and by how
much priors change it, with 95% intervals over the tasks. Tasks from 100 on are for reporting, 0 to 9 for
tuning.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from benchmarks.quality.command import TRAININGS, seeds
from benchmarks.quality.finetuning import finetuning
from benchmarks.quality.interface import Objective
from benchmarks.quality.ours import Ours
from benchmarks.quality.random_params import random_params
from benchmarks.quality.regret import interval, regret, trained
from benchmarks.quality.simulator import Setting, simulate
from spaces.priors import CONFIDENCES, Confidence, Prior

WORKERS, STARTUP_S, RANDOM = 4, 2.0, 1_000
SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the time, at which searches are compared."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", default="10", help="how many, or FIRST-LAST: tasks, and seeds of searches")
    parser.add_argument("--confidence", choices=CONFIDENCES, default="medium")
    parser.add_argument("--of", type=float, default=1.0, help="share of the parameters that have a prior")
    parser.add_argument("--worse", type=float, default=20, help="percentile of the wrong configuration")
    options = parser.parse_args()
    percentiles = {"without": None, "right": 100.0, "wrong": options.worse}
    found: dict[str, list[np.ndarray]] = {name: [] for name in percentiles}
    for seed in seeds(options.seeds):
        world = World(seed)
        for name, percentile in percentiles.items():
            objective = world.objective
            if percentile is not None:
                objective = world.believed(world.at(percentile), options.confidence, options.of)
            found[name].append(world.regrets(objective))
    regrets = {name: np.array(rows) for name, rows in found.items()}
    print(f"{'regret after':<18}" + "".join(f"{share:>24.0%}" for share in SHARES))
    for name, values in regrets.items():
        row(name, values)
    for name in ("right", "wrong"):
        row(f"{name} - without", regrets[name] - regrets["without"])


def row(name: str, values: np.ndarray) -> None:
    """Prints means with their intervals; values: float (seeds, SHARES)."""
    cells = [f"{of.mean():.3f} [{low:.3f}, {high:.3f}]" for of in values.T for low, high in [interval(of)]]
    print(f"{name:<18}" + "".join(f"{cell:>24}" for cell in cells))


class World:
    """A task, random configurations of it from the worst to the best, and what scores mean there."""

    def __init__(self, seed: int) -> None:
        self.objective, self._seed = finetuning(seed), seed
        rng, space = np.random.default_rng(seed), self.objective.space
        self._params = [random_params(space, rng) for _ in range(RANDOM)]
        finals, seconds = trained(self.objective, self._params)
        finals[np.isnan(finals)] = -np.inf
        self._order, self._best, self._typical = np.argsort(finals), finals.max(), float(np.median(finals))
        self._time_s = TRAININGS * float(np.mean(seconds)) / WORKERS

    def at(self, percentile: float) -> Mapping[str, Any]:
        """The configuration at a percentile of the random ones, 100 the best."""
        return self._params[self._order[round(percentile / 100 * (RANDOM - 1))]]

    def believed(self, params: Mapping[str, Any], confidence: Confidence, of: float) -> Objective:
        """The same objective over a space with priors at these values, or at a random share of them."""
        names, rng = list(params), np.random.default_rng([2030, self._seed])
        chosen = set(rng.choice(names, round(of * len(names)), replace=False))
        space = self.objective.space
        parameters = [
            replace(one, prior=Prior(params[one.name], confidence)) if one.name in chosen else one
            for one in space.parameters
        ]
        return replace(self.objective, space=replace(space, parameters=tuple(parameters)))

    def regrets(self, objective: Objective) -> np.ndarray:
        """Of one search, after `SHARES` of its time."""
        method = Ours(objective, seed=self._seed, workers=WORKERS)
        setting = Setting(WORKERS, STARTUP_S, self._time_s)
        history = simulate(objective, method, setting, seed=self._seed)
        incumbent = history.incumbent(self._time_s * np.array(SHARES))
        return regret(incumbent, self._typical, self._best)


if __name__ == "__main__":
    main()
