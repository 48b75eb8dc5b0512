"""Stems for small pictures, dense heads, pooling and stochastic depth, on our networks and on timm's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import trainables.models  # (before timm: see trainables.torch_setup)

import timm  # isort: skip
from timm.layers import DropPath  # isort: skip

from spaces.families import FAMILIES
from spaces.recipe import Recipe
from tests.toy_pictures import tiny_recipe
from trainables.models.adapted import ADAPTED, adapt
from trainables.models.create import create_model, creation
from trainables.models.errors import ModelError
from trainables.models.parts import head_parameters, stages

assert trainables.models.__all__

STEMS = {
    "resnet10t": 4,  # three convolutions, of which the first has the stride
    "test_resnet": 4,
    "resnetv2_18d": 4,
    "densenet121": 4,
    "test_efficientnet": 2,
    "mobilenetv3_small_050": 2,
    "regnetx_002": 2,
}
"""How much larger feature maps are with the small stem."""
HEADS = [
    "small_resnet",
    "test_resnet",
    "test_efficientnet",
    "test_convnext",
    "test_vit",
    "mobilenetv3_small_050",
]


def recipe(name: str, size_px: int = 64, **model: Any) -> Recipe:
    return tiny_recipe(model={"name": name, "args": {}, **model}, geometry={"size_px": size_px})


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def features(model: Any, size_px: int) -> torch.Size:
    with torch.no_grad():
        return model.eval().forward_features(torch.randn(1, 3, size_px, size_px)).shape


@pytest.mark.parametrize("name", STEMS)
def test_the_small_stem_enlarges_feature_maps_and_leaves_every_weight_its_name_and_shape(name: str) -> None:
    standard, small = create_model(recipe(name), 3), create_model(recipe(name, stem="small"), 3)
    batch, channels, height, width = features(standard, 64)
    factor = STEMS[name]
    assert features(small, 64) == (batch, channels, factor * height, factor * width)
    small.load_state_dict(standard.state_dict())
    assert type(small) is type(standard)


def test_a_resnet_with_the_small_stem_ends_at_4x4_for_32_px() -> None:
    assert features(create_model(recipe("resnet18"), 3), 32)[-2:] == (1, 1)
    assert features(create_model(recipe("resnet18", stem="small"), 3), 32)[-2:] == (4, 4)


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "plain_cnn", "small_resnet"])
def test_a_network_without_early_downsampling_has_no_small_stem(name: str) -> None:
    with pytest.raises(ModelError, match=rf"{name}' .*cannot be made: it has no stem .*model\.stem: small"):
        create_model(recipe(name, stem="small"), 3)


@pytest.mark.parametrize("name", HEADS)
def test_a_dense_head_is_a_dense_layer_relu_dropout_and_the_last_layer(name: str) -> None:
    plain = create_model(recipe(name), 3)
    model = create_model(recipe(name, head_dense=20, drop_rate=0.4), 3)
    head = model.get_classifier()
    assert [type(layer) for layer in head] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    inputs = plain.get_classifier().in_features
    widths = [(layer.in_features, layer.out_features) for layer in head if isinstance(layer, nn.Linear)]
    assert widths == [(inputs, 20), (20, 3)]
    # The rest of the network is as it was, without the dropout that now is in the head.
    body = {key: value for key, value in plain.state_dict().items() if key not in head_parameters(plain)}
    assert body.keys() == model.state_dict().keys() - head_parameters(model)
    model.load_state_dict(body, strict=False)
    squares = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = plain.eval().forward_head(plain.forward_features(squares), pre_logits=True)
        found = model.eval().forward_head(model.forward_features(squares), pre_logits=True)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(model(squares), head(found))
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout) and layer.p] == [0.4]
    assert not getattr(model, "drop_rate", 0.0)


@pytest.mark.parametrize("name", HEADS)
def test_an_adapted_network_answers_all_that_freezing_and_export_ask(name: str) -> None:
    plain, model = create_model(recipe(name), 3), create_model(recipe(name, head_dense=20), 3)
    assert model.num_features == plain.num_features
    assert model.num_classes == 3
    assert model.pretrained_cfg["architecture"] == ADAPTED
    last = model.get_submodule(model.pretrained_cfg["classifier"])
    assert isinstance(last, nn.Linear)
    assert last.out_features == 3
    assert stages(model) == stages(plain)
    assert head_parameters(model) | set().union(*stages(model)) == set(dict(model.named_parameters()))
    model.reset_classifier(5)
    assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


def test_a_head_that_is_no_linear_layer_cannot_be_deepened() -> None:
    with pytest.raises(ModelError, match=r"its head is a Conv2d, no linear layer \(model\.head_dense\)"):
        create_model(recipe("resnetv2_18d", head_dense=8), 3)


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax", "catavgmax"])
@pytest.mark.parametrize("head_dense", [None, 12])
def test_pooling_is_the_one_asked_for(pool: str, head_dense: int | None) -> None:
    model = create_model(recipe("small_resnet", 32, pool=pool, head_dense=head_dense), 3).eval()
    with torch.no_grad():
        maps = model.forward_features(torch.randn(2, 3, 32, 32))
        pooled = model.forward_head(maps, pre_logits=True)
    average, largest = maps.mean((2, 3)), maps.amax((2, 3))
    expected = {
        "avg": average,
        "max": largest,
        "avgmax": (average + largest) / 2,
        "catavgmax": torch.cat([average, largest], 1),
    }
    torch.testing.assert_close(pooled, expected[pool])


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_our_networks_take_what_their_description_says(family: Any) -> None:
    takes, size_px = family.abilities, max(64, family.min_px(family.with_defaults({})))
    for pool in takes.pools:
        create_model(recipe(family.name, size_px, pool=pool), 3)
    for able, setting in ((takes.head_dense, {"head_dense": 8}), (takes.drop_path, {"drop_path_rate": 0.1})):
        if able:
            create_model(recipe(family.name, size_px, **setting), 3)
    if not takes.fixed_size:
        create_model(recipe(family.name, size_px), 3)(torch.zeros(2, 3, size_px // 2, size_px // 2))


def test_a_plain_recipe_is_timms_own_network_with_no_arguments_of_ours() -> None:
    name, args = creation(recipe("resnet10t"), 3)
    assert (name, args) == ("resnet10t", {"num_classes": 3, "drop_rate": 0.0})
    assert creation(recipe("test_vit"), 3)[1]["img_size"] == 64
    assert creation(recipe("resnet10t", pool="max", drop_path_rate=0.1), 3) == (
        "resnet10t",
        {"num_classes": 3, "drop_rate": 0.0, "global_pool": "max", "drop_path_rate": 0.1},
    )
    assert create_model(recipe("resnet10t"), 3).pretrained_cfg["architecture"] == "resnet10t"


@pytest.mark.parametrize("name", ["small_resnet", "test_resnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize("head_dense", [None, 8])
def test_stochastic_depth_rises_to_its_rate_in_the_last_block(name: str, head_dense: int | None) -> None:
    model = create_model(recipe(name, drop_path_rate=0.2, head_dense=head_dense), 3)
    rates = [module.drop_prob for module in model.modules() if isinstance(module, DropPath)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.2)
    still = create_model(recipe(name, head_dense=head_dense), 3)
    assert not [module for module in still.modules() if isinstance(module, DropPath) and module.drop_prob]


def test_weights_that_timm_has_for_the_backbone_come_before_the_changes(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet", num_classes=1000)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    model = timm.create_model(
        ADAPTED,
        pretrained=True,
        backbone="test_resnet",
        stem="small",
        head_dense=8,
        num_classes=3,
        pretrained_cfg_overlay={"file": str(tmp_path / "weights.pth")},
    )
    body = {key: value for key, value in source.state_dict().items() if not key.startswith("fc.")}
    found = model.state_dict()
    assert all(torch.equal(found[key], value) for key, value in body.items())
    assert model.fc[3].out_features == 3


def test_adapting_changes_the_network_in_place() -> None:
    model = timm.create_model("test_resnet", num_classes=3)
    before = dict(model.named_parameters())
    adapt(model, stem="small", head_dense=8)
    after = dict(model.named_parameters())
    assert all(
        after[key] is before[key] for key in before.keys() - head_parameters(model) - {"fc.weight", "fc.bias"}
    )
