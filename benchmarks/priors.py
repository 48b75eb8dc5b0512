"""What do priors gain when they are right, and what do they cost when they are wrong?

    python benchmarks/priors.py [--seeds 0-9] [--confidence medium] [--of 1] [--worse 20]   (20 s a seed)

Our search on the simulated fine-tuning tasks (quality/finetuning.py), with four workers and the time of 40
whole trainings: without priors, with right ones and with wrong ones. Of 1,000 random configurations, ordered
by their final scores without noise, right priors have the values of the best as centres, wrong ones those of
the one at the 20th percentile (`--worse`). Every parameter that is active there has one, or the share `--of`.
Prints the normalised regret (0: the best of the 1,000, 1: their median) after shares of the time, and by how
much priors change it, with 95% intervals over the tasks. Tasks from 100 on are for reporting, 0 to 9 for
tuning.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from benchmarks.quality.finetuning import finetuning
from benchmarks.quality.in_pairs import WORKERS, compare, parser, regrets
from benchmarks.quality.interface import Objective
from benchmarks.quality.ours import Ours
from benchmarks.quality.random_params import random_params
from benchmarks.quality.regret import trained
from spaces.priors import CONFIDENCES, Confidence, Prior

RANDOM = 1_000


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--confidence", choices=CONFIDENCES, default="medium")
    options.add_argument("--of", type=float, default=1.0, help="share of the parameters that have a prior")
    options.add_argument("--worse", type=float, default=20, help="percentile of the wrong configuration")
    given = options.parse_args()

    def variants(task: int) -> dict[str, np.ndarray]:
        ordered = from_worst_to_best(task)
        found = {"without": regrets(task, Ours(finetuning(task), seed=task, workers=WORKERS))}
        for name, percentile in (("right", 100.0), ("wrong", given.worse)):
            centre = ordered[round(percentile / 100 * (RANDOM - 1))]
            objective = believed(task, centre, given.confidence, given.of)
            found[name] = regrets(task, Ours(objective, seed=task, workers=WORKERS))
        return found

    compare(given.seeds, variants)


def from_worst_to_best(task: int) -> list[Mapping[str, Any]]:
    """Random configurations by what they come to without noise."""
    rng, objective = np.random.default_rng(task), finetuning(task)
    drawn = [random_params(objective.space, rng) for _ in range(RANDOM)]
    finals, _ = trained(objective, drawn)
    return [drawn[place] for place in np.argsort(np.nan_to_num(finals, nan=-np.inf))]


def believed(task: int, centre: Mapping[str, Any], confidence: Confidence, of: float) -> Objective:
    """A task over a space with priors at these values, or at a random share of them."""
    rng, objective = np.random.default_rng([2030, task]), finetuning(task)
    chosen = set(rng.choice(list(centre), round(of * len(centre)), replace=False))
    parameters = [
        replace(one, prior=Prior(centre[one.name], confidence)) if one.name in chosen else one
        for one in objective.space.parameters
    ]
    return replace(objective, space=replace(objective.space, parameters=tuple(parameters)))


if __name__ == "__main__":
    main()
