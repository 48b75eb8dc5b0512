"""How good answers are, against scikit-learn."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from trainables.calibration import tempered
from trainables.quality import BINS, quality, reliability


def answers(count: int, classes: int, *, skill: float = 1.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and log-probabilities of a classifier that is right more often than not."""
    rng = np.random.default_rng([seed, count, classes])
    labels = rng.integers(0, classes, count)
    logits = rng.normal(0, 2, (count, classes))
    logits[np.arange(count), labels] += skill
    return labels, tempered(logits, 1.0)


def names(classes: int) -> list[str]:
    return [f"class {number}" for number in range(classes)]


@pytest.mark.parametrize(("count", "classes"), [(300, 2), (500, 4), (1000, 10), (40, 30)])
def test_every_number_is_that_of_scikit_learn(count: int, classes: int) -> None:
    labels, said = answers(count, classes)
    found, best = quality(labels, said, names(classes)), said.argmax(axis=1)
    everything = list(range(classes))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, best))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(labels, best, average="macro"))
    assert found["log_loss"] == pytest.approx(reference.log_loss(labels, np.exp(said), labels=everything))
    assert found["confusion_matrix"] == reference.confusion_matrix(labels, best, labels=everything).tolist()
    assert list(found["top_k"]) == [str(k) for k in (1, 3, 5) if k < classes]
    for k, share in found["top_k"].items():
        scores = said[:, 1] if classes == 2 else said
        expected = reference.top_k_accuracy_score(labels, scores, k=int(k), labels=everything)
        assert share == pytest.approx(expected if classes > 2 else found["accuracy"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected_rows = reference.precision_recall_fscore_support(
            labels, best, labels=everything, zero_division=np.nan
        )
    rows = pd.DataFrame(found["per_class"])
    assert rows["class"].tolist() == names(classes)
    for name, expected in zip(("precision", "recall", "f1", "support"), expected_rows, strict=True):
        np.testing.assert_allclose(rows[name].astype(float), expected)
    assert found["n"] == count
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_what_is_not_defined_is_none() -> None:
    labels, said = np.array([0, 0, 1]), np.log([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.6, 0.3, 0.1]])
    first, second, third = quality(labels, said, names(3))["per_class"]
    assert (first["precision"], first["recall"], first["support"]) == (pytest.approx(2 / 3), 1.0, 2)
    assert (second["precision"], second["recall"], second["f1"], second["support"]) == (None, 0.0, 0.0, 1)
    assert (third["precision"], third["recall"], third["f1"], third["support"]) == (None, None, None, 0)


def test_reliability_bins_are_those_of_scikit_learns_calibration_curve() -> None:
    labels, said = answers(1000, 5)
    confidence, hit = np.exp(said.max(axis=1)), said.argmax(axis=1) == labels
    bins = pd.DataFrame(reliability(confidence, hit))
    accuracy, mean = calibration_curve(hit, confidence, n_bins=BINS, strategy="quantile")
    np.testing.assert_allclose(bins["accuracy"], accuracy)
    np.testing.assert_allclose(bins["confidence"], mean)
    assert bins["count"].sum() == 1000
    assert bins["count"].max() - bins["count"].min() <= 2
    weighted = (bins["count"] / 1000 * (bins["accuracy"] - bins["confidence"]).abs()).sum()
    assert quality(labels, said, names(5))["ece"] == pytest.approx(weighted)


def test_equal_confidences_are_in_one_bin_in_whatever_order_they_come() -> None:
    confidence = np.repeat([1.0, 0.6], [90, 10])
    hit = np.arange(100) % 2 == 0
    bins = reliability(confidence, hit)
    assert [entry["count"] for entry in bins] == [10, 90]
    shuffled = np.random.default_rng(0).permutation(100)
    assert reliability(confidence[shuffled], hit[shuffled]) == [
        {name: pytest.approx(value) for name, value in entry.items()} for entry in bins
    ]
    assert [entry["count"] for entry in reliability(confidence[:3], hit[:3])] == [3]


def test_the_calibration_error_of_honest_probabilities_is_small_and_of_bold_ones_is_large() -> None:
    rng = np.random.default_rng(3)
    said = tempered(rng.normal(0, 2, (20_000, 4)), 1.0)
    labels = (said + rng.gumbel(size=said.shape)).argmax(axis=1)  # drawn by these very probabilities
    honest, bold = (quality(labels, tempered(said, heat), names(4)) for heat in (1.0, 0.25))
    assert honest["ece"] < 0.02
    assert bold["ece"] > 0.15
    assert bold["accuracy"] == honest["accuracy"]
    assert bold["log_loss"] > honest["log_loss"]


def test_pictures_below_the_threshold_are_counted_and_nothing_else_changes() -> None:
    labels, said = answers(200, 4)
    plain, strict = quality(labels, said, names(4)), quality(labels, said, names(4), unknown_below=0.6)
    assert plain.pop("called_unknown") is None
    assert strict.pop("called_unknown") == (np.exp(said).max(axis=1) < 0.6).sum() > 0
    assert plain == strict
