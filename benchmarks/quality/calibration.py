"""Do the simulated learning curves look like real ones? Both in the same numbers.

    python -m benchmarks.quality.calibration [--curves FILE] [--tasks 0 10] [--describe 20000]

Prints the statistics of recorded curves (`record_curves.py`'s file or its packed form; simpsons-mnist and
cifar10 apart) beside those of the simulated tasks: the median over tasks and their range. Small networks from
scratch differ from fine-tuning in how they start; noise, spread, crossing and divergence can be compared.
--describe then says of each task what so many random configurations come to.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.quality.finetuning import MAX_EPOCHS, finetuning, space
from benchmarks.quality.finetuning_tasks import FAMILIES, Task
from benchmarks.quality.random_params import random_params

REPEATED = 4
"""Every so many simulated configurations are trained with a second seed, as the recorded ones are."""
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
"""At which random configurations are described."""


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, of float (N,) and float (N,); NaN where there are fewer than three, or all are equal."""
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(pd.Series(one).rank(), pd.Series(other).rank())[0, 1])


def statistics(
    curves: np.ndarray,
    *,
    chance: float,
    families: Sequence[str] | np.ndarray,
    configurations: Sequence[object] | None = None,
) -> dict[str, float]:
    """What learning curves of one task are like, whoever made them.

    Args:
        curves: float (N, E), E at least 9; NaN from where a training diverged.
        chance: The accuracy of guessing.
        families: Whose each curve is.
        configurations: Which curves are of one configuration, where some were trained with several seeds.
    """
    done = np.isfinite(curves[:, -1])
    kept, kinds = curves[done], np.asarray(families)[done]
    final = kept[:, -1]
    found = {
        "diverged": 1 - done.mean(),
        "at chance at the end": np.mean(final < 1.5 * chance),
        **{f"final, {share:.0%} are below": np.quantile(final, share) for share in (0.1, 0.5, 0.9, 1.0)},
    }
    top = final >= np.median(final)
    for epoch in (1, 3, 9):
        early = kept[:, epoch - 1]
        within = [rank_correlation(early[kinds == kind], final[kinds == kind]) for kind in set(kinds)]
        found[f"rank correlation of epoch {epoch} with the end"] = rank_correlation(early, final)
        found[f"... within a family, epoch {epoch}"] = np.nanmean(within)
        found[f"... of the better half, epoch {epoch}"] = rank_correlation(early[top], final[top])
    # Of pairs that differ at both times by more than the noise.
    for epoch in (3, 9):
        before, after = (np.subtract.outer(at, at) for at in (kept[:, epoch - 1], final))
        clear = (np.abs(before) > 0.02) & (np.abs(after) > 0.02)
        found[f"pairs that cross after epoch {epoch}"] = np.mean(before[clear] * after[clear] < 0)
    # Second differences leave the noise of a curve that is otherwise straight: a variance of 6.
    late = kept[:, -9:]
    found["noise between late epochs"] = np.median(np.sqrt((np.diff(late, 2) ** 2).mean(1) / 6))
    middle = kept[:, 8:18]
    found["noise between middle epochs"] = np.median(np.sqrt((np.diff(middle, 2) ** 2).mean(1) / 6))
    found["gain after epoch 9"] = np.median(final - kept[:, 6:9].mean(1))
    smooth = np.array([np.convolve(curve, np.ones(3) / 3, mode="valid") for curve in kept])
    found["ends 0.02 or more below its best"] = np.mean(smooth.max(1) - smooth[:, -1] > 0.02)
    if configurations is not None:
        of = np.asarray([str(name) for name in configurations])[done]
        pairs = [final[of == name] for name in set(of)]
        apart = [abs(pair[0] - pair[1]) for pair in pairs if len(pair) > 1]
        # The median of a normal's absolute value is 0.6745.
        found["between seeds, at the end"] = np.median(apart) / 0.6745 / np.sqrt(2) if apart else np.nan
    return {name: float(value) for name, value in found.items()}


