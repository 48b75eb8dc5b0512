"""Temperature and threshold: against scikit-learn and torch, and where data is odd."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from torch.nn import functional as F

from trainables.calibration import (
    LEAST_PICTURES,
    PRIOR_PICTURES,
    Calibration,
    NotCalibratedError,
    best_temperature,
    fitted,
    tempered,
    threshold,
)


def drawn(count: int, heat: float, *, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and log-probabilities that are honest at temperature `heat`; float32, as networks say them."""
    rng = np.random.default_rng([seed, count])
    logits = rng.normal(0, 3 * heat, (count, classes))
    labels = (logits / heat + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return labels, tempered(logits, 1.0).astype(np.float32)


class Says(ClassifierMixin, BaseEstimator):
    """A classifier whose logits are the features."""

    def fit(self, features: np.ndarray, labels: np.ndarray) -> Says:
        self.classes_ = np.unique(labels)
        return self

    def decision_function(self, features: np.ndarray) -> np.ndarray:
        return features

    def predict(self, features: np.ndarray) -> np.ndarray:
        return features.argmax(axis=1)


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
def test_the_temperature_is_that_of_scikit_learn_and_the_true_one(heat: float) -> None:
    labels, said = drawn(20_000, heat)
    said = said.astype(np.float64)
    found = best_temperature(labels, said)
    assert found == pytest.approx(heat, rel=0.03)
    model = FrozenEstimator(Says().fit(said, labels))
    theirs = CalibratedClassifierCV(model, method="temperature", ensemble=False).fit(said, labels)
    expected = theirs.predict_proba(said)
    np.testing.assert_allclose(np.exp(tempered(said, found)), expected, atol=1e-3)
    ours = log_loss(labels, np.exp(tempered(said, found)))
    assert ours == pytest.approx(log_loss(labels, expected), rel=1e-5)


@pytest.mark.parametrize(("count", "heat"), [(60, 3.0), (60, 0.4), (500, 1.5)])
def test_the_temperature_is_the_minimum_that_lbfgs_finds(count: int, heat: float) -> None:
    labels, said = drawn(count, heat)
    log_inverse = torch.zeros((), dtype=torch.float64, requires_grad=True)
    logits, targets = torch.from_numpy(said).double(), torch.from_numpy(labels)
    optimizer = torch.optim.LBFGS([log_inverse], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        inverse = log_inverse.exp()
        prior = PRIOR_PICTURES * (inverse - 1 - log_inverse)
        total = F.cross_entropy(logits * inverse, targets, reduction="sum") + prior
        total.backward()
        return total

    optimizer.step(loss)
    assert best_temperature(labels, said) == pytest.approx(math.exp(-log_inverse.item()), rel=1e-5)


def test_answers_that_are_all_right_or_all_wrong_have_a_sane_temperature() -> None:
    labels = np.arange(300) % 3
    right = np.full((300, 3), -6.0)
    right[np.arange(300), labels] = 0.0
    right = tempered(right, 1.0)
    assert 0.3 < best_temperature(labels, right) < 1.0  # without a prior it would be 0
    chance, wrong = np.roll(labels, 100), (labels + 1) % 3
    assert 3 < best_temperature(chance, right) < 1e4
    assert 3 < best_temperature(wrong, right) < 1e4
    sure = np.where(right > -1, 0.0, -500.0)  # as networks say it of pictures that they know by heart
    assert 0.1 < best_temperature(labels, sure) <= 1.0
    assert best_temperature(labels, np.full((300, 3), -math.log(3))) == pytest.approx(1.0)


@given(
    arrays(np.float32, (3, 4), elements=st.floats(-200, 200, width=32), unique=True),
    st.floats(1e-3, 1e3),
)
def test_a_temperature_never_changes_the_order_of_the_classes(logits: np.ndarray, heat: float) -> None:
    said = tempered(logits, heat)
    assert (np.diff(np.take_along_axis(said, logits.argsort(axis=1), axis=1), axis=1) >= 0).all()
    assert said[np.arange(3), logits.argmax(axis=1)] == pytest.approx(said.max(axis=1))
    np.testing.assert_allclose(np.exp(said).sum(axis=1), 1.0)


def test_a_fit_never_changes_the_answers_and_never_raises_the_loss_it_minimises() -> None:
    labels, said = drawn(400, 2.0)
    found = fitted(labels, [said])
    after = tempered(said, found.temperature)
    assert (after.argmax(axis=1) == said.argmax(axis=1)).all()
    assert log_loss(labels, np.exp(after)) < log_loss(labels, np.exp(tempered(said, 1.0)))


def test_runs_are_pooled() -> None:
    labels, one = drawn(300, 1.0, seed=1)
    other = tempered(one, 0.5).astype(np.float32)  # the same answers, twice as sure
    found = fitted(labels, [one, other])
    both = best_temperature(np.tile(labels, 2), np.concatenate([one, other]))
    assert found.temperature == both
    assert best_temperature(labels, one) < both < best_temperature(labels, other)
    assert found.fitted_on is not None
    assert (found.fitted_on.runs, found.fitted_on.pictures) == (2, 300)


def test_the_threshold_is_a_calibrated_probability_that_the_asked_for_share_is_below() -> None:
    labels, said = drawn(2000, 2.0)
    for rate in (0.01, 0.05, 0.2):
        found = fitted(labels, [said, said], false_alarm_rate=rate)
        assert found.unknown_below is not None
        confidence = np.exp(tempered(said, found.temperature)).max(axis=1)
        assert (confidence < found.unknown_below).mean() == pytest.approx(rate, abs=0.001)
        assert found.false_alarm_rate == rate


def test_new_pictures_are_below_the_threshold_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    alarms = [threshold([rng.uniform(size=99)], 0.05) for _ in range(4000)]  # uniform: the share below is it
    assert np.mean([alarm for alarm in alarms if alarm is not None]) == pytest.approx(0.05, abs=0.001)
    assert len([alarm for alarm in alarms if alarm is not None]) == 4000
    few = [threshold([rng.uniform(size=30)], 0.05) or 0.0 for _ in range(4000)]
    assert np.mean(few) == pytest.approx(1 / 31, abs=0.002)


def test_where_so_few_pictures_or_a_rate_of_nothing_allow_no_false_alarm_there_is_no_threshold() -> None:
    assert threshold([np.linspace(0, 1, 18)], 0.05) is None
    assert threshold([np.linspace(0, 1, 19)], 0.05) == 0.0
    labels, said = drawn(200, 1.0)
    assert fitted(labels, [said], false_alarm_rate=0.0).unknown_below is None


def test_too_few_pictures_are_not_fitted_on() -> None:
    labels, said = drawn(LEAST_PICTURES, 2.0)
    assert fitted(labels, [said]).temperature > 1
    with pytest.raises(NotCalibratedError, match=f"takes {LEAST_PICTURES} pictures .* there are 49"):
        fitted(labels[1:], [said[1:]] * 3)


def test_a_calibration_is_the_same_after_json() -> None:
    labels, said = drawn(200, 1.7)
    found = fitted(labels, [said])
    assert Calibration.model_validate_json(found.model_dump_json()) == found
    assert Calibration.model_validate_json("{}") == Calibration(temperature=1.0, unknown_below=None)
