"""The model of learning curves, beside plain computations by scikit-learn's kernel and scipy's densities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process.kernels import Matern

from search.policy import curve_model
from search.policy.curve_model import CurveModel, Curves

OWNER = np.array([0, 1, 1, 2])
"""Of four features, two are of one coordinate."""
LEVELS = [1.0, 3.0, 9.0, 27.0]
PLACES = np.array([0, 1 / 3, 2 / 3, 1])
TRENDS = 2
PARAMETERS = 3 + 4 + TRENDS + len(LEVELS)
Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]


def curves(trials: int, seed: int = 0, lengths: tuple[int, ...] = (1, 2, 4), trends: int = TRENDS) -> Curves:
    """Trials that came to so many levels, by turns, and scored at random; some are doubted."""
    rng = np.random.default_rng(seed)
    places = [(trial, at) for trial in range(trials) for at in range(lengths[trial % len(lengths)])]
    trial, level = (np.array(column) for column in zip(*places, strict=True))
    doubt = np.where(rng.random(len(trial)) < 0.3, 0.1, 0.0)
    features = rng.random((trials, len(OWNER)))
    scores, beforehand = rng.standard_normal(len(trial)), rng.standard_normal((trials, trends))
    return Curves(np.hstack([features, beforehand]), trial, level, scores, doubt)


def others(count: int, seed: int = 5) -> np.ndarray:
    """What a model takes of so many other configurations."""
    rng = np.random.default_rng(seed)
    return np.hstack([rng.random((count, len(OWNER))), rng.standard_normal((count, TRENDS))])


def somewhere(seed: int = 1) -> np.ndarray:
    """Logarithms of a model's parameters."""
    return np.random.default_rng(seed).normal(-0.5, 0.7, PARAMETERS)


def with_parameters(log: np.ndarray, known: Curves, monkeypatch: pytest.MonkeyPatch) -> CurveModel:
    """A model for which the search for parameters has found these."""
    model = CurveModel(OWNER, LEVELS, trends=TRENDS)
    with monkeypatch.context() as patched:
        patched.setattr(curve_model, "minimize", lambda *args, **options: SimpleNamespace(x=log))
        model.tune(known, steps=1)
    return model.condition(known)


def loss_of(known: Curves, monkeypatch: pytest.MonkeyPatch) -> Loss:
    """What the search for parameters is to make small, with its gradient."""
    taken: list[Any] = []

    def kept(loss: Loss, start: np.ndarray, **options: Any) -> SimpleNamespace:
        taken.append(loss)
        return SimpleNamespace(x=start)

    with monkeypatch.context() as patched:
        patched.setattr(curve_model, "minimize", kept)
        CurveModel(OWNER, LEVELS, trends=TRENDS).tune(known, steps=1)
    return taken[0]  # type: ignore[no-any-return]


