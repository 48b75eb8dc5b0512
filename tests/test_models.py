"""Our networks are what their descriptions say, and timm takes them for its own."""

from __future__ import annotations

import inspect
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import trainables.models as networks

import timm  # isort: skip  (after our networks: see trainables.torch_setup)
from timm.models import group_parameters  # isort: skip
from timm.models.resnet import BasicBlock  # isort: skip

from spaces.families import FAMILIES, Family, Flag, Whole
from spaces.recipe import Recipe, Scalar
from tests.toy_pictures import tiny_recipe
from trainables.models.create import class_logits, create_model, import_networks, normalization
from trainables.models.errors import ModelError
from trainables.models.parts import stages

SMALL: dict[str, dict[str, Scalar]] = {
    "plain_cnn": {"width": 8, "blocks": 2, "dense": 32},
    "vgg4_cnn": {"width": 8, "dense": 32},
    "mini_xception": {"width": 8, "dense": 32},
    "binary_cnn": {"width": 8, "dense": 32},
    "small_resnet": {"width": 8, "depth": 2},
}


def recipe(name: str, size_px: int = 64, **model: object) -> Recipe:
    return tiny_recipe(model={"name": name, "args": {}, **model}, geometry={"size_px": size_px})


def sigmoid(name: str) -> Recipe:
    return tiny_recipe(model={"name": name, "args": {}}, geometry={"size_px": 64}, loss={"name": "sigmoid"})


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def conv(kernel: int, inputs: int, outputs: int) -> int:
    """Weights of a convolution with biases."""
    return kernel * kernel * inputs * outputs + outputs


def dense(*widths: int) -> int:
    """Weights of dense layers with biases."""
    return sum(before * after + after for before, after in itertools.pairwise(widths))


def separable(inputs: int, outputs: int) -> int:
    """Weights of a 3x3 convolution a channel without biases, and of a 1x1 convolution with them."""
    return 9 * inputs + inputs * outputs + outputs


def normed(kernel: int, inputs: int, outputs: int) -> int:
    """Weights of a convolution without biases and of the batch norm behind it."""
    return kernel * kernel * inputs * outputs + 2 * outputs


def shapes(model: nn.Module, size_px: int, *kinds: type[nn.Module]) -> list[tuple[int, ...]]:
    """What the layers of these kinds put out for one picture, in the order of the forward pass: (C, S, S)."""
    seen: list[tuple[int, ...]] = []
    for layer in model.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(lambda _, __, output: seen.append(tuple(output.shape[1:])))
    model(torch.zeros(2, 3, size_px, size_px))
    return seen


def dropouts(model: nn.Module) -> list[float]:
    return [module.p for module in model.modules() if isinstance(module, nn.Dropout) and module.p]


def test_plain_cnn_has_the_weights_and_shapes_of_its_description() -> None:
    # 64 px halved three times: 8 x 8 pixels of 128 channels are flattened.
    blocks = conv(3, 3, 32) + conv(3, 32, 64) + conv(3, 64, 128)
    model = create_model(recipe("plain_cnn", drop_rate=0.5), 10)
    assert parameters(model) == blocks + dense(8 * 8 * 128, 128, 10)
    squares = [(32, 64), (32, 32), (64, 32), (64, 16), (128, 16), (128, 8)]
    assert shapes(model, 64, nn.Conv2d, nn.MaxPool2d) == [(width, side, side) for width, side in squares]
    kinds = (nn.Dropout, nn.Flatten, nn.Linear)  # the dropout stands in front of the flatten
    assert shapes(model, 64, *kinds) == [(128, 8, 8), (8 * 8 * 128,), (128,), (128,), (10,)]
    assert dropouts(model) == [0.5]


def test_binary_cnn_has_the_weights_and_shapes_of_its_description() -> None:
    # The convolution is not padded, as Keras has it: 64 -> 62, and the pool makes 31 of it.
    model = create_model(sigmoid("binary_cnn"), 2)
    assert parameters(model) == conv(3, 3, 32) + dense(31 * 31 * 32, 128, 1)
    kinds = (nn.Conv2d, nn.MaxPool2d, nn.Flatten, nn.Linear)
    assert shapes(model, 64, *kinds) == [(32, 62, 62), (32, 31, 31), (31 * 31 * 32,), (128,), (1,)]
    assert [type(module) for module in model.modules() if isinstance(module, nn.ReLU)] == [nn.ReLU] * 2


