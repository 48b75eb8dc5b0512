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

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from benchmarks.quality.command import TRAININGS, seeds
from benchmarks.quality.finetuning import finetuning
from benchmarks.quality.ours import Ours
from benchmarks.quality.regret import Yardstick, interval, regret, yardstick
from benchmarks.quality.simulator import Setting, simulate
from search.policy.former import Former, tried_first

WORKERS, STARTUP_S = 4, 2.0
SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the time, at which searches are compared."""
ANOTHER = 1_000
"""What a former search's seed is higher by."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--seeds", default="0-9", help="how many, or FIRST-LAST: tasks, and seeds of searches"
    )
    parser.add_argument("--former", type=int, default=1, help="how many former searches")
    options = parser.parse_args()
    found: dict[str, list[np.ndarray]] = {}
    for task in seeds(options.seeds):
        same = [searched(task, task + ANOTHER * number) for number in range(1, options.former + 1)]
        others = [searched(other, other + ANOTHER) for other in range(task + 1, task + options.former + 1)]
        for name, former, change in (
            ("by itself", [], told),
            ("same task", same, told),
            ("another task", others, told),
            ("turned round", same, turned),
            ("shuffled", same, shuffled),
        ):
            found.setdefault(name, []).append(regrets(task, [change(search) for search in former]))
    print(f"{'regret after':<26}" + "".join(f"{share:>24.0%}" for share in SHARES))
    for name, rows in found.items():
        row(name, np.array(rows))
    for name in list(found)[1:]:
        row(f"{name} - by itself", np.array(found[name]) - np.array(found["by itself"]))


def row(name: str, values: np.ndarray) -> None:
    """Prints means with their intervals; values: float (seeds, SHARES)."""
    cells = [f"{of.mean():.3f} [{low:.3f}, {high:.3f}]" for of in values.T for low, high in [interval(of)]]
    print(f"{name:<26}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


@cache
def measured(task: int) -> Yardstick:
    return yardstick(finetuning(task))


@cache
def searched(task: int, seed: int) -> Ours:
    """A former search."""
    method = Ours(finetuning(task), seed=seed, workers=WORKERS)
    simulate(finetuning(task), method, setting(task), seed=seed)
    return method


def setting(task: int) -> Setting:
    return Setting(WORKERS, STARTUP_S, TRAININGS * measured(task).full_s / WORKERS)


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


def regrets(task: int, before: Sequence[Told]) -> np.ndarray:
    """Of one search after these, after `SHARES` of its time."""
    method = Ours(
        finetuning(task),
        seed=task,
        workers=WORKERS,
        former=[former for former, _ in before],
        starts=tried_first([best for _, best in before], lambda params: params["model.name"]),
    )
    history = simulate(finetuning(task), method, setting(task), seed=task)
    at_s = setting(task).time_s * np.array(SHARES)
    return regret(history.incumbent(at_s), measured(task).typical, measured(task).best)


if __name__ == "__main__":
    main()
