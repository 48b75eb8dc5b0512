"""MFHartmann: the published multi-fidelity function, which nobody here designed.

Kandasamy et al. 2017 (BOCA, https://arxiv.org/abs/1703.06240) gave Hartmann's functions a fidelity that
biases them. Mallik et al. 2023 (PriorBand) made the fidelity an epoch of 100, added noise, and chose four
degrees of how little early epochs tell: this form, mf-prior-bench's `MFHartmannGenerator`, is written anew.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmarks.quality.interface import Config, Objective
from benchmarks.quality.objective_files import load_tree

MAX_EPOCHS = 100
"""As published: bias and noise follow log(epoch) / log(100), so another length would be another function."""

Kind = Literal["good", "moderate", "bad", "terrible"]
BIAS_AND_NOISE: dict[Kind, tuple[float, float]] = {
    "good": (2.5, 2.0),
    "moderate": (3.0, 3.0),
    "bad": (3.5, 4.0),
    "terrible": (4.0, 5.0),
}
"""How well the order of configurations at early epochs agrees with that at the last."""

OPTIMA = {
    3: (0.114614, 0.555649, 0.852547),
    6: (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573),
}
"""Where the function is highest at the last epoch, by its dimensions; 3.86278 and 3.32237 there."""

_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = {
    3: np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]),
    6: np.array(
        [
            [10, 3, 17, 3.5, 1.7, 8],
            [0.05, 10, 17, 0.1, 8, 14],
            [3, 3.5, 1.7, 10, 17, 8],
            [17, 8, 0.05, 10, 0.1, 14],
        ]
    ),
}
_P = {
    3: 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]]),
    6: 1e-4
    * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    ),
}


def hartmann(kind: Kind, dimensions: Literal[3, 6]) -> Objective:
    """The function over x1, x2, ... in [0, 1], negated so that higher is better.

    The noise is half-normal, as published: it only ever makes a score worse, and ends at the last epoch. An
    epoch takes a second: the published price of a fidelity is that of one evaluation from nothing, where a
    training goes on from its checkpoint.
    """
    bias, noise = BIAS_AND_NOISE[kind]
    names = [f"x{number}" for number in range(1, dimensions + 1)]
    missing = 1 - np.log(np.arange(1, MAX_EPOCHS + 1)) / np.log(MAX_EPOCHS)
    alpha = _ALPHA - bias * missing[:, None]  # (E, 4)

    def evaluate(config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
        x = np.array([config[name] for name in names])
        noiseless = alpha @ np.exp(-(_A[dimensions] * (x - _P[dimensions]) ** 2).sum(1))
        drawn = np.abs(np.random.default_rng(seed).standard_normal(MAX_EPOCHS))
        return noiseless - noise * missing * drawn, noiseless, 1.0

    space = {"parameters": {name: {"float": [0.0, 1.0]} for name in names}}
    called = f"hartmann{dimensions}-{kind}"
    return Objective(called, load_tree(space, called), MAX_EPOCHS, evaluate)
