"""Scores against scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from tests.toy_pictures import CPU as ON_CPU
from tests.toy_pictures import tiny_recipe, toy_pictures
from trainables.evaluate import evaluate, log_probabilities
from trainables.feed import Feed
from trainables.metrics import Tally, accuracy, macro_f1
from trainables.models.create import create_model, normalization

CPU = torch.device("cpu")


def random_answers(count: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), targets] += 1
    return logits, targets


def tally_of(logits: torch.Tensor, targets: torch.Tensor, *, batch: int = 64) -> Tally:
    tally = Tally(logits.shape[1], CPU)
    for start in range(0, len(targets), batch):
        tally.add(logits[start : start + batch], targets[start : start + batch])
    return tally


@pytest.mark.parametrize(("count", "classes"), [(1, 2), (200, 2), (1000, 10), (30, 50)])
def test_scores_are_those_of_scikit_learn(count: int, classes: int) -> None:
    logits, targets = random_answers(count, classes, seed=count)
    tally, predicted = tally_of(logits, targets), logits.argmax(1)
    assert tally.accuracy == pytest.approx(reference.accuracy_score(targets, predicted))
    assert tally.macro_f1 == pytest.approx(reference.f1_score(targets, predicted, average="macro"))
    labels = list(range(classes))
    expected = reference.log_loss(targets, logits.double().softmax(1).numpy(), labels=labels)
    assert tally.loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(
        tally.confusion.numpy(), reference.confusion_matrix(targets, predicted, labels=labels)
    )


def test_a_class_that_occurs_neither_as_truth_nor_as_prediction_does_not_count() -> None:
    # Class 1 is never predicted, class 2 is never true, class 3 is absent.
    targets, predicted = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 0, 2])
    logits = torch.nn.functional.one_hot(predicted, 4).float()
    expected = reference.f1_score(targets, predicted, average="macro")
    assert tally_of(logits, targets).macro_f1 == pytest.approx(expected)
    assert expected == pytest.approx(0.5 / 3)


def test_batches_add_up_whatever_their_size() -> None:
    logits, targets = random_answers(100, 5, seed=0)
    whole, parts = tally_of(logits, targets, batch=100), tally_of(logits, targets, batch=7)
    assert torch.equal(whole.confusion, parts.confusion)
    assert whole.loss == pytest.approx(parts.loss)


def test_the_loss_of_half_precision_logits_is_summed_in_full_precision() -> None:
    logits, targets = random_answers(5000, 3, seed=1)
    half = tally_of(logits.bfloat16(), targets)
    assert half.loss == pytest.approx(tally_of(logits.bfloat16().float(), targets).loss)


def test_an_empty_pass_has_no_scores() -> None:
    tally = Tally(3, CPU)
    assert math.isnan(tally.loss)
    assert math.isnan(tally.accuracy)
    assert math.isnan(tally.macro_f1)


def test_accuracy_and_macro_f1_read_true_classes_from_the_rows() -> None:
    confusion = torch.tensor([[8, 2], [0, 0]])
    assert accuracy(confusion) == pytest.approx(0.8)
    assert macro_f1(confusion) == pytest.approx((2 * 8 / 18 + 0) / 2)


def test_log_probabilities_are_those_of_the_network_picture_by_picture_in_the_order_of_the_part() -> None:
    recipe, part = tiny_recipe(), toy_pictures(37, 3)
    torch.manual_seed(0)
    model = create_model(recipe, len(part.classes)).eval()
    with torch.no_grad():
        model.get_classifier().weight.mul_(1e3)  # some probabilities are too small for float32
    found = log_probabilities(model, recipe, part, runtime=ON_CPU)
    feed = Feed(part, recipe, ON_CPU, *normalization(model))
    with torch.no_grad():
        logits = torch.cat([model(feed.unchanged(np.array([row]))) for row in range(37)])
    assert found.shape == (37, len(part.classes))
    np.testing.assert_allclose(found, logits.double().log_softmax(dim=1), rtol=1e-3, atol=1e-6)
    assert np.isfinite(found).all()
    assert np.exp(found).min() == 0
    accuracy = evaluate(model, recipe, part, runtime=ON_CPU)["accuracy"]
    assert (found.argmax(axis=1) == part.labels).mean() == accuracy
