"""What a training costs, measured by a few steps of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from spaces.recipe import Recipe
from tests.toy_pictures import CPU, tiny_recipe
from trainables.cost import STEPS, measure


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many pictures each forward pass in training had, and whether the first layer was frozen."""
    seen: list[int] = []

    def watched(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and module.training:
            seen.append(len(inputs[0]))
            assert module.weight.requires_grad
            if len(inputs[0]) > 20:
                raise torch.OutOfMemoryError("too much")

    hook = nn.modules.module.register_module_forward_pre_hook(watched)
    yield seen
    hook.remove()


@pytest.mark.parametrize(
    "recipe",
    [
        tiny_recipe(freeze={"epoch": 5}, model={"pretrained": True}),
        tiny_recipe(geometry={"size_px": 32, "start_px": 16}, steps_per_epoch=500, keep="best"),
        tiny_recipe(schedule={"name": "plateau"}, loss={"balance": "sampling"}, patience_epochs=1),
    ],
)
def test_whatever_a_recipe_asks_for_a_few_steps_of_whole_batches_are_taken(
    recipe: Recipe, steps: list[int]
) -> None:
    cost = measure(recipe, 3, CPU)
    assert steps[-3 * STEPS :] == [16] * (3 * STEPS)
    assert cost.images_per_s > 0
    assert (cost.busy, cost.memory_bytes, cost.device_bytes, cost.at_once) == (1.0, 0, 0, None)


def test_it_tells_how_many_pictures_memory_holds(steps: list[int]) -> None:
    assert measure(tiny_recipe(optim={"batch_size": 64}), 3, CPU).at_once == 16