def simulated(task: int, curves: int) -> dict[str, float]:
    """Statistics of a task's curves as a method is shown them."""
    rng, objective = np.random.default_rng([2028, task]), finetuning(task)
    scores, families, configurations = [], [], []
    for number in range(curves):
        config = space().drawn(random_params(space(), rng))
        for seed in (0, 1) if number % REPEATED == 0 else (0,):
            scores.append(objective.evaluate(config, 2 * number + seed)[0])
            families.append(config["model.name"])
            configurations.append(number)
    chance = Task(task).chance
    return statistics(np.array(scores), chance=chance, families=families, configurations=configurations)


def recorded(path: Path) -> dict[str, dict[str, float]]:
    """Statistics of the recorded curves of each pictures there are at least 20 of."""
    if path.suffix == ".gz":
        lines = json.loads(gzip.decompress(path.read_bytes()))["curves"]
    else:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = {}
    for pictures in ("simpsons", "cifar10"):
        # Those that a surrogate chose are better than random ones, as the simulated ones are not.
        drawn = [line for line in lines if line["pictures"] == pictures and line["source"] == "random"]
        of = [line for line in drawn if "scores" in line]
        if len(of) >= 20:
            found[f"{pictures} ({len(of)})"] = statistics(
                np.array([line["scores"] for line in of], dtype=float),
                chance=0.1,
                families=[line["params"]["model.name"] for line in of],
                configurations=[line["number"] for line in of],
            )
    return found


def describe(task: int, configurations: int) -> dict[str, object]:
    """What random configurations of a task come to without noise, and what they cost."""
    rng, objective = np.random.default_rng([2029, task]), finetuning(task)
    scores, families, costs_s = np.empty((configurations, MAX_EPOCHS)), [], []
    for number in range(configurations):
        config = space().drawn(random_params(space(), rng))
        _, scores[number], epoch_s = objective.evaluate(config, number)
        families.append(config["model.name"])
        costs_s.append(MAX_EPOCHS * epoch_s)
    kinds, final = np.array(families), scores[:, -1]
    best = {name: float(np.nanmax(final[kinds == name])) for name in FAMILIES}
    told = statistics(scores, chance=Task(task).chance, families=families)
    quantiles = np.nanquantile(final, SHARES).tolist()
    return {
        "best": max(best.values()),
        "its family": max(best, key=lambda name: best[name]),
        **{f"best {name}": score for name, score in best.items()},
        **{f"final, {share:.0%} are below": value for share, value in zip(SHARES, quantiles, strict=True)},
        "diverged": told["diverged"],
        **{name: value for name, value in told.items() if "epoch" in name and "noise" not in name},
        "seconds a full trial, median": float(np.median(costs_s)),
        "seconds a full trial, mean": float(np.mean(costs_s)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--curves", type=Path, default=Path("results/curves.jsonl"))
    parser.add_argument("--tasks", type=int, nargs=2, default=(0, 10), help="from, to (not included)")
    parser.add_argument("--simulated", type=int, default=400, help="configurations a task")
    parser.add_argument("--describe", type=int, default=0, metavar="CONFIGURATIONS")
    options = parser.parse_args()
    tasks = range(*options.tasks)
    columns = recorded(options.curves) if options.curves.exists() else {}
    of_tasks = pd.DataFrame({task: simulated(task, options.simulated) for task in tasks})
    table = pd.DataFrame(columns, index=of_tasks.index).round(3)
    table[f"tasks {tasks.start} to {tasks.stop - 1}"] = of_tasks.median(axis=1).round(3)
    table["from"], table["to"] = of_tasks.min(axis=1).round(3), of_tasks.max(axis=1).round(3)
    print(table.to_string())
    if options.describe:
        described = pd.DataFrame({task: describe(task, options.describe) for task in tasks})
        print(described.to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
