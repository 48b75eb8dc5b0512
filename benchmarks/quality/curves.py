"""A surrogate of recorded learning curves: what trainings that nobody recorded would have come to.

`recorded.py` says what is recorded. As is usual since Eggensperger et al. 2015, a regression stands for the
rest; here two of them, since trainings do one of two things:

- Some never learn, or fall back to guessing: nearly all at high learning rates, and how high differs by
  network. Which do is told by a regression of -1 and 1; such a training goes like the recorded one nearest to
  it that did not learn either, and diverges where that one did (most do not: they stay at guessing).
- Of those that learn, the whole curve is modelled as the first two principal components of its log-odds
  (NAS-Bench-x11, Yan et al. 2021, does so). One regression of both kinds bends at the edge between them, and
  promises far too much beside it.

A regression is the mean of a Gaussian process with a length for each parameter, fitted to both kinds of
pictures together: one tells about the other. `cross_validation.py` compares it with forests. Noise is of two
parts, both normal in log-odds: the seed moves a whole curve, by what pairs of trainings differ that differ in
their seed alone; and epochs wobble, by what second differences leave of curves that are otherwise straight.
An epoch takes as long as the quickest one recorded of the same network or of a larger one of its family:
trainings were recorded side by side, and slowed each other down.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from benchmarks.quality.interface import Config, Objective
from benchmarks.quality.recorded import (
    CHANCE,
    KINDS,
    MAX_EPOCHS,
    WATCHED,
    Kind,
    Recorded,
    Source,
    load_recorded,
    space,
)
from spaces.domains import Choice, Fixed

FAMILIES = ("plain_cnn", "mini_xception", "binary_cnn")
COMPONENTS = 2
"""Of the curves' log-odds."""
LENGTHS_FROM = 200
"""Trainings, at most, that decide on the process's lengths; all decide on its values. 400 would take 20 s."""
NORMAL = 0.6745
"""The median of a standard normal's absolute value."""


def encoded(config: Config, pictures: Kind) -> np.ndarray:
    """A recipe as numbers from about 0 to 1, float (D,): where each of its values lies in the domain.

    Alternatives share a place, and what is not active is in the middle. The learning rate is that of batch
    size 32: it scales with the batch for SGD (Goyal et al. 2017), with its root for Adam (Malladi et al.
    2022).
    """
    places = {p.path: 0.5 for p in space().parameters if not isinstance(p.domain, Fixed)}
    for parameter in space().parameters:
        domain = parameter.domain
        if isinstance(domain, Fixed) or not parameter.active(config):
            continue
        value = config[parameter.path]
        if parameter.path == "optim.lr":
            value *= (32 / config["optim.batch_size"]) ** (1.0 if config["optim.name"] == "sgd" else 0.5)
        if isinstance(domain, Choice):
            places[parameter.path] = domain.values.index(value) / (len(domain.values) - 1)
        elif domain.kind == "log":
            places[parameter.path] = math.log(value / domain.low) / math.log(domain.high / domain.low)
        else:
            places[parameter.path] = (value - domain.low) / (domain.high - domain.low)
    del places["model.name"]  # has no order
    return np.array(
        [pictures == "cifar10", *(config["model.name"] == name for name in FAMILIES), *places.values()],
        dtype=float,
    )


def log_odds(scores: np.ndarray) -> np.ndarray:
    """Of accuracies, float (...)."""
    known = np.clip(scores, 0.5 / WATCHED, 1 - 0.5 / WATCHED)
    return np.log(known / (1 - known))


def accuracies(log_odds: np.ndarray) -> np.ndarray:
    """Of log-odds, float (...)."""
    return 1 / (1 + np.exp(-log_odds))


def learned(recorded: Sequence[Recorded]) -> np.ndarray:
    """Which trainings end above guessing, bool (N,)."""
    return np.array([one.scores[-1] > 1.5 * CHANCE for one in recorded])


class Process:
    """A Gaussian process of curves, with the interface of a scikit-learn regressor."""

    def fit(self, recipes: np.ndarray, targets: np.ndarray) -> Process:
        """To encoded recipes, float (N, D), and what they came to, float (N,) or float (N, E)."""
        curves = targets.reshape(len(recipes), -1)
        self._mean = curves.mean(axis=0)
        _, _, components = np.linalg.svd(curves - self._mean, full_matrices=False)
        self._components = components[:COMPONENTS]
        weights = (curves - self._mean) @ self._components.T
        self._scale = weights.std(axis=0)
        lengths = np.full(recipes.shape[1], 2.0)
        smooth = ConstantKernel(1.0, (0.05, 20)) * Matern(lengths, (0.2, 50), nu=2.5)
        kernel = smooth + WhiteKernel(0.1, (1e-3, 1))
        with warnings.catch_warnings():
            # What does not matter gets the greatest length, which is as it should be.
            warnings.simplefilter("ignore", ConvergenceWarning)
            some = np.random.default_rng(0).permutation(len(recipes))[:LENGTHS_FROM]
            kernel = GaussianProcessRegressor(kernel).fit(recipes[some], weights[some] / self._scale).kernel_
        # Rounded, the optimum is the same whatever the last digits of a machine's linear algebra are.
        kernel = kernel.clone_with_theta(np.round(kernel.theta, 2))
        self._process = GaussianProcessRegressor(kernel, optimizer=None).fit(recipes, weights / self._scale)
        return self

    def predict(self, recipes: np.ndarray) -> np.ndarray:
        """What float (M, D) would come to, float (M, E)."""
        weights = self._process.predict(recipes).reshape(len(recipes), -1) * self._scale
        return self._mean + weights @ self._components


