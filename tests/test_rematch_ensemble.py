"""What an ensemble comes to on the selection part, against scikit-learn and textbook intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp, softmax
from sklearn.metrics import accuracy_score, f1_score, log_loss

from search.rematch.ensemble import averaged, gain
from search.trials.trials import METRICS
from tests.predictions import certain, runs

ACCURACY, MACRO_F1, LOSS = (METRICS[name] for name in ("val_accuracy", "val_macro_f1", "val_loss"))
LABELS = np.random.default_rng(0).integers(4, size=300)


def members(*abilities: float, seeds: int = 3, labels: np.ndarray = LABELS) -> list[list[np.ndarray]]:
    """Contenders who err on different pictures."""
    return [runs(labels, 4, seed, ability, seeds) for seed, ability in enumerate(abilities)]


def test_ensembles_hold_the_mean_probability_of_one_run_of_each_member() -> None:
    one, other = members(1.5, 1.2)
    found = averaged([one, other[:2]])
    assert len(found) == 2
    for place, said in enumerate(found):
        expected = (np.exp(one[place].astype(float)) + np.exp(other[place].astype(float))) / 2
        np.testing.assert_allclose(np.exp(said), expected, rtol=1e-12)
    sure = np.array([[-1e4, 0.0]], np.float32)
    np.testing.assert_allclose(
        averaged([[sure], [sure[:, ::-1]]])[0], logsumexp([[-1e4, 0], [0, -1e4]], axis=0)[None] - math.log(2)
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_scores_are_the_means_of_scikit_learns(metric: object) -> None:
    both = members(1.5, 1.4)
    found = gain(metric, both, LABELS)  # type: ignore[arg-type]
    for scores, said in ((found.together, averaged(both)), (found.alone, both[0])):
        answers = [run.argmax(axis=1) for run in said]
        sums = {
            "val_accuracy": [accuracy_score(LABELS, one) for one in answers],
            "val_macro_f1": [f1_score(LABELS, one, average="macro") for one in answers],
            "val_loss": [log_loss(LABELS, softmax(run.astype(float), axis=1)) for run in said],
        }
        assert scores == {name: pytest.approx(np.mean(values), rel=1e-5) for name, values in sums.items()}
    sign = -1 if found.metric == "val_loss" else 1
    assert found.gain == pytest.approx(sign * (found.together[found.metric] - found.alone[found.metric]))
    assert (found.runs, found.pictures) == (3, 300)
    assert found.gain_95 is not None
    assert sum(found.gain_95) / 2 == pytest.approx(found.gain)


def test_members_who_err_on_different_pictures_gain_and_a_much_weaker_one_costs() -> None:
    assert gain(ACCURACY, members(1.5, 1.5, 1.5), LABELS).gain > 0.03
    assert gain(LOSS, members(1.5, 1.5, 1.5), LABELS).gain > 0.03
    assert gain(ACCURACY, members(1.5, -3.0, -3.0), LABELS).gain < 0


def test_members_who_say_the_same_gain_exactly_nothing_on_these_pictures() -> None:
    """On others they may differ: as if they did on one picture, in either direction."""
    (one,) = members(1.5)
    found = gain(ACCURACY, [one, one], LABELS)
    assert found.gain == 0
    assert found.gain_95 == pytest.approx((-stats.t.ppf(0.975, 299) / 300, stats.t.ppf(0.975, 299) / 300))
    found = gain(MACRO_F1, [one, one], LABELS)
    low, high = found.gain_95 or (0.0, 0.0)
    assert found.gain == 0
    assert high == -low > 0
    assert gain(LOSS, [one, one], LABELS).gain_95 == pytest.approx((0.0, 0.0), abs=1e-6)


def test_where_pictures_are_all_alike_the_interval_is_the_paired_t_interval_over_seeds() -> None:
    labels = np.zeros(50, int)
    alone, other = (0.20, 0.26, 0.21), (0.25, 0.27, 0.40)

    def of(losses: tuple[float, ...]) -> list[np.ndarray]:
        return [certain(labels, 2, math.exp(-loss)) for loss in losses]

    found = gain(LOSS, [of(alone), of(other)], labels)
    together = -np.log((np.exp(-np.array(alone)) + np.exp(-np.array(other))) / 2)
    expected = stats.ttest_rel(alone, together).confidence_interval(0.95)
    assert found.gain_95 == pytest.approx((expected.low, expected.high), rel=1e-4)


@pytest.mark.parametrize("scene", [1, 3])
def test_where_seeds_are_all_alike_it_is_that_of_the_paired_difference_over_pictures(scene: int) -> None:
    """With scenes, pictures of one count together."""
    first, second = members(1.5, 1.5, seeds=1)
    labels, groups = np.repeat(LABELS, scene), np.repeat(np.arange(300), scene) if scene > 1 else None
    one, other = (np.repeat(found[0], scene, axis=0) for found in (first, second))
    found = gain(ACCURACY, [[one] * 3, [other] * 3], labels, groups)
    (together,) = averaged([first, second])
    difference = (together.argmax(1) == LABELS) * 1.0 - (first[0].argmax(1) == LABELS)
    half = stats.t.ppf(0.975, 299) * math.sqrt(difference.var(ddof=1) / 300 + 1 / 300**2)
    assert found.gain == pytest.approx(difference.mean())
    assert found.gain_95 is not None
    assert found.gain_95[1] - found.gain == pytest.approx(half, rel=0.06)  # 1,000 resamples


def test_with_one_run_or_one_scene_the_gain_is_known_and_its_interval_is_not() -> None:
    both = members(1.5, 1.5)
    single = gain(ACCURACY, [both[0], both[1][:1]], LABELS)
    assert (single.runs, single.gain_95) == (1, None)
    scene = gain(ACCURACY, both, LABELS, np.zeros(300, int))
    assert (scene.runs, scene.gain_95) == (3, None)
    assert scene.gain == gain(ACCURACY, both, LABELS).gain


def test_the_interval_holds_the_true_gain() -> None:
    """Of networks with this ability, over all their seeds and all such pictures."""
    seeds, pictures, searches = 3, 200, 300

    def drawn(number: int, seeds: int, pictures: int) -> tuple[np.ndarray, list[list[np.ndarray]]]:
        labels = np.random.default_rng([number, 1]).integers(4, size=pictures)
        return labels, [runs(labels, 4, 10 * number + place, 1.5, seeds) for place in range(2)]

    labels, many = drawn(10_000, 20, 20_000)
    truth = float(
        np.mean([(one.argmax(1) == labels).mean() for one in averaged(many)])
        - np.mean([(one.argmax(1) == labels).mean() for one in many[0]])
    )
    held = 0
    for number in range(searches):
        labels, some = drawn(number, seeds, pictures)
        low, high = gain(ACCURACY, some, labels).gain_95 or (0.0, 0.0)
        held += low <= truth <= high
    assert 0.92 <= held / searches <= 0.995
