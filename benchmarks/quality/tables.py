"""What runs of the search benchmark say: regrets by objective and method, and ours beside each peer."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.quality.regret import interval, regret, speed_up

SHARES = (10, 25, 50, 100)
"""Percent of the time that are printed."""
OURS = "ours"
_SHOWN = (*(f"{share}%" for share in SHARES), "over time")


def regrets(runs: Sequence[dict[str, Any]]) -> dict[str, dict[int, np.ndarray]]:
    """Normalised regrets of the runs of one objective, by method and seed, each float (T,).

    The best that is known of a seed's task is the best of the random configurations and of all that any
    method trained there.
    """
    best: dict[int, float] = {}
    for run in runs:
        seen = run["yardstick"]["best"] if run["best_seen"] is None else run["best_seen"]
        best[run["seed"]] = max(best.get(run["seed"], -np.inf), seen, run["yardstick"]["best"])
    found: dict[str, dict[int, np.ndarray]] = {}
    for run in runs:
        scores = np.array([np.nan if score is None else score for score in run["incumbent"]])
        lost = regret(scores, run["yardstick"]["typical"], best[run["seed"]])
        found.setdefault(run["method"], {})[run["seed"]] = lost
    return found


def printed(runs: Sequence[dict[str, Any]]) -> str:
    """Tables for people, in Markdown."""
    names = dict.fromkeys(run["objective"] for run in runs)
    return "\n".join(line for name in names for line in _of(name, runs))


def _of(objective: str, runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    chosen = [run for run in runs if run["objective"] == objective]
    found = regrets(chosen)
    order = sorted(found, key=lambda method: all_runs(found[method])[:, -1].mean())
    yield f"\n### {objective}\n"
    yield from _head("method", "runs", *_SHOWN, "trials", "s a run")
    for method in order:
        own = [run for run in chosen if run["method"] == method]
        trials = statistics.median(run["trials"] for run in own)
        seconds = statistics.median(run["method_s"] for run in own)
        yield _row(method, len(own), *_cells(all_runs(found[method])), f"{trials:g}", f"{seconds:.1f}")
    if OURS not in found or len(found) == 1:
        return
    yield "\nOurs less each peer, in the runs that both have (95% intervals; below 0: ours is better):\n"
    yield from _head("peer", "runs", *_SHOWN, "time to its end")
    for method in order:
        if method != OURS:
            seeds = found[OURS].keys() & found[method].keys()
            ours, peer = (all_runs({seed: found[name][seed] for seed in seeds}) for name in (OURS, method))
            share, low, high = speed_up(ours, peer)
            yield _row(method, len(seeds), *_cells(ours - peer), f"{share:.2f} [{low:.2f}, {high:.2f}]")


def _head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield "|" + "---|" * len(names)


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def all_runs(lost: dict[int, np.ndarray]) -> np.ndarray:
    """Float (R, T), in the order of the seeds."""
    return np.array([lost[seed] for seed in sorted(lost)])


def _cells(lost: np.ndarray) -> list[str]:
    """Means over runs with their intervals: at the shares of the time, and averaged over it."""
    looked_at = [lost[:, lost.shape[1] * share // 100 - 1] for share in SHARES]
    return [_spread(values) for values in [*looked_at, lost.mean(axis=1)]]


def _spread(values: np.ndarray) -> str:
    low, high = interval(values)
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"