class Plain:
    """The covariance as the model's docstring has it, one pair after the other."""

    def __init__(self, log: np.ndarray) -> None:
        self.weight, self.trust, self.noise = np.exp(log[:3])[OWNER], np.exp(log[7:9]), np.exp(log[9:])
        self.signal, self.length, self.change, self.own = np.exp(log[3:7])

    def covariance(self, one: tuple[np.ndarray, int, int], other: tuple[np.ndarray, int, int]) -> float:
        """Of two scores without noise, each of features, a trial and a level."""
        (features, trial, level), (features_2, trial_2, level_2) = one, other
        apart = abs(PLACES[level] - PLACES[level_2])
        one_trend, other_trend = features[len(OWNER) :], features_2[len(OWNER) :]
        features, features_2 = features[: len(OWNER)], features_2[: len(OWNER)]
        near = Matern(nu=2.5)([features * np.sqrt(self.weight)], [features_2 * np.sqrt(self.weight)])[0, 0]
        fade = np.exp(-apart / self.length)
        common = curve_model.LEVEL_VARIANCE + curve_model.LEVEL_CHANGE * np.exp(
            -apart / curve_model.LEVEL_LENGTH
        )
        similar = self.signal * near * (1 + self.change * fade) / (1 + self.change)
        expected = sum(self.trust * one_trend * other_trend)
        return float(similar + (trial == trial_2) * self.own * fade + common + expected)

    def between(self, some: list[Any], others: list[Any]) -> np.ndarray:
        return np.array([[self.covariance(one, other) for other in others] for one in some])

    def of_scores(self, known: Curves) -> np.ndarray:
        scores = rows(known)
        noise = self.noise[known.level] + known.doubt + curve_model.JITTER
        return self.between(scores, scores) + np.diag(noise)

    def forecast(self, known: Curves, asked: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of Gaussian variables given others (Rasmussen & Williams 2006, 2.23)."""
        cross, kernel = self.between(asked, rows(known)), self.of_scores(known)
        mean = cross @ np.linalg.solve(kernel, known.score)
        return mean, self.between(asked, asked) - cross @ np.linalg.solve(kernel, cross.T)


def rows(known: Curves) -> list[Any]:
    return [(known.features[at], at, level) for at, level in zip(known.trial, known.level, strict=True)]


def test_the_gradient_is_the_slope_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = loss_of(curves(9), monkeypatch)
    for log in (somewhere(), somewhere(2)):
        _, gradient = loss(log)
        steps = 1e-5 * np.eye(PARAMETERS)
        slopes = [(loss(log + step)[0] - loss(log - step)[0]) / 2e-5 for step in steps]
        np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)
        assert (np.abs(slopes) > 1e-4).all()  # each parameter is put to the test


def test_the_loss_is_that_of_the_scores_and_of_the_parameters_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    known = curves(9)
    loss, (one, other) = loss_of(known, monkeypatch), (somewhere(), somewhere(2))
    mean = np.concatenate([[0.0] * 3, np.log([1.0, 1.5, 0.3, 0.15]), [np.log(0.3)] * 2, [np.log(0.03)] * 4])
    spread = np.concatenate([[1.5] * 3, [2.5, 0.8, 1.0, 2.5], [1.5] * 2, [1.5] * 4])

    def density(log: np.ndarray) -> float:
        of_scores = multivariate_normal(cov=Plain(log).of_scores(known)).logpdf(known.score)
        return float(of_scores + norm(mean, spread).logpdf(log).sum())

    assert loss(one)[0] - loss(other)[0] == pytest.approx(density(other) - density(one))


@pytest.mark.parametrize("seed", [1, 2])
def test_forecasts_are_those_of_a_gaussian_process_with_this_covariance(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = curves(9)
    model, plain = with_parameters(somewhere(seed), known, monkeypatch), Plain(somewhere(seed))
    new = others(4)
    features, trial = np.vstack([known.features, new]), np.array([*range(9), -1, -1, -1, -1])
    for level in (-1, 0, np.arange(13) % 4):
        at = np.broadcast_to(level, 13)
        asked = [(features[row], trial[row] if trial[row] >= 0 else -1 - row, at[row]) for row in range(13)]
        mean, covariance = plain.forecast(known, asked)
        found, variance = model.forecast(features, trial, level)
        np.testing.assert_allclose(found, mean, atol=1e-8)
        np.testing.assert_allclose(variance, np.diag(covariance), atol=1e-8)
    np.testing.assert_array_equal(model.forecast(new), model.forecast(new, np.full(4, -1), 3))
    np.testing.assert_allclose(model.mean(new), model.forecast(new)[0], atol=1e-10)


def test_joint_forecasts_have_the_same_means_and_variances_and_the_covariance_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = curves(9)
    model, plain = with_parameters(somewhere(), known, monkeypatch), Plain(somewhere())
    new = others(4)
    features, trial = np.vstack([new, known.features]), np.array([-1, -1, -1, -1, *range(9)])
    mean, covariance = model.joint(features, trial)
    asked = [(features[row], trial[row] if trial[row] >= 0 else -1 - row, 3) for row in range(13)]
    np.testing.assert_allclose(mean, plain.forecast(known, asked)[0], atol=1e-8)
    np.testing.assert_allclose(covariance, plain.forecast(known, asked)[1], atol=1e-8)
    for wanted, found in zip(model.forecast(features, trial), (mean, np.diag(covariance)), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-8)


def test_a_model_forgets_the_scores_before_and_keeps_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    other = curves(5, seed=3)
    model = with_parameters(somewhere(), curves(9), monkeypatch)
    model = model.condition(other)
    wanted = with_parameters(somewhere(), other, monkeypatch)
    asked = others(4)
    np.testing.assert_array_equal(model.forecast(asked), wanted.forecast(asked))


def test_what_is_doubted_says_less(monkeypatch: pytest.MonkeyPatch) -> None:
    known = curves(9)
    model = with_parameters(somewhere(), replace(known, doubt=np.zeros_like(known.doubt)), monkeypatch)
    _, sure = model.forecast(known.features, np.arange(9))
    model = model.condition(replace(known, doubt=np.full_like(known.doubt, 1.0)))
    _, doubted = model.forecast(known.features, np.arange(9))
    assert (doubted > sure).all()


def test_a_single_level_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    known = curves(9, lengths=(1,), trends=0)
    model = CurveModel(OWNER, [5.0])
    model.tune(known, steps=5)
    model = model.condition(known)
    mean, variance = model.forecast(known.features, np.arange(9))
    assert np.isfinite(mean).all()
    assert (variance > 0).all()


def tuned(
    score: Callable[[np.ndarray, int, np.random.Generator], float], lengths: tuple[int, ...]
) -> CurveModel:
    """A model of 36 trials with these scores, of their features and level."""
    rng, known = np.random.default_rng(0), curves(36, lengths=lengths, trends=0)
    scores = [
        score(known.features[trial], level, rng)
        for trial, level in zip(known.trial, known.level, strict=True)
    ]
    return learnt(replace(known, score=np.array(scores)))


def learnt(known: Curves) -> CurveModel:
    """A model that has its parameters from these scores, of which none is doubted."""
    known = replace(known, doubt=np.zeros(len(known.score)))
    model = CurveModel(OWNER, LEVELS)
    model.tune(known, steps=25)
    return model.condition(known)


def new_features(count: int = 40) -> np.ndarray:
    return np.random.default_rng(9).random((count, len(OWNER)))


def test_the_coordinate_that_matters_is_found() -> None:
    def score(features: np.ndarray, level: int, rng: np.random.Generator) -> float:
        return float(3 * np.sin(3 * features[3]) + 0.1 * rng.standard_normal())

    model = tuned(score, (1, 2, 4))
    along = [np.tile(np.full(len(OWNER), 0.5), (21, 1)) for _ in OWNER]
    for feature, line in enumerate(along):
        line[:, feature] = np.linspace(0, 1, 21)
    spreads = [np.ptp(model.forecast(line)[0]) for line in along]
    assert spreads[3] > 10 * max(spreads[:3])
    found, _ = model.forecast(new_features())
    np.testing.assert_allclose(found, 3 * np.sin(3 * new_features()[:, 3]), atol=0.3)


def test_a_level_that_is_all_noise_is_known_as_such() -> None:
    """What the first epoch says of a configuration is nothing here, and what the last one says is all."""

    def score(features: np.ndarray, level: int, rng: np.random.Generator) -> float:
        return float(rng.standard_normal() if level == 0 else 4 * (features[0] - 0.5))

    model = tuned(score, (4, 1, 4))
    found, _ = model.forecast(new_features())
    assert np.corrcoef(found, new_features()[:, 0])[0, 1] > 0.95
    # Trials that came to the first level alone are forecast by what they are, not by what they scored.
    known = curves(36, lengths=(4, 1, 4), trends=0).features
    at_first = np.arange(1, 36, 3)
    found, _ = model.forecast(known[at_first], at_first)
    assert np.corrcoef(found, known[at_first, 0])[0, 1] > 0.95


def test_how_well_a_level_foretells_the_end_is_the_correlation_of_the_two_between_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = somewhere()
    model, plain = with_parameters(log, curves(9), monkeypatch), Plain(log)
    at = np.concatenate([np.zeros(len(OWNER)), np.ones(TRENDS)])  # as far as trends vary

    def covariance(level: int, other: int) -> float:
        apart = abs(PLACES[level] - PLACES[other]) / curve_model.LEVEL_LENGTH
        common = curve_model.LEVEL_VARIANCE + curve_model.LEVEL_CHANGE * np.exp(-apart)
        return plain.covariance((at, 0, level), (at, 0, other)) - float(common)

    wanted = [
        covariance(level, 3) / math.sqrt((covariance(level, level) + plain.noise[level]) * covariance(3, 3))
        for level in range(4)
    ]
    np.testing.assert_allclose(model.foretold(), wanted)


@pytest.mark.parametrize("noise", [0.02, 2.5])
def test_it_is_learnt_whether_a_level_foretells_the_end(noise: float) -> None:
    def score(features: np.ndarray, level: int, rng: np.random.Generator) -> float:
        return float(4 * (features[0] - 0.5) + (noise if level == 0 else 0.02) * rng.standard_normal())

    foretold = tuned(score, (4, 1, 4)).foretold()
    assert (foretold[1:] > 0.8).all()
    assert foretold[0] > 0.8 if noise < 1 else foretold[0] < 0.6  # it is 0.42


def test_what_training_brings_on_average_is_expected_of_all() -> None:
    def score(features: np.ndarray, level: int, rng: np.random.Generator) -> float:
        return float(features[0] + 0.5 * level + 0.05 * rng.standard_normal())

    model = tuned(score, (1, 4, 2))
    for level in range(4):
        found, _ = model.forecast(new_features(), None, level)
        np.testing.assert_allclose(found, new_features()[:, 0] + 0.5 * level, atol=0.25)


def test_similar_configurations_have_similar_curves() -> None:
    """Of one half what is high at first is low at last: a new one of it is expected to be."""

    def score(features: np.ndarray, level: int, rng: np.random.Generator) -> float:
        sign = 1 if features[0] > 0.5 else -1
        return float(sign * (level - 1.5) / 1.5 + 0.1 * rng.standard_normal())

    model = tuned(score, (4, 1, 2))
    edges = np.array([[0.1, 0.5, 0.5, 0.5], [0.9, 0.5, 0.5, 0.5]])
    (falling, rising), _ = model.forecast(edges, None, 0)
    assert falling > 0.5 > -0.5 > rising
    (falling, rising), _ = model.forecast(edges)
    assert falling < -0.3 < 0.3 < rising


def test_a_trial_is_expected_to_stay_beside_others_like_it_where_it_has_been() -> None:
    """Each trial deviates on its own: by a seed, say, or by what the space does not tell."""
    known, rng = curves(36, lengths=(2,), trends=0), np.random.default_rng(0)
    features, lucky = np.repeat(known.features[:12], 3, axis=0), rng.random(36) < 0.5
    scores = 2 * lucky[known.trial] - 1 + 0.05 * rng.standard_normal(72)
    model = learnt(replace(known, features=features, score=scores))
    own, _ = model.forecast(features, np.arange(36), 1)
    assert own[lucky].min() > own[~lucky].max() + 1
    new, _ = model.forecast(features, None, 1)
    assert np.ptp(new) < 0.6 * np.ptp(own)


def test_the_end_of_a_trial_is_the_surer_the_further_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = curves(9, lengths=(4,))
    spreads = []
    for reached in range(1, 5):
        until = whole.level < reached
        part = Curves(
            whole.features, *(getattr(whole, name)[until] for name in ("trial", "level", "score", "doubt"))
        )
        _, variance = with_parameters(somewhere(), part, monkeypatch).forecast(whole.features, np.arange(9))
        spreads.append(variance)
    assert all((later < sooner).all() for sooner, later in pairwise(spreads))


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_a_trend_is_followed_where_it_is_right_and_forgotten_where_it_is_wrong(share: float) -> None:
    """Few scores of many coordinates say little beside it: what it adds is all that can be known."""
    rng, count = np.random.default_rng(3), 24
    features = np.hstack([rng.random((count + 40, 12)), rng.standard_normal((count + 40, 1))])
    beforehand, trial = features[:, 12], np.arange(count)
    score = share * 2 * beforehand[:count] + 0.3 * rng.standard_normal(count)
    known = Curves(features[:count], trial, np.zeros(count, dtype=int), score, np.zeros(count))
    model = CurveModel(np.arange(12), LEVELS, trends=1)
    model.tune(known, steps=50)
    found = model.condition(known).mean(features[count:])
    assert abs(np.polyfit(beforehand[count:], found, 1)[0] - share * 2) < 0.2
