"""Grad-CAM is what others compute, for any network, and tells where a class is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam, LayerGradientXActivation
from torch import Tensor, nn
from torch.nn import functional as F

import trainables.models  # noqa: F401  (before timm: see trainables.torch_setup)

import timm  # isort: skip

from spaces.families import FAMILIES
from tests.networks import odd_networks  # noqa: F401  (registers them)
from tests.toy_pictures import CPU, ToyPictures, tiny_recipe
from trainables.explain.grad_cam import grad_cam
from trainables.explain.last_maps import NoMapsError, last_maps
from trainables.feed import Feed
from trainables.loop import TrainData, train
from trainables.models.create import normalization

CLASSES = 8
SMALL = {"width": 8, "dense": 16}

# Name, arguments, side in pixels, the layer of the last maps, and their channels and sides.
FAMILIES_OF_TIMM: list[tuple[str, dict[str, Any], int, str, tuple[int, int, int]]] = [
    ("resnet10t", {}, 64, "layer4", (512, 2, 2)),
    ("test_byobnet", {}, 96, "stages", (256, 3, 3)),
    ("test_efficientnet", {}, 96, "bn2", (256, 3, 3)),
    ("test_nfnet", {}, 96, "final_act", (192, 3, 3)),
    ("lcnet_035", {}, 64, "blocks", (176, 2, 2)),
    ("mobilenetv3_small_050", {}, 64, "blocks", (288, 2, 2)),
    ("convnext_atto", {}, 64, "stages", (320, 2, 2)),
    ("regnetx_002", {}, 64, "s4", (368, 2, 2)),
    ("repghostnet_050", {}, 64, "blocks", (480, 2, 2)),
    # Read at the class token: the last tokens of the grid are those that the last attention gets.
    ("test_vit", {"img_size": 64}, 64, "blocks.5.norm1", (64, 4, 4)),
    ("test_vit", {"dynamic_img_size": True}, 64, "blocks.5.norm1", (64, 4, 4)),
    ("test_vit", {"img_size": 64, "global_pool": "avg", "class_token": False}, 64, "blocks", (64, 4, 4)),
    ("xcit_nano_12_p16_224", {"img_size": 64}, 64, "cls_attn_blocks.1.norm1", (128, 4, 4)),
    ("mixer_s32_224", {"img_size": 64}, 64, "norm", (512, 2, 2)),
    ("pvt_v2_b0", {}, 64, "stages", (256, 2, 2)),
]
SLOW_FAMILIES = [
    ("densenet121", {}, 64, "features", (1024, 2, 2)),
    ("repvgg_a0", {}, 64, "stages", (1280, 2, 2)),
    ("vgg11_bn", {}, 64, "features", (512, 2, 2)),
    ("swin_tiny_patch4_window7_224", {"img_size": 64}, 64, "norm", (768, 2, 2)),
    ("swin_s3_tiny_224", {"img_size": 112, "window_size": 7}, 112, "norm", (768, 4, 4)),
    ("crossvit_tiny_240", {}, 240, "blocks.2.fusion.1.norm1", (96, 20, 20)),
    ("pit_ti_224", {}, 224, "transformers.2.blocks.3.norm1", (256, 7, 7)),
    ("cait_xxs24_224", {"img_size": 64}, 64, "blocks_token_only.1.norm1", (192, 4, 4)),
    ("inception_v3", {}, 160, "Mixed_7c", (2048, 3, 3)),
    ("hrnet_w18_small", {}, 64, "final_layer", (2048, 2, 2)),
]


def network(name: str, **args: Any) -> nn.Module:
    """With random weights, also where timm would start from zeros."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=CLASSES, **args).eval()
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return model


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def scaled(heats: Tensor, size: tuple[int, int]) -> Tensor:
    """Raw maps (B, 1, h, w) as `grad_cam` returns them."""
    large = F.interpolate(heats.relu(), size, mode="bilinear")[:, 0]
    return large / large.amax(dim=(1, 2), keepdim=True).clamp_min(1e-30)


def check(heats: Tensor, side_px: int) -> None:
    assert heats.shape == (CLASSES, side_px, side_px)
    assert heats.dtype == torch.float32
    assert heats.isfinite().all()
    assert heats.min() >= 0
    maxima = heats.amax(dim=(1, 2))
    assert ((maxima == 1) | (maxima == 0)).all()
    assert maxima.any()  # something speaks for one class or other


