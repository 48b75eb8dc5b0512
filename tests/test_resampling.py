"""Scores of predictions against trainables' own, and their bootstrap against textbook variances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from search.statistics import resampling
from search.statistics.resampling import covariance, score, score_of, summands, units
from search.trials.trials import METRICS, Metric
from tests.predictions import certain, drawn, runs
from trainables.metrics import Tally

ACCURACY, MACRO_F1, LOSS = (METRICS[name] for name in ("val_accuracy", "val_macro_f1", "val_loss"))


@pytest.mark.parametrize(("count", "classes"), [(1, 2), (200, 2), (1000, 10), (30, 50)])
def test_scores_are_those_of_a_tally(count: int, classes: int) -> None:
    labels, log_probs = drawn(count, classes, seed=count)
    tally = Tally(classes, torch.device("cpu"))
    tally.add(torch.from_numpy(log_probs), torch.from_numpy(labels))
    for metric, expected in ((ACCURACY, tally.accuracy), (MACRO_F1, tally.macro_f1), (LOSS, tally.loss)):
        assert score_of(summands(metric, labels, log_probs)) == pytest.approx(expected, rel=1e-6)


def test_macro_f1_of_some_pictures_is_over_the_classes_that_occur_among_them() -> None:
    labels, predicted = np.array([0, 0, 1, 1, 3]), np.array([0, 2, 0, 2, 3])
    terms = summands(MACRO_F1, labels, certain(predicted, 5))
    assert score_of(terms) == pytest.approx((0.5 + 1) / 4)
    assert score(terms[:4].sum(axis=0)) == pytest.approx(0.5 / 3)


def test_units_are_pictures_or_groups_by_whatever_numbers() -> None:
    labels = np.zeros(4, int)
    assert units(labels, None).tolist() == [0, 1, 2, 3]
    assert units(labels, np.array([7, -2, 7, 40])).tolist() == [1, 0, 1, 2]


@pytest.mark.parametrize("metric", [ACCURACY, LOSS], ids=lambda metric: metric.name)
def test_the_covariance_of_means_is_that_of_the_pictures_over_their_number(metric: Metric) -> None:
    labels, _ = drawn(400, 3, seed=0)
    terms = [summands(metric, labels, run) for run in runs(labels, 3, seed=1, seeds=3)]
    expected = np.cov([term[:, 0, 0] for term in terms]) / len(labels)
    np.testing.assert_allclose(covariance(terms, units(labels, None)), expected, rtol=0.2)


def test_of_few_pictures_the_variance_is_not_too_small() -> None:
    labels, log_probs = drawn(4, 3, seed=1)
    terms = summands(LOSS, labels, log_probs)
    found = covariance([terms], np.arange(4)).item()
    assert found == pytest.approx(terms[:, 0, 0].var(ddof=1) / 4, rel=0.1)


def test_of_groups_of_uneven_sizes_it_is_that_of_a_ratio_of_sums() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(150, size=600)
    labels = rng.integers(2, size=150)[groups]
    hits = rng.random(150)[groups] > rng.random(600)  # alike within a group
    terms = summands(ACCURACY, labels, certain(np.where(hits, labels, 1 - labels), 2))
    found = covariance([terms], units(labels, groups)).item()
    deviations = np.bincount(groups, weights=hits - hits.mean(), minlength=150)
    # The variance of a ratio estimate: Cochran 1977, "Sampling Techniques".
    assert found == pytest.approx(150 / 149 * (deviations**2).sum() / 600**2, rel=0.1)
    assert found > 1.5 * hits.var() / 600


def test_what_is_counted_four_times_is_known_no_better() -> None:
    labels, log_probs = drawn(100, 4, seed=0)
    fourfold = np.tile(np.arange(100), 4)
    for metric in METRICS.values():
        once = covariance([summands(metric, labels, log_probs)], np.arange(100))
        again = covariance([summands(metric, labels[fourfold], log_probs[fourfold])], fourfold)
        np.testing.assert_allclose(again, once, rtol=1e-4)


def test_replicates_in_blocks_are_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, log_probs = drawn(300, 3, seed=0)
    terms = [summands(MACRO_F1, labels, log_probs)]
    whole = covariance(terms, np.arange(300)).item()
    seen: list[int] = []

    def counted(count: int, replicates: int, seed: int) -> np.ndarray:
        seen.append(replicates)
        return drawn_before(count, replicates, seed)

    drawn_before = resampling._drawn
    monkeypatch.setattr(resampling, "_drawn", counted)
    monkeypatch.setattr(resampling, "BLOCK", 300 * 300)
    assert covariance(terms, np.arange(300)).item() == pytest.approx(whole, rel=0.15)
    assert seen == [300, 300, 300, 100]


def test_a_replicate_has_as_many_units_as_the_sample() -> None:
    weights = resampling._drawn(50, 2000, 0)
    assert (weights.sum(axis=1) == 50).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.15)
    assert weights.var() == pytest.approx(1 - 1 / 50, rel=0.05)
