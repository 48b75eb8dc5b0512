"""Uneven classes: what a pass serves, and how much each class counts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from trainables.balance import class_weights, log_prior, pass_order

UNEVEN = np.repeat([0, 1, 2, 4], [60, 25, 10, 5])  # class 3 has no pictures


def order(labels: np.ndarray, balance: str, seed: int = 0) -> np.ndarray:
    return pass_order(labels, balance, np.random.default_rng(seed))


@pytest.mark.parametrize("balance", ["none", "class_weights", "logit_adjustment"])
def test_without_sampling_a_pass_is_a_permutation(balance: str) -> None:
    rows = order(UNEVEN, balance)
    assert sorted(rows) == list(range(100))
    assert rows.tolist() != list(range(100))


@pytest.mark.parametrize("count", [100, 99, 97])
def test_sampling_serves_the_classes_equally_often_to_within_one(count: int) -> None:
    labels = UNEVEN[-count:]
    rows = order(labels, "sampling")
    assert len(rows) == count
    served = np.bincount(labels[rows], minlength=5)
    assert served[3] == 0
    assert sorted(served)[1:] == sorted(count // 4 + (place < count % 4) for place in range(4))


def test_sampling_cycles_a_class_before_it_repeats_a_picture() -> None:
    rows = order(UNEVEN, "sampling")
    for kind in (0, 1, 2, 4):
        times = np.bincount(rows, minlength=100)[kind == UNEVEN]
        assert times.sum() == 25
        assert times.max() - times.min() <= 1


def test_sampling_mixes_the_classes_and_draws_other_pictures_each_pass() -> None:
    one, other = order(UNEVEN, "sampling", 1), order(UNEVEN, "sampling", 2)
    for half in np.split(UNEVEN[one], 2):
        assert (np.bincount(half, minlength=5)[[0, 1, 2, 4]] > 5).all()
    assert set(one[UNEVEN[one] == 0]) != set(other[UNEVEN[other] == 0])
    assert (one == order(UNEVEN, "sampling", 1)).all()


def test_sampling_gives_the_remainder_to_every_class_in_turn() -> None:
    labels = np.repeat([0, 1, 2], [5, 2, 3])
    extra = [np.bincount(labels[order(labels, "sampling", seed)]).argmax() for seed in range(50)]
    assert set(extra) == {0, 1, 2}


def test_class_weights_are_those_of_scikit_learn_and_average_to_one() -> None:
    occurring = np.array([0, 1, 2, 4])
    ours = class_weights(UNEVEN, 5)
    expected = compute_class_weight("balanced", classes=occurring, y=UNEVEN)
    np.testing.assert_allclose(ours[occurring], expected)
    assert ours[3] == 0
    assert ours[UNEVEN].mean() == pytest.approx(1)


def test_the_prior_is_each_classs_share_and_finite_where_there_is_none() -> None:
    np.testing.assert_allclose(np.exp(log_prior(UNEVEN, 5)), [0.6, 0.25, 0.1, 0.01, 0.05])
