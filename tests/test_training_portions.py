"""Batches that go through a device in portions, because its memory does not hold them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spaces.recipe import Loss
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.feed import Batch
from trainables.loop import TrainData, train
from trainables.loss import TrainingLoss
from trainables.portions import Portions
from trainables.runtime import Runtime
from trainables.step import LEAST_NORMALISED, Step


def sizes(portions: list[slice]) -> list[int]:
    return [portion.stop - portion.start for portion in portions]


@pytest.mark.parametrize("pictures", [1, 2, 7, 16, 63, 64, 65])
@pytest.mark.parametrize("at_once", [None, 1, 3, 16, 64, 1000])
@pytest.mark.parametrize("least", [1, 2, 16])
def test_portions_hold_every_picture_once_and_differ_by_one_at_most(
    pictures: int, at_once: int | None, least: int
) -> None:
    portions = Portions(at_once, least=least).of(pictures)
    assert [row for portion in portions for row in range(portion.start, portion.stop)] == list(
        range(pictures)
    )
    assert max(sizes(portions)) - min(sizes(portions)) <= 1
    assert min(sizes(portions)) >= min(least, pictures)
    if least == 1 and at_once is not None:
        assert max(sizes(portions)) <= at_once


class Device:
    """One whose memory holds so many pictures."""

    def __init__(self, holds: int) -> None:
        self.holds = holds
        self.tried: list[list[int]] = []

    def __call__(self, portions: list[slice]) -> list[int]:
        self.tried.append(sizes(portions))
        if max(sizes(portions)) > self.holds:
            raise torch.OutOfMemoryError("too much")
        return sizes(portions)


def test_portions_are_halved_until_they_fit_and_stay_so() -> None:
    device, portions = Device(holds=20), Portions()
    assert portions.fitted(64, device) == [16, 16, 16, 16]
    assert device.tried == [[64], [32, 32], [16] * 4]
    assert portions.fitted(64, device) == [16] * 4
    assert portions.fitted(33, device) == [11, 11, 11]
    assert len(device.tried) == 5


@pytest.mark.parametrize(("least", "smallest"), [(1, 1), (16, 16), (24, 25)])
def test_what_not_even_the_smallest_portions_hold_is_an_error(least: int, smallest: int) -> None:
    device = Device(holds=0)
    with pytest.raises(torch.OutOfMemoryError):
        Portions(least=least).fitted(50 if least == 24 else 64, device)
    assert max(device.tried[-1]) == smallest


# --- steps ------------------------------------------------------------------------------------------------


def batch(count: int = 48, *, mixed: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, 8, 8, generator=generator)
    labels = torch.randint(0, 3, (count,), generator=generator)
    targets = torch.rand(count, 3, generator=generator).softmax(1) if mixed else None
    return Batch(images, labels, targets, count)


def network(norm: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(288, 3))


def step_of(model: nn.Module, runtime: Runtime, clip_norm: float | None = None) -> Step:
    loss = TrainingLoss(Loss(label_smoothing=0.1), np.zeros(3, np.int64), 3, torch.device("cpu"))
    return Step(model, loss, torch.optim.SGD(model.parameters(), lr=0.1), runtime, clip_norm=clip_norm)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("clip_norm", [None, 0.01])
def test_without_batch_norm_portions_move_the_weights_as_the_whole_batch_does(
    mixed: bool, clip_norm: float | None
) -> None:
    whole, cut = network(nn.GroupNorm(2, 8)), network(nn.GroupNorm(2, 8))
    said = step_of(whole, CPU, clip_norm)(whole, batch(mixed=mixed))
    said_cut = step_of(cut, Runtime(device="cpu", at_once=7), clip_norm)(cut, batch(mixed=mixed))
    torch.testing.assert_close(said_cut, said)
    for mine, theirs in zip(cut.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_with_batch_norm_a_batch_in_portions_still_counts_as_one_step_for_its_statistics() -> None:
    # Portions with the same pictures have the same statistics as the whole, but for the variance's n - 1.
    part = batch(16)
    twice = Batch(part.images.repeat(3, 1, 1, 1), part.labels.repeat(3), None, 48)
    norms = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
    for norm, at_once in zip(norms, (None, 16), strict=True):
        model = network(norm)
        step = step_of(model, Runtime(device="cpu", at_once=at_once))
        step(model, twice)
        step(model, Batch(part.images, part.labels, None, 16))  # a small batch has its whole momentum again
    whole, cut = norms
    assert whole.running_mean is not None
    assert cut.running_mean is not None
    torch.testing.assert_close(cut.running_mean, whole.running_mean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(cut.running_var, whole.running_var, rtol=1e-3, atol=1e-3)
    assert cut.momentum == pytest.approx(0.1)


class Hungry(nn.Module):
    """Has memory for so many pictures; remembers how many came."""

    def __init__(self, holds: int) -> None:
        super().__init__()
        self.holds, self.seen = holds, list[int]()

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        if len(images) > self.holds:
            raise torch.OutOfMemoryError("too much")
        return images


def test_when_memory_runs_out_the_step_is_taken_all_the_same() -> None:
    calm, hungry = network(nn.Identity()), network(Hungry(holds=13))
    step_of(calm, CPU)(calm, batch())
    logits = step_of(hungry, CPU)(hungry, batch())
    assert logits.shape == (48, 3)
    assert not logits.requires_grad
    assert hungry[1].seen == [48, 24, 12, 12, 12, 12]
    for mine, theirs in zip(hungry.parameters(), calm.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_batch_norm_gets_no_portions_of_too_few() -> None:
    model = network(nn.Sequential(Hungry(holds=10), nn.BatchNorm2d(8)))
    with pytest.raises(torch.OutOfMemoryError):
        step_of(model, CPU)(model, batch(64))
    assert model[1][0].seen == [64, 32, LEAST_NORMALISED]


@pytest.fixture
def small_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A device that has memory for 20 pictures a forward pass: how many came each time."""
    seen: list[int] = []

    def watched(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        # A network that is being made tries itself on a single picture.
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and len(inputs[0]) > 1:
            seen.append(len(inputs[0]))
            if len(inputs[0]) > 20:
                raise torch.OutOfMemoryError("too much")

    hook = nn.modules.module.register_module_forward_pre_hook(watched)
    yield seen
    hook.remove()


def test_a_training_short_of_memory_gets_through_with_the_same_effective_batch(
    small_device: list[int],
) -> None:
    data = TrainData(toy_pictures(96, 1), toy_pictures(48, 2))
    recipe = tiny_recipe(optim={"batch_size": 48})
    reports: list[dict[str, float]] = []
    train(recipe, data, lambda metrics, state: reports.append(copy.copy(metrics)), runtime=CPU, epochs=3)
    assert small_device[:6] == [48, 24, 12, 12, 12, 12]
    assert small_device[6:10] == [12] * 4
    assert small_device[10:14] == [48, 24, 12, 12]  # validation learns for itself how much fits
    small_device.clear()

    calm: list[dict[str, float]] = []
    at_once = Runtime(device="cpu", threads=1, at_once=12)
    train(recipe, data, lambda metrics, state: calm.append(copy.copy(metrics)), runtime=at_once, epochs=3)
    # Only the numbers of dropout would differ, and there is none.
    assert [epoch["at_once"] for epoch in reports] == [12, 12, 12]
    assert [epoch["val_loss"] for epoch in reports] == pytest.approx([epoch["val_loss"] for epoch in calm])
    assert reports[-1]["train_loss"] < reports[0]["train_loss"]
