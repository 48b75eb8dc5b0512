"""What trains when, at what cost, and by which grouping."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spaces.recipe import Freeze, Recipe
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.checkpoint import Checkpoint
from trainables.loop import TrainData, train
from trainables.models import freeze
from trainables.models.create import create_model
from trainables.models.parts import blocks_behind, head_parameters, stages

DATA = TrainData(toy_pictures(48, 1), toy_pictures(16, 2))
BATCH_NORM = {"args": {"width": 8, "blocks": 2, "dense": 16, "batch_norm": True}}

STAGES: dict[str, list[str | tuple[str, ...]]] = {
    "test_resnet": [("conv1", "bn1"), "layer1.", "layer2.", "layer3.", "layer4."],
    "test_convnext": ["stem.", "stages.0.", "stages.1.", "stages.2.", ("stages.3.", "head.norm.")],
    "test_efficientnet": [
        ("conv_stem", "bn1"),
        *(f"blocks.{place}." for place in range(4)),
        ("blocks.4.", "conv_head", "bn2"),
    ],
    "test_vit": [
        ("cls_token", "pos_embed", "patch_embed"),
        *(f"blocks.{place}." for place in range(5)),
        ("blocks.5.", "norm."),
    ],
    "plain_cnn": ["blocks.0.", "blocks.1.", ("blocks.2.", "dense.")],
    "vgg4_cnn": ["blocks.0.", "blocks.1.", "blocks.2.", ("blocks.3.", "dense.")],
    "small_resnet": [("conv1", "bn1"), "layer1.", "layer2.", "layer3.", "layer4."],
    "binary_cnn": [("blocks.0.", "dense.")],
    "mini_xception": [*(f"blocks.{place}." for place in range(4)), ("blocks.4.", "dense.")],
}
"""How the names of each stage's parameters begin, from the stem on."""
LAST_STAGE = {
    "test_resnet": "layer4",
    "test_convnext": "stages.3",
    "test_efficientnet": "blocks.4",
    "test_vit": "blocks.5",
    "plain_cnn": "blocks.2",
}
"""The last stage's first module."""


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    args = {"width": 8, "dense": 16} if name in ("plain_cnn", "vgg4_cnn", "mini_xception") else {}
    return create_model(tiny_recipe(model={"name": name, "args": args}, geometry={"size_px": 64}), 3)


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


def at(model: nn.Module, plan: Freeze, epoch: int) -> nn.Module:
    """The network as it trains during an epoch."""
    model.train()
    freeze.apply(model, plan, epoch)
    return model


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", STAGES)
def test_stages_are_what_one_would_call_them(name: str) -> None:
    model = network(name)
    found, head = stages(model), head_parameters(model)
    assert len(head) == 2
    body = {key for key, _ in model.named_parameters()} - head
    expected = [{key for key in body if key.startswith(prefix)} for prefix in STAGES[name]]
    assert found == expected
    assert sum(map(len, found)) == len(body)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet", "test_vit"])
def test_a_dense_layer_in_the_head_trains_with_the_head(name: str) -> None:
    recipe = tiny_recipe(model={"name": name, "head_dense": 8, "args": {}}, geometry={"size_px": 64})
    model = create_model(recipe, 3)
    alone = trained(at(model, Freeze(epoch=1), 1))
    assert sorted(dict(model.named_parameters())[key].shape[0] for key in alone) == [3, 3, 8, 8]
    assert stages(model) == stages(network(name))


def test_a_norm_that_timm_counts_as_a_group_is_no_stage_of_its_own() -> None:
    with torch.device("meta"):
        found = stages(network("vgg11_bn"))
    assert len(found) == 9  # eight convolutions with their norms, and the dense layers
    assert found[0] == {f"features.{place}.{kind}" for place in (0, 1) for kind in ("weight", "bias")}


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("mobilenetv3_small_050", ("blocks.5.", "conv_head.")),  # timm: the head's group
        ("mobilenetv4_conv_small", ("blocks.4.", "conv_head.", "norm_head.")),  # the same, with a norm
        ("efficientnet_b0", ("blocks.6.", "conv_head.", "bn2.")),  # timm: the last blocks' group
    ],
)
def test_the_convolution_that_widens_the_channels_is_no_stage_of_its_own(
    name: str, last: tuple[str, ...]
) -> None:
    with torch.device("meta"):
        model = network(name)
    assert stages(model)[-1] == {key for key, _ in model.named_parameters() if key.startswith(last)}


def test_a_network_that_says_nothing_of_its_groups_has_stages_too() -> None:
    model = network("pit_ti_224")
    assert not hasattr(model, "group_matcher")
    body = {key for key, _ in model.named_parameters()} - head_parameters(model)
    assert set().union(*stages(model)) == body
    assert len(stages(model)) > 4
    assert blocks_behind(model).keys() == {key for key, _ in model.named_parameters()}
    assert (
        trained(at(model, Freeze(epoch=1, then="last_stage"), 2))
        == head_parameters(model) | (stages(model)[-1])
    )


