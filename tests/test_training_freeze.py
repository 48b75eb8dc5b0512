"""What trains when, at which rate, and with which decay."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spaces.recipe import Freeze, Optim, Recipe
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.checkpoint import Checkpoint
from trainables.loop import TrainData, train
from trainables.models import freeze
from trainables.models.create import create_model

DATA = TrainData(toy_pictures(48, 1), toy_pictures(16, 2))
BATCH_NORM = {"args": {"width": 8, "blocks": 2, "dense": 16, "batch_norm": True}}


def states(recipe: Recipe, epochs: int) -> list[Checkpoint]:
    """The state of a training after each epoch; before it there is that of its first weights."""
    found: list[Checkpoint] = []
    train(
        recipe,
        DATA,
        lambda metrics, checkpoint: found.append(copy.deepcopy(checkpoint)),
        runtime=CPU,
        epochs=epochs,
    )
    return found


def start(recipe: Recipe) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return create_model(recipe, 3).state_dict()


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("then", ["all", "last_stage"])
def test_only_the_head_trains_and_then_more(then: str) -> None:
    recipe = tiny_recipe(model=BATCH_NORM, freeze={"epoch": 2, "then": then})
    first, second, third = states(recipe, 3)
    head = {"head.weight", "head.bias"}
    # Frozen batch norms keep their statistics too: nothing but the head moves.
    assert moved(start(recipe), first.model) == head
    assert moved(first.model, second.model) == head
    everything = set(second.model)
    stage = {name for name in everything if name.startswith(("head", "dense", "blocks.1"))}
    assert moved(second.model, third.model) == (everything if then == "all" else stage)


def test_frozen_batch_norms_normalise_with_the_statistics_that_they_keep() -> None:
    model = create_model(tiny_recipe(model=BATCH_NORM), 3)
    images = torch.randn(4, 3, 16, 16)
    model.train()
    freeze.apply(model, Freeze(epoch=1), 1)
    with torch.no_grad():
        alone = torch.cat([model(image[None]) for image in images])
        torch.testing.assert_close(model(images), alone)
    model.train()
    assert freeze.apply(model, Freeze(epoch=1), 2)
    assert all(module.training for module in model.modules())


def test_apply_says_whether_anything_changed() -> None:
    model = create_model(tiny_recipe(), 3)
    assert [freeze.apply(model, Freeze(epoch=2), epoch) for epoch in (1, 2, 3, 4)] == [
        True,
        False,
        True,
        False,
    ]
    assert not freeze.apply(create_model(tiny_recipe(), 3), Freeze(epoch=0), 1)


def test_the_optimizers_state_of_the_head_survives_the_unfreezing() -> None:
    recipe = tiny_recipe(freeze={"epoch": 1})
    first, second = states(recipe, 2)
    steps = {
        place: int(state["step"]) for place, state in second.optimizer["state"].items()
    }  # three steps an epoch
    assert sorted(steps.values()) == [3] * (len(steps) - 2) + [6] * 2
    assert len(first.optimizer["state"]) == 2


def group_of(model: nn.Module, optim: Optim) -> dict[str, dict[str, Any]]:
    """Each parameter's optimizer group, by the parameter's name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = freeze.parameter_groups(model, optim)
    found = [(names[id(parameter)], group) for group in groups for parameter in group["params"]]
    assert len(found) == len(names)
    return dict(found)


def test_head_and_backbone_have_their_own_rates_and_norms_and_biases_no_decay() -> None:
    model = create_model(tiny_recipe(model=BATCH_NORM), 3)
    optim = Optim(lr=0.1, weight_decay=0.05, head_lr_mult=3.0, backbone_lr_mult=0.5)
    for name, group in group_of(model, optim).items():
        assert group["lr"] == pytest.approx(0.3 if name.startswith("head.") else 0.05)
        matrix = name.endswith("weight") and name not in {"blocks.0.1.weight", "blocks.1.1.weight"}
        assert group["weight_decay"] == (0.05 if matrix else 0.0), name


def test_what_a_network_exempts_itself_has_no_decay() -> None:
    args = {"depth": 2, "embed_dim": 24, "num_heads": 2}
    recipe = tiny_recipe(model={"name": "vit_tiny_patch16_224", "args": args}, geometry={"size_px": 32})
    model = create_model(recipe, 3)
    groups = group_of(model, Optim(weight_decay=0.05))
    assert groups["pos_embed"]["weight_decay"] == groups["cls_token"]["weight_decay"] == 0.0
    assert groups["blocks.0.attn.qkv.weight"]["weight_decay"] == 0.05


def test_the_multipliers_move_the_weights_that_they_say() -> None:
    slow = tiny_recipe(optim={"backbone_lr_mult": 1e-9, "weight_decay": 0.0}, steps_per_epoch=1)
    (state,) = states(slow, 1)
    for name, weight in start(slow).items():
        change = (state.model[name] - weight).abs().max()
        assert change > 1e-3 if name.startswith("head.") else change < 1e-6


def test_decay_shrinks_matrices_and_leaves_biases() -> None:
    recipes = [tiny_recipe(optim={"weight_decay": decay}, steps_per_epoch=1) for decay in (0.0, 10.0)]
    (plain,), (decayed,) = (states(recipe, 1) for recipe in recipes)
    before = start(recipes[0])
    for name, weight in plain.model.items():
        expected = weight - (0.01 * 10.0 * before[name] if weight.ndim > 1 else 0.0)  # lr * decay * weight
        torch.testing.assert_close(decayed.model[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("resnet10t", "layer4."),
        ("convnext_atto", ("stages.3.", "head.norm.")),
        ("vit_tiny_patch16_224", ("blocks.11.", "norm.")),
        ("efficientnet_b0", ("blocks.6.", "conv_head.", "bn2.")),
        ("plain_cnn", ("blocks.2.", "dense.")),
        ("vgg4_cnn", ("blocks.3.", "dense.")),
        ("mini_xception", ("blocks.4.", "dense.")),
    ],
)
def test_the_last_stage_is_what_one_would_call_it(name: str, stage: str | tuple[str, ...]) -> None:
    model = create_model(tiny_recipe(model={"name": name, "args": {}}, geometry={"size_px": 64}), 3)
    names, head = {key for key, _ in model.named_parameters()}, freeze.head_parameters(model)
    assert len(head) == 2
    assert freeze.last_stage_parameters(model) == {key for key in names - head if key.startswith(stage)}