def captum_s(raw: Tensor, ours: Tensor) -> None:
    """Compares captum's raw maps (B, 1, h, w) with ours, which are shares of their maxima."""
    enlarged = LayerAttribution.interpolate(raw.detach(), ours.shape[1:], interpolate_mode="bilinear")[:, 0]
    maxima = enlarged.amax(dim=(1, 2), keepdim=True)
    assert (maxima > 0).any()
    torch.testing.assert_close(ours * maxima, enlarged, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "args", "side_px", "layer"),
    [
        ("small_resnet", {"width": 8}, 32, "layer4"),
        ("mobilenetv3_small_050", {}, 96, "blocks"),
        ("resnet10t", {"global_pool": "max"}, 64, "layer4"),
    ],
)
def test_it_is_what_captum_computes(name: str, args: dict[str, Any], side_px: int, layer: str) -> None:
    model, pictures = network(name, **args), images(CLASSES, 3, side_px, side_px)
    theirs = LayerGradCam(model, model.get_submodule(layer))
    raw = theirs.attribute(pictures, target=torch.arange(CLASSES), relu_attributions=True)
    captum_s(raw, grad_cam(model, pictures, torch.arange(CLASSES)))


@pytest.mark.parametrize("name", ["plain_cnn", "binary_cnn"])
def test_flattened_maps_are_weighted_place_by_place(name: str) -> None:
    model, pictures = network(name, img_size=32, **SMALL), images(CLASSES, 3, 32, 32)
    theirs = LayerGradientXActivation(model, model.blocks)
    raw = theirs.attribute(pictures, target=torch.arange(CLASSES)).sum(1, keepdim=True).relu()
    captum_s(raw, grad_cam(model, pictures, torch.arange(CLASSES)))


