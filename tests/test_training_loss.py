"""The loss against torch's, timm's and torchvision's."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import trainables.torch_setup  # noqa: F401  (before timm and torchvision)

from timm.loss import SoftTargetCrossEntropy  # isort: skip
from torchvision.ops import sigmoid_focal_loss  # isort: skip

from spaces.recipe import Loss
from tests.toy_pictures import CPU, ToyPictures, tiny_recipe, toy_pictures
from trainables.balance import class_weights, log_prior
from trainables.loop import TrainData, train
from trainables.loss import TrainingLoss
from trainables.models.create import class_logits

CLASSES = 5
PICTURES = np.repeat(np.arange(CLASSES), [60, 25, 10, 4, 1])
"""Labels of an uneven training part."""


def loss_of(**fields: Any) -> TrainingLoss:
    return TrainingLoss(Loss(**fields), PICTURES, CLASSES, torch.device("cpu"))


def batch(seed: int = 0, classes: int = CLASSES) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels, and soft targets that mix each label with another."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(40, classes, generator=generator)
    labels = torch.randint(0, classes, (40,), generator=generator)
    share = torch.rand(40, 1, generator=generator)
    hot = F.one_hot(labels, classes).float()
    return logits, labels, share * hot + (1 - share) * hot.roll(1, dims=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    logits, labels, targets = batch()
    loss = loss_of(label_smoothing=smoothing)
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(loss(logits, labels), expected)
    expected = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(loss(logits, labels, targets), expected)


def test_cross_entropy_of_soft_targets_is_timms() -> None:
    logits, labels, targets = batch()
    expected = SoftTargetCrossEntropy()(logits, targets) * len(labels)
    torch.testing.assert_close(loss_of()(logits, labels, targets), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_output_is_trained_by_binary_cross_entropy(smoothing: float) -> None:
    torch.manual_seed(0)
    outputs, labels = 4 * torch.randn(30, 1), torch.randint(0, 2, (30,))
    loss = TrainingLoss(
        Loss(name="sigmoid", label_smoothing=smoothing), labels.numpy(), 2, torch.device("cpu")
    )
    expected = F.binary_cross_entropy_with_logits(
        outputs[:, 0], labels * (1 - smoothing) + smoothing / 2, reduction="sum"
    )
    torch.testing.assert_close(loss(class_logits(outputs), labels), expected)


def test_focal_loss_at_gamma_0_is_cross_entropy() -> None:
    logits, labels, _ = batch()
    focal = loss_of(name="focal", gamma=0.0)(logits, labels)
    torch.testing.assert_close(focal, F.cross_entropy(logits, labels, reduction="sum"))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_loss_is_its_formula(gamma: float) -> None:
    logits, labels, _ = batch()
    right = logits.double().softmax(1)[torch.arange(len(labels)), labels]
    expected = -((1 - right) ** gamma * right.log()).sum()
    focal = loss_of(name="focal", gamma=gamma)(logits, labels)
    torch.testing.assert_close(focal.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_of_two_classes_is_torchvisions(gamma: float) -> None:
    torch.manual_seed(0)
    outputs, labels = 3 * torch.randn(30), torch.randint(0, 2, (30,))
    loss = TrainingLoss(Loss(name="focal", gamma=gamma), labels.numpy(), 2, torch.device("cpu"))
    expected = sigmoid_focal_loss(outputs, labels.float(), alpha=-1, gamma=gamma, reduction="sum")
    torch.testing.assert_close(loss(class_logits(outputs[:, None]), labels), expected)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("margin", [-500.0, 0.0, 15.0, 17.0, 500.0])
def test_focal_loss_has_a_finite_gradient_however_sure_the_network_is(gamma: float, margin: float) -> None:
    logits = torch.tensor([[margin, 0.0, 0.0, 0.0, 0.0]], requires_grad=True)
    loss = loss_of(name="focal", gamma=gamma)(logits, torch.tensor([0]))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_class_weights_are_those_of_torch() -> None:
    logits, labels, targets = batch()
    weights = torch.tensor(class_weights(PICTURES, CLASSES), dtype=torch.float32)
    loss = loss_of(balance="class_weights")
    for aim in (labels, targets):
        expected = F.cross_entropy(logits, aim, weight=weights, reduction="sum")
        torch.testing.assert_close(loss(logits, labels, None if aim is labels else aim), expected)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_a_weighted_picture_counts_as_its_class_weighs(name: str) -> None:
    logits = batch()[0]
    smoothing = 0.1 if name == "cross_entropy" else 0.0
    plain, weighted = (
        loss_of(name=name, label_smoothing=smoothing, balance=balance)
        for balance in ("none", "class_weights")
    )
    for kind, weight in enumerate(class_weights(PICTURES, CLASSES)):
        of_kind = logits[:1], torch.tensor([kind])
        torch.testing.assert_close(weighted(*of_kind), weight * plain(*of_kind), check_dtype=False)


def test_smoothing_does_not_make_a_rare_class_the_answer_to_everything() -> None:
    # To a picture of the largest class, the answers: that class, and the smallest one.
    right, wrong = 8 * torch.eye(CLASSES)[[0]], 8 * torch.eye(CLASSES)[[4]]
    label = torch.tensor([0])
    loss = loss_of(label_smoothing=0.2, balance="class_weights")
    assert loss(right, label) < loss(wrong, label)
    weights = torch.tensor(class_weights(PICTURES, CLASSES), dtype=torch.float32)
    of_torch = functools.partial(F.cross_entropy, weight=weights, label_smoothing=0.2, reduction="sum")
    assert of_torch(right, label) > of_torch(wrong, label)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("balance", ["none", "class_weights", "logit_adjustment"])
def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses(balance: str, smoothing: float) -> None:
    logits, labels, _ = batch()
    partners, share = labels.roll(1), torch.linspace(0, 1, len(labels))[:, None]
    targets = share * F.one_hot(labels, CLASSES) + (1 - share) * F.one_hot(partners, CLASSES)
    loss = loss_of(balance=balance, label_smoothing=smoothing)
    for row, part in enumerate(share[:, 0]):
        one = logits[row : row + 1]
        mixed = part * loss(one, labels[row : row + 1]) + (1 - part) * loss(one, partners[row : row + 1])
        torch.testing.assert_close(loss(one, labels[row : row + 1], targets[row : row + 1]), mixed)


def test_logit_adjustment_adds_the_logarithm_of_the_classes_shares() -> None:
    logits, labels, targets = batch()
    prior = torch.tensor(log_prior(PICTURES, CLASSES), dtype=torch.float32)
    loss = loss_of(balance="logit_adjustment")
    expected = F.cross_entropy(logits + prior, labels, reduction="sum")
    torch.testing.assert_close(loss(logits, labels), expected)
    expected = F.cross_entropy(logits + prior, targets, reduction="sum")
    torch.testing.assert_close(loss(logits, labels, targets), expected)


@pytest.mark.parametrize("balance", ["class_weights", "logit_adjustment"])
def test_of_pictures_that_say_nothing_a_balanced_loss_learns_even_chances(balance: str) -> None:
    bias = torch.zeros(CLASSES, requires_grad=True)
    labels, loss = torch.from_numpy(PICTURES), loss_of(balance=balance)
    optimizer = torch.optim.LBFGS([bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(bias.expand(len(labels), -1), labels) / len(labels)
        value.backward()
        return value

    optimizer.step(closure)
    torch.testing.assert_close(bias.softmax(0), torch.full((CLASSES,), 1 / CLASSES), rtol=0, atol=1e-3)


@pytest.mark.parametrize("balance", ["none", "class_weights", "logit_adjustment"])
def test_shares_of_a_batch_add_up_to_the_batch(balance: str) -> None:
    logits, labels, targets = batch()
    loss = loss_of(balance=balance, label_smoothing=0.1)
    shares = [loss(logits[rank::3], labels[rank::3], targets[rank::3]) for rank in range(3)]
    torch.testing.assert_close(sum(shares), loss(logits, labels, targets))


def test_a_class_without_pictures_leaves_everything_finite() -> None:
    logits, _, _ = batch()
    for balance in ("class_weights", "logit_adjustment"):
        loss = TrainingLoss(
            Loss(balance=balance, label_smoothing=0.1), np.array([0, 1, 1]), CLASSES, torch.device("cpu")
        )
        assert torch.isfinite(loss(logits, torch.zeros(40, dtype=torch.int64)))


def uneven(count: int, seed: int, classes: int) -> ToyPictures:
    """Toy pictures, of which nine in ten of the last class are left out."""
    whole = toy_pictures(count, seed, classes=classes)
    kept = (whole.labels < classes - 1) | (np.arange(count) % 10 == 0)
    return ToyPictures(whole.pixels[kept], whole.labels[kept], whole.classes)


LOSSES: list[dict[str, Any]] = [
    {"name": "focal"},
    {"name": "focal", "gamma": 0.5, "balance": "class_weights"},
    {"label_smoothing": 0.1, "balance": "class_weights"},
    {"balance": "sampling"},
    {"label_smoothing": 0.1, "balance": "logit_adjustment"},
]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_what_is_reported_of_the_training_stays_plain_cross_entropy(loss: dict[str, Any]) -> None:
    def reported(loss: dict[str, Any]) -> list[float]:
        found: list[dict[str, float]] = []
        recipe = tiny_recipe(loss=loss, optim={"lr": 1e-30})  # the weights stay where they are
        data = TrainData(uneven(60, 1, 3), uneven(30, 2, 3))
        train(recipe, data, lambda metrics, _: found.append(metrics), runtime=CPU, epochs=1)
        names = ["val_loss", "val_accuracy"]
        if loss.get("balance") != "sampling":  # other pictures are trained on
            names += ["train_loss", "train_accuracy"]
        return [found[0][name] for name in names]

    assert reported(loss) == pytest.approx(reported({})[: len(reported(loss))], rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_every_loss_learns_uneven_classes(loss: dict[str, Any]) -> None:
    data = TrainData(uneven(120, 1, 3), toy_pictures(48, 2))
    found: list[dict[str, float]] = []
    train(tiny_recipe(loss=loss), data, lambda metrics, _: found.append(metrics), runtime=CPU, epochs=8)
    assert found[-1]["val_macro_f1"] > 0.9


def test_one_output_learns_two_classes() -> None:
    data = TrainData(toy_pictures(96, 1, classes=2), toy_pictures(48, 2, classes=2))
    found: list[dict[str, float]] = []
    recipe = tiny_recipe(loss={"name": "sigmoid", "label_smoothing": 0.05})
    model = train(recipe, data, lambda metrics, _: found.append(metrics), runtime=CPU, epochs=5)
    assert found[-1]["val_accuracy"] > 0.95
    assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 1)
