"""A model of learning curves over a space of configurations: a Gaussian process over both together."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

LEVEL_VARIANCE, LEVEL_CHANGE, LEVEL_LENGTH = 4.0, 2.0, 0.5
"""Prior of what all curves have in common: wide, for scores are scaled to a spread of about 1."""
RELEVANCE = (0.0, 1.5)
"""Prior of the logarithm of a coordinate's weight in squared distances, as mean and standard deviation: most
hyperparameters hardly matter, a few do (Bergstra & Bengio 2012)."""
SHAPE = np.log([1.0, 1.5, 0.3, 0.15])
SHAPE_SPREAD = np.array([2.5, 0.8, 1.0, 2.5])
NOISE = (np.log(0.03), 1.5)
TREND = (np.log(0.3), 1.5)
"""Priors of the logarithms of the other parameters, see `CurveModel`."""
JITTER = 1e-6


@dataclass(frozen=True)
class Curves:
    """What a model learns from: T trials and N scores of theirs."""

    features: np.ndarray
    """Float (T, F + K), of the trials' configurations; the last K are trends, see `CurveModel`."""
    trial: np.ndarray
    """Int (N,): whose each score is."""
    level: np.ndarray
    """Int (N,): at which of the levels."""
    score: np.ndarray
    """Float (N,), scaled to a spread of about 1 around 0."""
    doubt: np.ndarray
    """Float (N,): a variance that each has on top of the noise of all."""


