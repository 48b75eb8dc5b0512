"""How well do the surrogates of `curves.py` predict trainings that they were not fitted to?

    python -m benchmarks.quality.cross_validation [--curves FILE] [--seed 0]

Ten folds; all trainings of a recipe are in one of them. Printed for each kind of pictures, random and chosen
recipes apart: the error of final accuracies, their rank correlation with the recorded ones, and what becomes
of extremes, which averages shrink: the predicted spread of finals over the recorded one, and the best. Then
what a surrogate of them all takes for the best, beside the best recorded. Cost: half a minute on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold

from benchmarks.quality.bests import bests
from benchmarks.quality.calibration import rank_correlation
from benchmarks.quality.curves import REGRESSORS, Surrogate, encoded
from benchmarks.quality.recorded import KINDS, PACKED, Recorded, load_recorded

FOLDS = 10


def held_out(
    recorded: Sequence[Recorded], regressor: Callable[[], Any], *, folds: int = FOLDS, seed: int = 0
) -> np.ndarray:
    """What a surrogate predicts of trainings when it is fitted to others.

    Returns:
        Accuracies by training and epoch, float (N, E); NaN from where they are said to diverge.
    """
    recipes = np.array([encoded(one.config, one.pictures) for one in recorded])
    groups = [f"{one.pictures} {one.source} {one.number}" for one in recorded]
    found = np.empty((len(recorded), len(recorded[0].scores)))
    for fitted, left in GroupKFold(folds, shuffle=True, random_state=seed).split(recipes, groups=groups):
        found[left] = Surrogate([recorded[at] for at in fitted], regressor).predict(recipes[left])
    return found


def compared(recorded: Sequence[Recorded], predicted: np.ndarray) -> dict[str, dict[str, float]]:
    """Predicted curves, float (N, E), beside recorded ones, by pictures and source of the recipe; without
    those that diverge."""
    wanted = np.array([one.scores for one in recorded])
    whole = np.isfinite(wanted[:, -1]) & np.isfinite(predicted[:, -1])
    found = {}
    for group in sorted({f"{one.pictures}, {one.source}" for one in recorded}):
        rows = whole & np.array([f"{one.pictures}, {one.source}" == group for one in recorded])
        final, got = wanted[rows, -1], predicted[rows, -1]
        figures = {
            "mean absolute error": np.abs(got - final).mean(),
            "bias": (got - final).mean(),
            "of all epochs": np.abs(predicted[rows] - wanted[rows]).mean(),
            "rank correlation": rank_correlation(got, final),
            "spread": got.std() / final.std(),
            "best": got.max(),
            "best recorded": final.max(),
        }
        found[group] = {name: float(value) for name, value in figures.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--curves", type=Path, default=PACKED)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    recorded = load_recorded(options.curves)
    print(f"{len(recorded)} curves, {sum(np.isnan(one.scores[-1]) for one in recorded)} diverged")
    for name, regressor in REGRESSORS.items():
        found = compared(recorded, held_out(recorded, regressor, seed=options.seed))
        for group, figures in found.items():
            told = ", ".join(f"{figure} {value:.3f}" for figure, value in figures.items())
            print(f"{name}, {group}: {told}", flush=True)
        fitted = Surrogate(recorded, regressor)
        for kind in KINDS:
            final = bests(fitted, kind, np.random.default_rng(options.seed))[1][0]
            best = np.nanmax([one.scores[-1] for one in recorded if one.pictures == kind])
            print(f"{name}, {kind}: the best is thought to be {final:.3f}; recorded: {best:.3f}", flush=True)


if __name__ == "__main__":
    main()
