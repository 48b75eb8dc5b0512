"""Intervals of scores against scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binomtest

from search.statistics.intervals import around, independent, of_model, student, wilson
from search.statistics.resampling import score_of, summands
from search.trials.trials import METRICS, Metric
from tests.predictions import certain, drawn
from trainables.metrics import macro_f1

ACCURACY, MACRO_F1, LOSS = (METRICS[name] for name in ("val_accuracy", "val_macro_f1", "val_loss"))


@pytest.mark.parametrize(("hits", "of"), [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (17, 400)])
def test_the_interval_is_the_one_of_wilson(hits: int, of: int) -> None:
    wanted = binomtest(hits, of).proportion_ci(method="wilson")
    assert wilson(hits, of) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 6, 1000])
def test_quantiles_are_those_of_student(freedom: int) -> None:
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom))
    assert student(freedom, tail=0.01) == pytest.approx(stats.t.ppf(0.99, freedom))


def interval(
    metric: Metric, labels: np.ndarray, log_probs: np.ndarray, groups: np.ndarray | None = None
) -> tuple[float, float]:
    """Of a model, where there is one."""
    found = of_model(metric, labels, log_probs, groups)
    assert found is not None
    return found


def test_the_accuracy_of_a_model_has_wilsons_interval() -> None:
    labels, log_probs = drawn(300, 5, seed=0)
    hits = int((log_probs.argmax(axis=1) == labels).sum())
    assert interval(ACCURACY, labels, log_probs) == wilson(hits, 300)
    assert interval(ACCURACY, labels, log_probs, groups=np.arange(300)[::-1]) == wilson(hits, 300)


def test_in_groups_of_four_alike_it_is_that_of_a_quarter_of_the_pictures() -> None:
    labels, log_probs = drawn(200, 5, seed=0)
    fourfold = np.tile(np.arange(200), 4)
    found = interval(ACCURACY, labels[fourfold], log_probs[fourfold], groups=fourfold)
    hits = int((log_probs.argmax(axis=1) == labels).sum())
    assert found == pytest.approx(wilson(hits, 200), abs=0.006)
    assert found[1] - found[0] > 1.7 * np.subtract(*wilson(4 * hits, 800)[::-1])


def test_the_interval_of_macro_f1_is_as_wide_as_scipys_bootstrap_far_from_its_ends() -> None:
    labels, log_probs = drawn(800, 4, seed=0, ability=0.8)
    predicted = log_probs.argmax(axis=1)

    def statistic(rows: np.ndarray) -> float:
        confusion = np.bincount(4 * labels[rows] + predicted[rows], minlength=16).reshape(4, 4)
        return macro_f1(torch.from_numpy(confusion))

    reference = stats.bootstrap(
        (np.arange(800),), statistic, n_resamples=1000, vectorized=False, method="percentile", rng=0
    ).confidence_interval
    low, high = interval(MACRO_F1, labels, log_probs)
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=0.006)


def test_groups_make_the_interval_of_macro_f1_wider() -> None:
    labels, log_probs = drawn(200, 4, seed=0)
    fourfold = np.tile(np.arange(200), 4)
    alone = interval(MACRO_F1, labels[fourfold], log_probs[fourfold])
    grouped = interval(MACRO_F1, labels[fourfold], log_probs[fourfold], groups=fourfold)
    assert grouped[1] - grouped[0] == pytest.approx(2 * (alone[1] - alone[0]), rel=0.15)


def test_where_nothing_was_wrong_the_interval_ends_at_one_and_counts_a_rare_class_for_little() -> None:
    even, uneven = np.repeat([0, 1], 100), np.repeat([0, 1], [190, 10])
    assert interval(MACRO_F1, even, certain(even, 2)) == pytest.approx(wilson(200, 200))
    low, high = interval(MACRO_F1, uneven, certain(uneven, 2))
    assert high == pytest.approx(1)
    assert low < wilson(200, 200)[0] - 0.05
    # Of the mean of two recalls: half of the one from 190 pictures, half of the one from 10.
    assert independent(MACRO_F1, uneven, np.arange(200)) == pytest.approx(1 / (0.25 / 190 + 0.25 / 10))
    groups = np.repeat(np.arange(20), 10)
    assert interval(ACCURACY, even, certain(even, 2), groups) == pytest.approx(wilson(20, 20))


def test_pictures_of_a_single_group_have_no_interval() -> None:
    labels, log_probs = drawn(50, 3, seed=0)
    for metric in METRICS.values():
        assert of_model(metric, labels, log_probs, groups=np.full(50, 8)) is None


def test_the_interval_of_a_log_loss_holds_the_values_whose_own_error_reaches_the_mean() -> None:
    labels, log_probs = drawn(400, 3, seed=0)
    losses = -log_probs[np.arange(400), labels].astype(float)
    half = stats.t.ppf(0.975, 399) * losses.std(ddof=1) / 20
    for end, sign in zip(interval(LOSS, labels, log_probs), (1, -1), strict=True):
        assert end + sign * half * math.sqrt(end / losses.mean()) == pytest.approx(losses.mean(), rel=0.01)


def test_a_log_loss_of_zero_may_be_more_and_not_less() -> None:
    assert around(LOSS, 0.0, 0.1, 5) == (0.0, 0.1)


@given(
    metric=st.sampled_from(list(METRICS.values())),
    mean=st.floats(1e-6, 1 - 1e-6) | st.sampled_from([0.0, 1.0]),
    half=st.floats(0, 3),
    size=st.floats(1, 1e6),
)
def test_an_interval_holds_the_mean_and_stays_in_the_range_of_the_metric(
    metric: Metric, mean: float, half: float, size: float
) -> None:
    low, high = around(metric, mean, half, size)
    assert 0 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high
    assert high <= 1 or metric is LOSS


@given(half=st.floats(0.001, 1), mean=st.floats(0.01, 0.99), more=st.floats(1.01, 3))
def test_what_is_known_less_well_has_a_wider_interval(half: float, mean: float, more: float) -> None:
    for metric in METRICS.values():
        narrow, wide = around(metric, mean, half, 10), around(metric, mean, more * half, 10)
        assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_an_interval_is_of_the_score_that_is_reported() -> None:
    labels, log_probs = drawn(100, 6, seed=3)
    for metric in METRICS.values():
        low, high = interval(metric, labels, log_probs)
        assert low < score_of(summands(metric, labels, log_probs)) < high
