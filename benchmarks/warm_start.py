"""What does a search gain from former ones, and what does it lose to those that are wrong?

    python benchmarks/warm_start.py [--seeds 0-9] [--former 1]                             (60 s a seed)

Our search on the simulated fine-tuning tasks (quality/finetuning.py), with four workers and the time of 40
whole trainings: by itself; after a search of the same task with another seed; after one of another task; and
after one of the same task that is wrong: its scores turned round (1 - score), or given to other trials. A
former search is our own as well, of the same time; `--former 3` takes so many, of further seeds or tasks.
Prints the normalised regret (0: the best of 1,000 random configurations, 1: their median) after shares of the
time, and by how much former searches change it, with 95% intervals over the tasks. Tasks from 100 on are for
reporting, 0 to 9 for tuning.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from benchmarks.quality.finetuning import finetuning
from benchmarks.quality.in_pairs import WORKERS, compare, parser, regrets, setting
from benchmarks.quality.ours import Ours
from benchmarks.quality.simulator import simulate
from search.policy.former import Former, tried_first

ANOTHER = 1_000
"""What a former search's seed is higher by."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--former", type=int, default=1, help="how many former searches")
    given = options.parse_args()

    def variants(task: int) -> dict[str, np.ndarray]:
        same = [searched(task, task + ANOTHER * number) for number in range(1, given.former + 1)]
        others = [searched(other, other + ANOTHER) for other in range(task + 1, task + given.former + 1)]
        return {
            "by itself": after(task, []),
            "same task": after(task, [told(search) for search in same]),
            "another task": after(task, [told(search) for search in others]),
            "turned round": after(task, [turned(search) for search in same]),
            "shuffled": after(task, [shuffled(search) for search in same]),
        }

    compare(given.seeds, variants)


@cache
def searched(task: int, seed: int) -> Ours:
    """A former search."""
    method = Ours(finetuning(task), seed=seed, workers=WORKERS)
    simulate(finetuning(task), method, setting(task), seed=seed)
    return method


Told = tuple[Former, list[dict[str, Any]]]
"""What a search is told of a former one: what it learns from, and what was best there."""


def told(search: Ours) -> Told:
    """The truth."""
    return search.as_former(), search.best()


def turned(search: Ours) -> Told:
    """The worst as the best."""
    former, best = told(search)
    reports = [(trial, at, None if gain is None else 1 - gain) for trial, at, gain in former.reports]
    return replace(former, reports=reports), best[::-1]


def shuffled(search: Ours) -> Told:
    """Scores that other configurations had."""
    former, best = told(search)
    numbers, params = list(former.params), list(former.params.values())
    order = np.random.default_rng(0).permutation(len(numbers))
    mixed = {number: params[place] for number, place in zip(numbers, order, strict=True)}
    return replace(former, params=mixed), [params[place] for place in order[: len(best)]]


def after(task: int, before: Sequence[Told]) -> np.ndarray:
    """The regrets of one search after these."""
    method = Ours(
        finetuning(task),
        seed=task,
        workers=WORKERS,
        former=[former for former, _ in before],
        starts=tried_first([best for _, best in before], lambda params: params["model.name"]),
    )
    return regrets(task, method)


if __name__ == "__main__":
    main()
