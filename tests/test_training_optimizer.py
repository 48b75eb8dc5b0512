"""The optimizer and its parameter groups, beside timm's and torch's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import trainables.torch_setup  # noqa: F401  (before timm)

from timm.optim import param_groups_layer_decay  # isort: skip

from spaces.recipe import Optim, Recipe
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.checkpoint import Checkpoint
from trainables.loop import TrainData, train
from trainables.models.create import create_model
from trainables.models.optimizer import create_optimizer, parameter_groups, restore
from trainables.models.parts import head_parameters
from trainables.runtime import Runtime

DATA = TrainData(toy_pictures(48, 1), toy_pictures(16, 2))
BATCH_NORM = {"args": {"width": 8, "blocks": 2, "dense": 16, "batch_norm": True}}
NETWORKS = ["test_resnet", "test_convnext", "test_efficientnet", "test_vit", "plain_cnn", "vgg4_cnn"]


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return create_model(tiny_recipe(model={"name": name, "args": {}}, geometry={"size_px": 64}), 3)


def first_step(recipe: Recipe, runtime: Runtime = CPU) -> dict[str, torch.Tensor]:
    """How far the first step of a training moves each parameter."""
    torch.manual_seed(0)
    start = create_model(recipe, 3).state_dict()
    states: list[Checkpoint] = []
    train(
        recipe.model_copy(update={"steps_per_epoch": 1}),
        DATA,
        lambda _, checkpoint: states.append(copy.deepcopy(checkpoint)),
        runtime=runtime,
        epochs=1,
    )
    return {name: states[0].model[name] - weight for name, weight in start.items()}


def group_of(model: nn.Module, optim: Optim) -> dict[str, dict[str, Any]]:
    """Each parameter's optimizer group, by the parameter's name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, optim)
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
    groups = group_of(network("test_vit"), Optim(weight_decay=0.05))
    assert groups["pos_embed"]["weight_decay"] == groups["cls_token"]["weight_decay"] == 0.0
    assert groups["blocks.0.attn.qkv.weight"]["weight_decay"] == 0.05


@pytest.mark.parametrize("name", NETWORKS)
def test_layer_decay_and_weight_decay_are_those_of_timm(name: str) -> None:
    model = network(name)
    exempt = getattr(model, "no_weight_decay", set)()
    theirs = param_groups_layer_decay(model, weight_decay=0.05, no_weight_decay_list=exempt, layer_decay=0.7)
    expected = {id(parameter): group for group in theirs for parameter in group["params"]}
    ours = group_of(model, Optim(lr=0.01, weight_decay=0.05, layer_decay=0.7))
    for key, parameter in model.named_parameters():
        group = expected[id(parameter)]
        assert ours[key]["lr"] == pytest.approx(0.01 * group["lr_scale"]), key
        assert ours[key]["weight_decay"] == group["weight_decay"], key


@pytest.mark.parametrize("name", NETWORKS)
def test_layer_decay_multiplies_with_the_multipliers_and_leaves_the_head(name: str) -> None:
    model = network(name)
    even = group_of(model, Optim(lr=1.0, layer_decay=0.7))
    ours = group_of(model, Optim(lr=1.0, layer_decay=0.7, head_lr_mult=5.0, backbone_lr_mult=0.1))
    head = head_parameters(model)
    for key, group in even.items():
        assert ours[key]["lr"] == pytest.approx(5.0 if key in head else 0.1 * group["lr"])
        assert group["lr"] == 1.0 or key not in head
    assert min(group["lr"] for group in even.values()) < 0.7**2


def test_the_multipliers_move_the_weights_that_they_say() -> None:
    moves = first_step(tiny_recipe(optim={"backbone_lr_mult": 1e-9, "weight_decay": 0.0}))
    for name, move in moves.items():
        change = move.abs().max()
        assert change > 1e-3 if name.startswith("head.") else change < 1e-6


def test_decay_shrinks_matrices_and_leaves_biases() -> None:
    torch.manual_seed(0)
    start = create_model(tiny_recipe(), 3).state_dict()
    plain, decayed = (first_step(tiny_recipe(optim={"weight_decay": decay})) for decay in (0.0, 10.0))
    for name, move in plain.items():
        expected = move - (0.01 * 10.0 * start[name] if move.ndim > 1 else 0.0)  # lr * decay * weight
        torch.testing.assert_close(decayed[name], expected, rtol=1e-4, atol=1e-6)


def test_names_are_timms_and_momentum_goes_where_there_is_one() -> None:
    model = network("plain_cnn")
    sgd = create_optimizer(model, Optim(name="sgd", momentum=0.8))
    assert isinstance(sgd, torch.optim.SGD)
    assert all(group["nesterov"] and group["momentum"] == 0.8 for group in sgd.param_groups)
    adamw = create_optimizer(model, Optim(name="adamw", momentum=0.8))
    assert isinstance(adamw, torch.optim.AdamW)
    assert all(group["betas"] == (0.9, 0.999) for group in adamw.param_groups)
    for name in ("lamb", "lion", "nadamw", "adan", "muon", "rmsprop"):
        created = create_optimizer(model, Optim(name=name))
        assert name in type(created).__name__.lower() or name == "nadamw"


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_torchs_with_nesterovs_momentum(momentum: float) -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    ours.get_classifier = lambda: ours[1]  # type: ignore[assignment]
    theirs = copy.deepcopy(ours)
    optimizers = [
        create_optimizer(ours, Optim(name="sgd", lr=0.1, momentum=momentum, weight_decay=0.0)),
        torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=momentum, nesterov=momentum > 0),
    ]
    for _ in range(4):
        images = torch.randn(5, 4)
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            model(images).square().sum().backward()
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_clipping_limits_the_norm_of_the_true_gradient(precision: Any) -> None:
    # In half precision the loss is scaled up by 65,536: clipping what is scaled would leave nothing.
    runtime = Runtime(device="cpu", threads=1, precision=precision)

    def norm(clip: float | None) -> float:
        optim = {"name": "sgd", "momentum": 0.0, "lr": 1.0, "weight_decay": 0.0, "clip_norm": clip}
        moves = first_step(tiny_recipe(optim=optim), runtime)
        return float(torch.cat([move.flatten() for move in moves.values()]).norm())

    free = norm(None)
    assert norm(free / 4) == pytest.approx(free / 4, rel=1e-2)
    assert norm(free * 4) == pytest.approx(free, rel=1e-2)


@pytest.mark.parametrize(("saved", "here"), [(True, False), (False, True), (None, True)])
def test_a_state_is_taken_over_whether_either_optimizer_is_fused_or_not(
    saved: bool | None, here: bool
) -> None:
    def optimizer(fused: bool | None) -> torch.optim.AdamW:
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        made = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=fused)
        layer(torch.ones(1, 3)).sum().backward()
        made.step()
        return made

    before, after = optimizer(saved), optimizer(here)
    state = before.state_dict()
    state["param_groups"][0]["lr"] = 0.07
    restore(after, state)
    (group,) = after.param_groups
    assert (group["fused"], group["lr"]) == (here, 0.07)
    for mine, theirs in zip(after.state.values(), before.state.values(), strict=True):
        torch.testing.assert_close(mine["exp_avg"], theirs["exp_avg"])
    after.step()