def test_tokens_are_read_as_maps() -> None:
    """By hand, from what timm says of the layout of each."""
    model, pictures = network("test_vit", img_size=64), images(CLASSES, 3, 64, 64)
    kept = []
    handle = model.blocks[-1].norm1.register_forward_hook(lambda module, inputs, output: kept.append(output))
    outputs = model(pictures)
    handle.remove()
    (tokens,) = kept
    (gradient,) = torch.autograd.grad(outputs.diagonal().sum(), tokens)
    grid = model.patch_embed.grid_size
    values, weights = tokens[:, model.num_prefix_tokens :], gradient[:, model.num_prefix_tokens :].mean(1)
    raw = (values * weights[:, None]).sum(2).reshape(CLASSES, 1, *grid)
    ours = grad_cam(model, pictures, torch.arange(CLASSES))
    torch.testing.assert_close(ours, scaled(raw.detach(), (64, 64)), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_channels_last_are_read_as_maps() -> None:
    model = network("swin_tiny_patch4_window7_224", img_size=64)
    pictures = images(CLASSES, 3, 64, 64)
    features = model.forward_features(pictures)
    assert model.output_fmt == "NHWC"
    (gradient,) = torch.autograd.grad(model.forward_head(features).diagonal().sum(), features)
    raw = (features * gradient.mean((1, 2), keepdim=True)).sum(3)[:, None]
    ours = grad_cam(model, pictures, torch.arange(CLASSES))
    torch.testing.assert_close(ours, scaled(raw.detach(), (64, 64)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "args", "side_px", "layer", "shape"),
    [
        *FAMILIES_OF_TIMM,
        *(pytest.param(*family, marks=pytest.mark.slow) for family in SLOW_FAMILIES),
    ],
)
def test_it_finds_the_last_maps_of_every_family(
    name: str, args: dict[str, Any], side_px: int, layer: str, shape: tuple[int, int, int]
) -> None:
    model, pictures = network(name, **args), images(1, 3, side_px, side_px).expand(CLASSES, -1, -1, -1)
    maps = last_maps(model, pictures[:1], torch.tensor([3]))
    assert maps.layer == layer
    assert maps.values.shape == maps.gradients.shape == (1, *shape)
    assert maps.gradients.any()
    check(grad_cam(model, pictures, torch.arange(CLASSES)), side_px)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_works_for_our_own_networks(name: str) -> None:
    args = {"img_size": 64} if name != "small_resnet" else {}
    pictures = images(1, 3, 64, 64).expand(CLASSES, -1, -1, -1)
    check(grad_cam(network(name, **args), pictures, torch.arange(CLASSES)), 64)


@pytest.mark.parametrize("changes", [{"stem": "small"}, {"head_dense": 16}])
def test_it_works_for_changed_networks(changes: dict[str, Any]) -> None:
    model = network("adapted", backbone="resnet10t", **changes)
    pictures = images(1, 3, 64, 64).expand(CLASSES, -1, -1, -1)
    maps = last_maps(model, pictures[:1], torch.tensor([0]))
    assert maps.values.shape[2:] == ((8, 8) if "stem" in changes else (2, 2))
    check(grad_cam(model, pictures, torch.arange(CLASSES)), 64)


def test_it_works_for_a_network_that_names_no_features() -> None:
    model, pictures = network("odd_net"), images(CLASSES, 3, 16, 16)
    assert last_maps(model, pictures, torch.arange(CLASSES)).layer == "stem"
    check(grad_cam(model, pictures, torch.arange(CLASSES)), 16)


def test_maps_that_have_shrunk_to_a_point_tell_nothing_so_it_takes_those_before() -> None:
    maps = last_maps(network("resnet10t"), images(1, 3, 32, 32), torch.tensor([0]))
    assert maps.layer == "layer3"
    assert maps.values.shape[2:] == (2, 2)


def test_pictures_may_be_wider_than_high() -> None:
    model, pictures = network("resnet10t"), images(2, 3, 64, 128)
    assert last_maps(model, pictures, torch.tensor([0, 1])).values.shape[2:] == (2, 4)
    assert grad_cam(model, pictures, torch.tensor([0, 1])).shape == (2, 64, 128)
    tokens = last_maps(network("test_vit", img_size=(64, 128)), pictures, torch.tensor([0, 1]))
    assert tokens.values.shape[2:] == (4, 8)


def test_a_picture_s_map_does_not_depend_on_its_neighbours() -> None:
    model, pictures, classes = (
        network("small_resnet", width=8),
        images(4, 3, 32, 32),
        torch.tensor([0, 1, 2, 3]),
    )
    together = grad_cam(model, pictures, classes)
    alone = torch.cat([grad_cam(model, pictures[i : i + 1], classes[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_single_output_of_a_network_for_two_classes_speaks_for_both() -> None:
    single = timm.create_model("plain_cnn", img_size=32, num_classes=1, **SMALL).eval()
    double = timm.create_model("plain_cnn", img_size=32, num_classes=2, **SMALL).eval()
    double.load_state_dict(
        single.state_dict()
        | {
            "head.weight": torch.cat([-single.head.weight, single.head.weight]),
            "head.bias": torch.cat([-single.head.bias, single.head.bias]),
        }
    )
    pictures, classes = images(4, 3, 32, 32), torch.tensor([0, 1, 0, 1])
    maps = grad_cam(single, pictures, classes)
    assert maps.any()
    torch.testing.assert_close(maps, grad_cam(double, pictures, classes))


def test_the_network_is_left_as_it_was() -> None:
    model, pictures = network("small_resnet", width=8), images(2, 3, 32, 32)
    before = grad_cam(model, pictures, torch.tensor([0, 1]))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    model.requires_grad_(False)
    with torch.no_grad():
        frozen = grad_cam(model, pictures, torch.tensor([0, 1]))
    torch.testing.assert_close(before, frozen)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not pictures.requires_grad


def test_a_network_without_feature_maps_is_told_so() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    with pytest.raises(NoMapsError, match="no feature maps"):
        grad_cam(flat, images(1, 3, 8, 8), torch.tensor([0]))


def quadrant_pictures(count: int, seed: int, quadrant: tuple[int, int]) -> ToyPictures:
    """Noise, but for one quadrant, where each class has a pattern of its own."""
    rng = np.random.default_rng([seed, 7])
    patterns = np.random.default_rng(3).integers(0, 256, (3, 8, 8, 3))
    labels = rng.integers(0, 3, count)
    pixels = rng.integers(0, 256, (count, 32, 32, 3))
    top, left = (16 * place + 4 for place in quadrant)
    pixels[:, top : top + 8, left : left + 8] = patterns[labels]
    return ToyPictures(pixels.astype(np.uint8), labels, ["a", "b", "c"])


@pytest.mark.parametrize("quadrant", [(0, 1), (1, 0)])
@pytest.mark.parametrize(
    "model",
    [
        {"name": "plain_cnn", "args": {"width": 16, "blocks": 3, "dense": 64}},
        {"name": "small_resnet", "args": {"width": 8}},
    ],
    ids=lambda model: model["name"],
)
def test_it_points_to_where_the_class_is(model: dict[str, Any], quadrant: tuple[int, int]) -> None:
    recipe = tiny_recipe(model=model, geometry={"size_px": 32}, optim={"lr": 3e-3})
    data = TrainData(quadrant_pictures(300, 1, quadrant), None)
    trained = train(recipe, data, lambda *_: None, runtime=CPU, epochs=6)
    pictures = quadrant_pictures(60, 2, quadrant)
    batches = Feed(pictures, recipe, CPU, *normalization(trained)).evaluation()
    seen, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert (trained(seen).argmax(1) == labels).float().mean() > 0.9
    heats = grad_cam(trained, seen, labels)
    rows, columns = (slice(16 * place, 16 * place + 16) for place in quadrant)
    share = heats[:, rows, columns].sum((1, 2)) / heats.sum((1, 2))
    assert share.median() > 0.45  # one of four quadrants: by chance 0.25
