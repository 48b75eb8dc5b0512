"""Variants of our search on the same simulated fine-tuning tasks: regrets, and what each changes in pairs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from functools import cache

import numpy as np

from benchmarks.quality.command import TRAININGS, seeds
from benchmarks.quality.finetuning import finetuning
from benchmarks.quality.interface import Method
from benchmarks.quality.regret import Yardstick, interval, regret, yardstick
from benchmarks.quality.simulator import Setting, simulate

WORKERS, STARTUP_S = 4, 2.0
SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the time, at which searches are compared."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """With the option that all such scripts have."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    found.add_argument("--seeds", type=seeds, default="0-9", help="how many, or FIRST-LAST: tasks")
    return found


def compare(tasks: Iterable[int], variants: Callable[[int], Mapping[str, np.ndarray]]) -> None:
    """Prints mean regrets, and by how much they differ from those of the first variant, with 95% intervals.

    Args:
        variants: Of a task the regrets by variant, see `regrets`.
    """
    found: dict[str, list[np.ndarray]] = {}
    for task in tasks:
        for name, lost in variants(task).items():
            found.setdefault(name, []).append(lost)
    base, *others = found
    print(f"{'regret after':<26}" + "".join(f"{share:>24.0%}" for share in SHARES))
    for name, rows in found.items():
        _row(name, np.array(rows))
    for name in others:
        _row(f"{name} - {base}", np.array(found[name]) - np.array(found[base]))


def regrets(task: int, method: Method) -> np.ndarray:
    """Of one search, after `SHARES` of the time of 40 whole trainings, float (SHARES,)."""
    chosen = setting(task)
    history = simulate(finetuning(task), method, chosen, seed=task)
    incumbent = history.incumbent(chosen.time_s * np.array(SHARES))
    return regret(incumbent, measured(task).typical, measured(task).best)


@cache
def measured(task: int) -> Yardstick:
    """What a task's scores mean."""
    return yardstick(finetuning(task))


def setting(task: int) -> Setting:
    """Under what all search."""
    return Setting(WORKERS, STARTUP_S, TRAININGS * measured(task).full_s / WORKERS)


def _row(name: str, values: np.ndarray) -> None:
    """Values: float (tasks, SHARES)."""
    cells = [f"{of.mean():.3f} [{low:.3f}, {high:.3f}]" for of in values.T for low, high in [interval(of)]]
    print(f"{name:<26}" + "".join(f"{cell:>24}" for cell in cells), flush=True)