class CurveModel:
    """Forecasts scores at later epochs, of trials that have begun and of configurations that have not.

    The score of configuration x at the logarithm u of its epoch, from 0 to 1, has the covariance

        s k(x, x') (1 + c e) / (1 + c) + [same trial] r e + level(u, u'),    e = exp(-|u - u'| / l)

    with k a Matérn 5/2 whose weight each coordinate has learnt for itself: similar configurations have
    similar curves (the share 1 / (1 + c) of it at all epochs), each trial deviates on its own, and what
    training brings on average is learnt with it. Freeze-thaw Bayesian optimisation (Swersky et al. 2014) has
    the same parts, with a fixed form of the curves; the weights' prior and fit are those of automatic
    relevance determination (Rasmussen & Williams 2006, 5.1).

    A *trend* m is what is expected of configurations beforehand, such as by the model of a former search.
    Each adds b m(x) m(x') at all levels, with a variance b that is learnt: scores are a multiple of it, which
    is small where it is wrong, and the rest models what differs from that. So Google Vizier stacks the models
    of former studies (Golovin et al. 2017).

    Args:
        owner: int (F,): the coordinate that each feature is of.
        levels: Epochs, rising; scores are at these.
        trends: K, how many further features there are, each the value of a trend.
    """

    def __init__(self, owner: np.ndarray, levels: list[float], *, trends: int = 0) -> None:
        self._owner, self._coordinates = owner, int(owner.max(initial=-1)) + 1
        log = np.log(np.array(levels, dtype=float))
        place = (log - log[0]) / max(log[-1] - log[0], 1e-9)
        self._apart = np.abs(place[:, None] - place[None])
        self._common = LEVEL_VARIANCE + LEVEL_CHANGE * np.exp(-self._apart / LEVEL_LENGTH)
        counts = (self._coordinates, len(SHAPE), trends, len(levels))
        self._parts = np.cumsum(counts)[:-1]
        """Where the logarithms of weights, of the shape, of the trends' variances and of noise part."""
        self._mean = np.concatenate(
            [np.full(counts[0], RELEVANCE[0]), SHAPE, np.full(trends, TREND[0]), np.full(counts[3], NOISE[0])]
        )
        self._spread = np.concatenate(
            [
                np.full(counts[0], RELEVANCE[1]),
                SHAPE_SPREAD,
                np.full(trends, TREND[1]),
                np.full(counts[3], NOISE[1]),
            ]
        )
        self._log = self._mean
        # What `condition` sets.
        self._features = np.empty((0, len(owner)))
        self._trial, self._level = np.empty(0, dtype=int), np.empty(0, dtype=int)
        self._trends, self._trust = np.empty((0, trends)), np.empty(trends)
        self._scale, self._precision, self._weights = np.empty(0), np.empty((0, 0)), np.empty(0)
        self._signal = self._length = self._change = self._own = 0.0
        self._noise = np.empty(0)

    def tune(self, curves: Curves, *, steps: int) -> None:
        """Finds parameters that explain these scores well, in at most so many steps from where they are."""
        self._log = self._fitted(curves, steps)

    def condition(self, curves: Curves) -> CurveModel:
        """A model with the same parameters that knows these scores, and no others."""
        found, trial, level = copy.copy(self), curves.trial, curves.level
        found._features, found._trends = self._split(curves.features)
        found._trial, found._level = trial, level
        weights, shape, found._trust, noise = np.split(np.exp(self._log), self._parts)
        found._scale = np.sqrt(weights[self._owner])
        found._signal, found._length, found._change, found._own = shape
        found._noise = noise
        kernel = found._cross(curves.features[trial], trial, level)
        kernel[np.diag_indices(len(trial))] += noise[level] + curves.doubt + JITTER
        factor = cholesky(kernel, lower=True, check_finite=False)
        inverse = solve_triangular(factor, np.eye(len(trial)), lower=True, check_finite=False)
        found._precision = inverse.T @ inverse
        found._weights = found._precision @ curves.score
        return found

    def forecast(
        self, features: np.ndarray, trial: np.ndarray | None = None, level: int | np.ndarray = -1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of what scores are without noise, float (M,) and float (M,).

        Args:
            features: float (M, F + K).
            trial: int (M,): which trial of those learnt from each is, -1: none; None: none of them is one.
            level: At which level, or int (M,).
        """
        cross = self._cross(features, trial, np.broadcast_to(level, len(features)))
        trends = self._split(features)[1]
        prior = self._signal + self._own + LEVEL_VARIANCE + LEVEL_CHANGE + trends**2 @ self._trust
        variance = prior - ((cross @ self._precision) * cross).sum(1)
        return cross @ self._weights, np.maximum(variance, 1e-9)

    def joint(self, features: np.ndarray, trial: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean, float (M,), and covariance, float (M, M), of the scores at the last level, without noise.

        Args: see `forecast`.
        """
        cross = self._cross(features, trial, np.full(len(features), -1))
        plain, trends = self._split(features)
        scaled = plain * self._scale
        prior = self._signal * _matern(_squared(scaled, scaled))[0] + LEVEL_VARIANCE + LEVEL_CHANGE
        prior += trends * self._trust @ trends.T
        prior[np.diag_indices(len(features))] += self._own
        return cross @ self._weights, prior - cross @ self._precision @ cross.T

    def mean(self, features: np.ndarray) -> np.ndarray:
        """The same means as `forecast` has, float (M,), of configurations that have not begun, at the last
        level: quicker, by what each trial's scores come to together."""
        plain, trends = self._split(features)
        near = _matern(_squared(plain * self._scale, self._features * self._scale))[0]
        steady = self._steady(np.exp(-self._apart[-1, self._level] / self._length))
        by_trial = np.bincount(self._trial, self._weights * steady, len(self._features))
        by_trend = (self._trust * self._trends[self._trial]).T @ self._weights
        return np.asarray(
            self._signal * near @ by_trial + trends @ by_trend + self._common[-1, self._level] @ self._weights
        )

    def foretold(self) -> np.ndarray:
        """How well scores at each level foretell those at the last one, float (levels,) from 0 to 1: the
        correlation, over trials of any configurations, of a noisy score with the last one without noise."""
        fade, expected = np.exp(-self._apart[-1] / self._length), self._trust.sum()  # trends vary by 1
        both = self._signal * self._steady(fade) + self._own * fade + expected
        spread = self._signal + self._own + expected
        return np.asarray(both / np.sqrt(spread * (spread + self._noise)))

    def _split(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What coordinates have, float (M, F), and trends, float (M, K)."""
        return features[:, : len(self._owner)], features[:, len(self._owner) :]

    def _steady(self, fade: np.ndarray) -> np.ndarray:
        return (1 + self._change * fade) / (1 + self._change)

    def _cross(self, features: np.ndarray, trial: np.ndarray | None, level: np.ndarray) -> np.ndarray:
        """Covariance with the scores that were learnt from, float (M, N)."""
        plain, trends = self._split(features)
        near = _matern(_squared(plain * self._scale, self._features * self._scale))[0]
        fade = np.exp(-self._apart / self._length)[level][:, self._level]
        cross = self._signal * near[:, self._trial] * self._steady(fade) + self._common[level][:, self._level]
        cross += (trends * self._trust @ self._trends.T)[:, self._trial]
        if trial is not None:
            cross += self._own * (trial[:, None] == self._trial[None]) * fade
        return cross

    def _fitted(self, curves: Curves, steps: int) -> np.ndarray:
        """The parameters' logarithms at the posterior's peak, or on the way there."""
        features, trends = self._split(curves.features)
        trial, level, score = curves.trial, curves.level, curves.score
        same = trial[:, None] == trial[None]
        apart, common = self._apart[np.ix_(level, level)], self._common[np.ix_(level, level)]
        count, columns = len(score), self._coordinates
        squares = np.stack(
            [
                _squared(features[:, self._owner == at], features[:, self._owner == at])
                for at in range(columns)
            ]
        )
        gather = np.zeros((count, len(features)))
        gather[np.arange(count), trial] = 1
        trends = trends[trial]

        def loss(log: np.ndarray) -> tuple[float, np.ndarray]:
            weights, shape, trust, noise = np.split(np.exp(log), self._parts)
            signal, length, change, own = shape
            near, slope = _matern(np.tensordot(weights, squares, 1))
            fade = np.exp(-apart / length)
            steady = (1 + change * fade) / (1 + change)
            near_n = near[np.ix_(trial, trial)]
            kernel = signal * near_n * steady + own * same * fade + common + trends * trust @ trends.T
            kernel[np.diag_indices(count)] += noise[level] + curves.doubt + JITTER
            try:
                factor = cholesky(kernel, lower=True, check_finite=False)
            except np.linalg.LinAlgError:
                return 1e10, np.zeros_like(log)
            solved = cho_solve((factor, True), score, check_finite=False)
            inverse = cho_solve((factor, True), np.eye(count), check_finite=False)
            outer = 0.5 * (inverse - np.outer(solved, solved))
            by_trial = gather.T @ (outer * steady * signal) @ gather
            faded = fade * apart / length
            gradient = np.concatenate(
                [
                    np.tensordot(squares, by_trial * slope, ([1, 2], [0, 1])) * weights,
                    [
                        (outer * near_n * steady).sum() * signal,
                        (outer * (signal * near_n * change / (1 + change) + own * same) * faded).sum(),
                        (outer * near_n * (fade - 1)).sum() * signal * change / (1 + change) ** 2,
                        (outer * same * fade).sum() * own,
                    ],
                    (outer @ trends * trends).sum(0) * trust,
                    np.bincount(level, np.diag(outer), len(noise)) * noise,
                ]
            )
            off = (log - self._mean) / self._spread
            value = 0.5 * score @ solved + np.log(np.diag(factor)).sum() + 0.5 * off @ off
            return float(value), gradient + off / self._spread

        bounds = [(-6.0, 4.0)] * columns + [(-5, 3), (-2, 3), (-4, 3), (-6, 2)]
        bounds += [(-8.0, 3.0)] * trends.shape[1] + [(-8.0, 2.0)] * len(self._apart)
        options = {"maxiter": steps}
        return np.asarray(
            minimize(loss, self._log, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
        )


def _squared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared distances, float (N, M), of float (N, F) and float (M, F)."""
    sums = (one * one).sum(1)[:, None] + (other * other).sum(1)[None]
    return np.maximum(sums - 2 * one @ other.T, 0.0)


def _matern(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matérn 5/2 at squared distances, and its slope there."""
    distance = np.sqrt(5 * squared + 1e-12)
    decay = np.exp(-distance)
    return (1 + distance + distance**2 / 3) * decay, -5 / 6 * (1 + distance) * decay