@pytest.mark.parametrize(("width", "depth"), [(32, 1), (10, 3), (64, 2)])
def test_small_resnet_has_the_weights_and_shapes_of_its_description(width: int, depth: int) -> None:
    widths = [width, width, 2 * width, 4 * width, 8 * width]
    weights = normed(3, 3, width) + dense(8 * width, 10)
    for before, after in itertools.pairwise(widths):
        weights += normed(3, before, after) + normed(3, after, after)
        weights += normed(1, before, after) if before != after else 0  # the shortcut
        weights += (depth - 1) * 2 * normed(3, after, after)
    model = create_model(recipe("small_resnet", 32, args={"width": width, "depth": depth}), 10)
    assert parameters(model) == weights
    sides = [(width, 32), (2 * width, 16), (4 * width, 8), (8 * width, 4)]
    blocks = [(channels, side, side) for channels, side in sides for _ in range(depth)]
    assert shapes(model, 32, BasicBlock) == blocks
    assert shapes(model, 32, type(model.conv1))[0] == (width, 32, 32)


def test_small_resnet_leaves_out_later_blocks_more_often() -> None:
    model = create_model(recipe("small_resnet", args={"width": 8, "depth": 1}, drop_path_rate=0.3), 3)
    rates = [
        block.drop_path.drop_prob if block.drop_path else 0.0
        for block in model.modules()
        if isinstance(block, BasicBlock)
    ]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_small_resnet_freezes_stage_by_stage() -> None:
    found = stages(create_model(recipe("small_resnet", args=SMALL["small_resnet"]), 3))
    tops = [{name.split(".")[0] for name in stage} for stage in found]
    assert tops == [{"conv1", "bn1"}, {"layer1"}, {"layer2"}, {"layer3"}, {"layer4"}]


def test_vgg4_cnn_has_the_weights_of_its_description() -> None:
    # The first convolution of a block keeps the size, the second takes two pixels, the pool halves:
    # 64 -> 62 -> 31 -> 29 -> 14 -> 12 -> 6 -> 4 -> 2.
    widths = [3, 32, 64, 128, 256]
    blocks = sum(conv(3, a, b) + conv(3, b, b) for a, b in itertools.pairwise(widths))
    model = create_model(recipe("vgg4_cnn", drop_rate=0.5), 18)
    assert parameters(model) == blocks + dense(2 * 2 * 256, 1024, 18)
    sides = [shape[-1] for shape in shapes(model, 64, nn.Conv2d, nn.MaxPool2d)]
    assert sides == [64, 62, 31, 31, 29, 14, 14, 12, 6, 6, 4, 2]
    assert dropouts(model) == [0.3, 0.3, 0.3, 0.3, 0.5]