class Noise:
    """By how much trainings of one recipe differ, in log-odds, as standard deviations."""

    def __init__(self, recorded: Sequence[Recorded]) -> None:
        # Those that only guess give the same scores again and again.
        able = [one for one, above in zip(recorded, learned(recorded), strict=True) if above]
        curves = log_odds(np.array([one.scores for one in able]))
        late: dict[tuple[Kind, Source, int], list[float]] = {}
        for one, curve in zip(able, curves, strict=True):
            late.setdefault((one.pictures, one.source, one.number), []).append(curve[-9:].mean())
        apart = [abs(pair[0] - pair[1]) for pair in late.values() if len(pair) == 2]
        self.of_seed = float(np.median(apart)) / NORMAL / math.sqrt(2)
        # The variance of a second difference is six times that of its independent terms.
        bends = np.abs(np.diff(curves, 2, axis=1))
        around = [bends[:, max(at - 2, 0) : at + 3] for at in range(-1, MAX_EPOCHS - 1)]
        self.of_epochs = np.array([np.median(part) for part in around]) / NORMAL / math.sqrt(6)
        """Float (MAX_EPOCHS,)."""


class Surrogate:
    """What is fitted to recorded trainings.

    Args:
        regressor: Makes the regressions, with the interface of scikit-learn's.
    """

    def __init__(self, recorded: Sequence[Recorded], regressor: Callable[[], Any] = Process) -> None:
        recipes = np.array([encoded(one.config, one.pictures) for one in recorded])
        scores, able = np.array([one.scores for one in recorded]), learned(recorded)
        self._learns = regressor().fit(recipes, np.where(able, 1.0, -1.0))
        self._curve = regressor().fit(recipes[able], log_odds(scores[able]))
        self._failed, self._failed_scores = recipes[~able], scores[~able]
        self.recorded = recorded
        self.noise = Noise(recorded)

    def predict(self, recipes: np.ndarray) -> np.ndarray:
        """Accuracies without noise, float (M, MAX_EPOCHS), of encoded recipes, float (M, D); NaN from where
        they diverge."""
        scores = accuracies(self._curve.predict(recipes))
        for at in np.flatnonzero(np.ravel(self._learns.predict(recipes)) < 0):
            scores[at] = self._failed_scores[np.linalg.norm(self._failed - recipes[at], axis=1).argmin()]
        return scores

    def epoch_s(self, config: Config) -> float:
        """Of the quickest training of the same network or of a larger one."""
        name, size = config["model.name"], _size(config)
        return min(
            one.epoch_s
            for one in self.recorded
            if one.config["model.name"] == name
            and all(own >= wanted for own, wanted in zip(_size(one.config), size, strict=True))
        )


def _size(config: Config) -> tuple[float, ...]:
    return tuple(config.get(f"model.args.{name}", 0) for name in ("width", "convs", "dense", "batch_norm"))


REGRESSORS: dict[str, Callable[[], Any]] = {
    "process": Process,
    "trees": lambda: ExtraTreesRegressor(25, random_state=0),
}
"""By name. Trees (Geurts et al. 2006) predict worse and are a second opinion: a searcher that models scores
by a Gaussian process itself has no kin in them."""


@lru_cache
def surrogate(regressor: str = "process") -> Surrogate:
    """Of the packed file, by a name of REGRESSORS."""
    return Surrogate(load_recorded(), REGRESSORS[regressor])


@lru_cache
def curves(pictures: Kind, regressor: str = "process") -> Objective:
    """The curves of one kind of pictures, by a name of REGRESSORS.

    Raises:
        InputError: They are not recorded.
    """
    fitted = surrogate(regressor)

    def evaluate(config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
        rng = np.random.default_rng([KINDS.index(pictures), seed])
        noise = fitted.noise.of_seed * rng.standard_normal()
        noise = noise + fitted.noise.of_epochs * rng.standard_normal(MAX_EPOCHS)
        noiseless = fitted.predict(encoded(config, pictures)[None])[0]
        observed = np.rint(WATCHED * accuracies(log_odds(noiseless) + noise)) / WATCHED
        return observed, noiseless, fitted.epoch_s(config)

    name = "curves" if regressor == "process" else f"curves-{regressor}"
    return Objective(f"{name}-{pictures}", space(), MAX_EPOCHS, evaluate)