@pytest.mark.parametrize("then", ["all", "last_stage", "last_two_stages"])
@pytest.mark.parametrize("name", STAGES)
def test_the_head_trains_alone_and_then_the_plan_says_what_joins(name: str, then: str) -> None:
    model, plan = network(name), Freeze.model_validate({"epoch": 3, "then": then})
    head, parts = head_parameters(model), stages(model)
    for epoch in (1, 2, 3):
        assert trained(at(model, plan, epoch)) == head
    joined = {"all": len(parts), "last_stage": 1, "last_two_stages": 2}[then]
    for epoch in (4, 100):
        assert trained(at(model, plan, epoch)) == head.union(*parts[-joined:])


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_gradual_unfreezing_adds_stages_evenly_from_the_last_until_all_train_at_epoch_2k(
    name: str, k: int
) -> None:
    model, plan = network(name), Freeze(epoch=k, then="gradual")
    head, parts = head_parameters(model), stages(model)
    for epoch in range(1, 2 * k + 2):
        joined = min(len(parts), max(0, math.ceil((epoch - k) * len(parts) / k)))
        expected = head.union(*parts[len(parts) - joined :])
        assert freeze.trained_parameters(model, plan, epoch) == expected
    assert trained(at(model, plan, 2 * k)) == {key for key, _ in model.named_parameters()}


@pytest.mark.parametrize("then", ["all", "last_stage"])
def test_nothing_but_what_trains_moves_statistics_included(then: str) -> None:
    recipe = tiny_recipe(model=BATCH_NORM, freeze={"epoch": 2, "then": then})
    first, second, third = states(recipe, 3)
    head = {"head.weight", "head.bias"}
    assert moved(start(recipe), first.model) == head
    assert moved(first.model, second.model) == head
    everything = set(second.model)
    stage = {name for name in everything if name.startswith(("head", "dense", "blocks.1"))}
    assert moved(second.model, third.model) == (everything if then == "all" else stage)


def test_frozen_batch_norms_normalise_with_the_statistics_that_they_keep() -> None:
    model = create_model(tiny_recipe(model=BATCH_NORM), 3)
    images = torch.randn(4, 3, 16, 16)
    at(model, Freeze(epoch=1), 1)
    with torch.no_grad():
        alone = torch.cat([model(image[None]) for image in images])
        torch.testing.assert_close(model(images), alone)
    at(model, Freeze(epoch=1), 2)
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_batch_norms_wake_with_their_stage(name: str) -> None:
    model = network(name)
    norms = {key: module for key, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    for plan, epoch in ((Freeze(epoch=1), 1), (Freeze(epoch=1, then="last_stage"), 2)):
        at(model, plan, epoch)
        awake = {key for key, norm in norms.items() if norm.training}
        assert awake == {key for key in norms if f"{key}.weight" in trained(model)}
        assert len(awake) < len(norms)


def test_apply_says_whether_anything_changed() -> None:
    def changes(plan: Freeze, epochs: int) -> list[bool]:
        model = network("test_resnet")
        return [freeze.apply(model, plan, epoch) for epoch in range(1, epochs + 1)]

    assert changes(Freeze(epoch=2), 4) == [True, False, True, False]
    assert changes(Freeze(epoch=2, then="gradual"), 5) == [True, False, True, True, False]
    assert changes(Freeze(epoch=0), 2) == [False, False]


@contextmanager
def hearing(module: nn.Module) -> Iterator[list[Tensor]]:
    """What goes into a module."""
    heard: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    yield heard
    handle.remove()


@pytest.mark.parametrize("name", LAST_STAGE)
def test_what_rests_records_no_graph(name: str) -> None:
    model, images = network(name), torch.randn(2, 3, 64, 64)
    last, head = model.get_submodule(LAST_STAGE[name]), model.get_classifier()  # type: ignore[operator]
    with hearing(last) as into_last, hearing(head) as into_head:
        at(model, Freeze(epoch=1, then="last_stage"), 1)(images)
        assert into_head[0].grad_fn is None
        at(model, Freeze(epoch=1, then="last_stage"), 2)(images)
        assert into_last[1].grad_fn is None
        assert into_head[1].grad_fn is not None


@pytest.mark.parametrize("name", LAST_STAGE)
def test_a_frozen_step_computes_far_less_than_60_percent(name: str) -> None:
    model, images = network(name), torch.randn(2, 3, 64, 64)

    def flops(plan: Freeze, epoch: int) -> int:
        at(model, plan, epoch)
        with FlopCounterMode(display=False) as counter:
            model(images).sum().backward()
        return counter.get_total_flops()

    whole = flops(Freeze(epoch=1), 2)
    assert flops(Freeze(epoch=1), 1) < 0.4 * whole
    assert flops(Freeze(epoch=1, then="last_stage"), 2) < 0.8 * whole


def test_gradients_of_the_last_stage_are_those_of_the_whole_network() -> None:
    images = torch.randn(2, 3, 64, 64)
    gradients = []
    for plan in (Freeze(), Freeze(epoch=1, then="last_stage")):
        model = at(network("test_vit"), plan, 2)
        model(images).square().sum().backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    whole, part = gradients
    for name, gradient in part.items():
        if name.startswith(("head.", "norm.", "blocks.5.")):
            torch.testing.assert_close(gradient, whole[name])
        else:
            assert gradient is None


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_optimizers_state_survives_the_unfreezing(name: str) -> None:
    # No rate, so that gradients stay what they are: the momentum's course shows whether it was kept.
    optim = {"name": name, "lr": 1e-30, "weight_decay": 0.0, "batch_size": 48}
    recipe = tiny_recipe(optim=optim, freeze={"epoch": 2, "then": "gradual"})
    found = states(recipe, 5)
    key = "exp_avg" if name == "adamw" else "momentum_buffer"
    for place in found[0].optimizer["state"]:
        course = [state.optimizer["state"][place][key] for state in found]
        gradient = course[0] * (10 if name == "adamw" else 1)
        for before, after in itertools.pairwise(course):
            grown = 0.9 * before + gradient * (0.1 if name == "adamw" else 1)
            torch.testing.assert_close(after, grown, rtol=1e-3, atol=1e-6)
    assert [len(state.optimizer["state"]) for state in found] == [2, 2, 6, 8, 8]