def test_mini_xception_has_the_weights_of_its_description() -> None:
    # 64 px halved five times: 2 x 2 pixels of 256 channels are flattened.
    widths = [3, 32, 64, 128, 128, 256]
    blocks = sum(separable(a, b) + separable(b, b) for a, b in itertools.pairwise(widths))
    model = create_model(recipe("mini_xception", drop_rate=0.5), 18)
    assert parameters(model) == blocks + dense(2 * 2 * 256, 1024, 256, 18)
    assert dropouts(model) == [0.5, 0.5]
    # Two separable convolutions of two layers each, then the pool, five times.
    sides = [shape[-1] for shape in shapes(model, 64, nn.Conv2d, nn.MaxPool2d)]
    assert sides == [side for half in (64, 32, 16, 8, 4) for side in (half,) * 4 + (half // 2,)]


@pytest.mark.parametrize("name", ["plain_cnn", "vgg4_cnn", "mini_xception"])
def test_batch_norm_takes_the_place_of_the_biases(name: str) -> None:
    plain = create_model(recipe(name, args=SMALL[name]), 5)
    normed = create_model(recipe(name, args={**SMALL[name], "batch_norm": True}), 5)
    norms = [module for module in normed.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    assert parameters(normed) == parameters(plain) + sum(norm.num_features for norm in norms)


@pytest.mark.parametrize("name", SMALL)
def test_it_is_a_network_of_timm(name: str) -> None:
    assert name in timm.list_models()
    model = timm.create_model(name, num_classes=7, **SMALL[name]).eval()
    assert model.pretrained_cfg["input_size"] == (3, 64, 64)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = model.forward_features(images)
        logits, hidden = model(images), model.forward_head(features, pre_logits=True)
    assert logits.shape == (2, 7)
    assert hidden.shape == (2, model.num_features) == (2, model.head_hidden_size)
    torch.testing.assert_close(model.get_classifier()(hidden), logits)
    model.reset_classifier(4)
    assert model(images).shape == (2, 4)
    assert model.num_classes == 4
    model.reset_classifier(0)
    torch.testing.assert_close(model(images), hidden)


@pytest.mark.parametrize("name", ["plain_cnn", "vgg4_cnn", "mini_xception"])
def test_its_parameters_fall_into_stages_from_stem_to_head(name: str) -> None:
    model = timm.create_model(name, num_classes=7, **SMALL[name])
    groups = group_parameters(model, model.group_matcher(coarse=True))
    names = [key for _, group in sorted(groups.items()) for key in group]
    assert sorted(names) == sorted(key for key, _ in model.named_parameters())
    assert len(groups) == len(model.blocks) + 1
    first, last = groups[0], groups[len(groups) - 1]
    assert all(key.startswith("blocks.0.") for key in first)
    assert set(last) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_family_builds_with_every_argument_at_either_end(family: Family) -> None:
    ends = {
        name: (rule.low, rule.high) if isinstance(rule, Whole) else (False, True)
        for name, rule in family.args.items()
    }
    for name, values in ends.items():
        for value in values:
            args = family.with_defaults({name: value})
            size_px = family.min_px(args)
            with torch.device("meta"):  # shapes only: the largest have a gigabyte of weights
                model = create_model(recipe(family.name, max(16, size_px), args=args), 3)
                assert model(torch.zeros(2, 3, max(16, size_px), max(16, size_px))).shape == (2, 3)


_NOT_OF_A_FAMILY = {"img_size", "in_chans", "drop_rate", "kwargs"}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_family_is_described_with_the_arguments_and_defaults_of_its_network(family: Family) -> None:
    cls = type(timm.create_model(family.name, **SMALL[family.name]))
    signature = inspect.signature(cls).parameters
    taken = {name: value.default for name, value in signature.items() if name not in _NOT_OF_A_FAMILY}
    assert family.with_defaults({}) == taken
    assert all(isinstance(rule, Whole | Flag) for rule in family.args.values())
    assert family.name in networks.__all__


@pytest.mark.parametrize(("name", "least"), [("vgg4_cnn", 46), ("mini_xception", 32)])
def test_the_smallest_picture_is_as_the_family_says(name: str, least: int) -> None:
    family = FAMILIES[name]
    assert family.min_px(family.with_defaults({})) == least
    assert create_model(recipe(name, least, args=SMALL[name]), 3)(torch.zeros(1, 3, least, least)).shape == (
        1,
        3,
    )
    with pytest.raises(
        ModelError, match=f"{name}' with .*width=8.* at {least - 1} px cannot be made: .*small"
    ):
        create_model(recipe(name, least - 1, args=SMALL[name]), 3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"name": "plain_cnn", "args": {"widht": 8}},
            r"'plain_cnn' with widht=8 at 64 px .*argument 'widht'",
        ),
        ({"name": "resnet10t", "args": {"groups": 0}}, r"'resnet10t' with groups=0 at 64 px cannot be made"),
        (
            {"name": "resnet10q", "args": {}},
            r"'resnet10q' with no model\.args at 64 px cannot be made: Unknown model",
        ),
        ({"name": "resnet18.bogus"}, r"cannot be made: Invalid pretrained tag"),
        ({"name": "vit_tiny_patch16_224", "args": {"depth": "deep"}}, r"with depth='deep' at 64 px cannot"),
    ],
)
def test_a_network_that_cannot_be_made_is_named_with_its_settings(
    model: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        create_model(tiny_recipe(model=model, geometry={"size_px": 64}), 3)


@pytest.mark.parametrize("name", ["binary_cnn", "small_resnet", "resnet10t", "test_vit"])
def test_one_output_tells_two_classes_apart(name: str) -> None:
    model = create_model(sigmoid(name), 2).eval()
    with torch.no_grad():
        outputs = model(torch.randn(4, 3, 64, 64))
    assert outputs.shape == (4, 1)
    logits, labels = class_logits(outputs), torch.tensor([0, 1, 1, 0])
    second = outputs.sigmoid()
    torch.testing.assert_close(logits.softmax(1), torch.cat([1 - second, second], 1))
    binary = F.binary_cross_entropy_with_logits(outputs[:, 0], labels.float())
    torch.testing.assert_close(F.cross_entropy(logits, labels), binary)


def test_outputs_for_several_classes_are_logits_as_they_are() -> None:
    outputs = torch.randn(4, 3)
    assert class_logits(outputs) is outputs


@pytest.mark.parametrize("classes", [1, 3])
def test_one_output_for_other_than_two_classes_is_refused(classes: int) -> None:
    with pytest.raises(
        ModelError, match=rf"sigmoid has one .* there are {classes}\. Pick two with --classes A,B"
    ):
        create_model(sigmoid("binary_cnn"), classes)


def test_the_normalisation_is_that_of_the_pretrained_weights() -> None:
    assert normalization(create_model(recipe("resnet10t"), 3))[0] == [0.485, 0.456, 0.406]
    assert normalization(create_model(recipe("plain_cnn"), 3)) == ([0.5] * 3, [0.25] * 3)


USERS_OWN = """
from timm.models import build_model_with_cfg, register_model
from torch import nn
from torch.nn import functional as F

class OwnNet(nn.Module):
    def __init__(self, num_classes=10, in_chans=3, drop_rate=0.0, width=4):
        super().__init__()
        self.num_classes = num_classes
        {features}
        self.body = nn.Sequential(nn.Conv2d(in_chans, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(width, num_classes)

    def get_classifier(self):
        return self.head

    def forward(self, images):
        return self.head(self.body(images).flatten(1))

@register_model
def {name}(pretrained=False, **kwargs):
    return {make}
"""
MADE_BY_TIMM = "build_model_with_cfg(OwnNet, '{name}', pretrained, **kwargs)"


def own_network(
    folder: Path, name: str, *, make: str = MADE_BY_TIMM, features: str = "self.num_features = width"
) -> None:
    text = USERS_OWN.format(name=name, make=make.format(name=name), features=features)
    (folder / f"module_of_{name}.py").write_text(text)


def test_a_network_of_the_users_own_is_found_and_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    own_network(tmp_path, "own_net_a")
    assert "own_net_a" in import_networks(["module_of_own_net_a"])
    assert not {"adapted", "small_resnet", "resnet18"} & set(import_networks([]))
    model = create_model(recipe("own_net_a", args={"width": 6}), 3)
    assert model(torch.zeros(2, 3, 20, 20)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "make", "features", "lacking"),
    [
        ("own_net_b", "OwnNet(kwargs['num_classes'])", "self.num_features = width", "pretrained_cfg"),
        ("own_net_c", MADE_BY_TIMM, "pass", "num_features"),
    ],
)
def test_what_a_users_network_lacks_is_said_before_it_is_trained(
    name: str, make: str, features: str, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    own_network(tmp_path, name, make=make, features=features)
    import_networks([f"module_of_{name}"])
    with pytest.raises(ModelError, match=rf"{name}': the network has no {lacking}\. Make it with timm"):
        create_model(recipe(name), 3)


def test_a_module_that_cannot_be_imported_is_named_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_networks.py").write_text("1 / 0\n")
    with pytest.raises(ModelError, match="--import broken_networks: importing it raised ZeroDivisionError"):
        import_networks(["broken_networks"])
    with pytest.raises(ModelError, match=r"--import no_such_module: .*PYTHONPATH"):
        import_networks(["no_such_module"])


WITHOUT_WEIGHTS = """
from spaces.recipe import Model, Recipe
from trainables.models.create import ModelError, create_model

for args in ({}, {"bogus": 1}):
    try:
        create_model(Recipe(model=Model(name="resnet10t", pretrained=True, args=args)), 3)
    except ModelError as fault:
        print(fault)
create_model(Recipe(model=Model(name="resnet10t", pretrained=True)), 3, weights=False)
"""


@pytest.mark.slow
def test_pretrained_weights_that_cannot_be_had_name_the_ways_out(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_WEIGHTS],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    no_weights, bad_argument = done.stdout.strip().split("\n", 1)[0], done.stdout.strip().rsplit("\n", 1)[-1]
    assert "the pretrained weights of 'resnet10t' cannot be had" in no_weights
    for way_out in ("huggingface.co", "HF_HOME", "model.weights: PATH", "model.pretrained: false"):
        assert way_out in done.stdout
    assert "cannot be made" in bad_argument
    assert "'bogus'" in bad_argument
