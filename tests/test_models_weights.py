"""Weights to start from: whatever file they are in, they arrive, or it is said why not."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import trainables.models  # (before timm: see trainables.torch_setup)

import timm  # isort: skip
from timm.models import adapt_input_conv  # isort: skip

from spaces.recipe import Recipe
from tests.toy_pictures import tiny_recipe
from trainables.checkpoint import Checkpoint
from trainables.export import export
from trainables.models.create import create_model
from trainables.models.errors import ModelError
from trainables.models.weights import weights_file

assert trainables.models.__all__

ARGS = {"width": 8, "depth": 1}


def recipe(name: str = "small_resnet", size_px: int = 32, **model: Any) -> Recipe:
    args = ARGS if name == "small_resnet" else {}
    return tiny_recipe(model={"name": name, "args": args, **model}, geometry={"size_px": size_px})


def started(path: Path, name: str = "small_resnet", size_px: int = 32, **model: Any) -> nn.Module:
    return create_model(recipe(name, size_px, weights=str(path), **model), 3)


def body(model: nn.Module, head: str = "fc.") -> dict[str, Tensor]:
    return {key: value for key, value in model.state_dict().items() if not key.startswith(head)}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert [key for key in expected if not torch.equal(found[key], expected[key])] == []


@pytest.fixture
def source() -> nn.Module:
    """A network for the same number of classes, so that its head would fit."""
    torch.manual_seed(7)
    model = create_model(recipe(), 3)
    model(torch.randn(8, 3, 32, 32))  # moves the statistics of the norms
    return model.eval()


def saved(model: nn.Module, kind: str, folder: Path) -> Path:
    state, other = model.state_dict(), {key: value + 1 for key, value in model.state_dict().items()}
    file = folder / f"weights.{'safetensors' if kind == 'safetensors' else 'pth'}"
    if kind == "safetensors":
        save_file(state, file)
    elif kind == "export":
        export(model, recipe(), ["a", "b", "c"], folder)
        return folder
    elif kind in ("our checkpoint", "our checkpoint with an average"):
        averaged = kind.endswith("average")
        unused: Any = {}
        Checkpoint(
            recipe=recipe().to_dict(),
            seed=0,
            epochs=1,
            history=[{"epoch": 1}],
            model=other if averaged else state,
            ema=state if averaged else None,
            **dict.fromkeys(("optimizer", "schedule", "scaler", "best"), unused),
        ).save(file)
    else:
        wrapped = {
            "plain": state,
            "state_dict": {"state_dict": state, "epoch": 3},
            "parallel": {"state_dict": {f"module.{key}": value for key, value in state.items()}},
            "empty average": {"ema": {}, "state_dict_ema": {"decay": 0.9}, "model": state},
            "lightning": {
                "state_dict": {
                    **{f"model.{key}": value for key, value in state.items()},
                    "criterion.weight": torch.ones(3),
                },
                "pytorch-lightning_version": "2.5.0",
                "hyper_parameters": {"lr": 0.1},
            },
            "net": {f"net.{key}": value for key, value in state.items()},
            "backbone": {
                **{f"backbone.{key}": value for key, value in state.items() if not key.startswith("fc.")},
                "fc.weight": torch.zeros(3, 64),
            },
            "deep": {f"module.model.encoder.{key}": value for key, value in state.items()},
            "timm": {
                "state_dict": other,
                "state_dict_ema": state,
                "args": argparse.Namespace(lr=0.1),
                "arch": "small_resnet",
            },
        }
        torch.save(wrapped.get(kind, state), file)
    return folder if kind == "folder" else file


KINDS = [
    "safetensors",
    "plain",
    "state_dict",
    "parallel",
    "empty average",
    "lightning",
    "net",
    "backbone",
    "deep",
    "timm",
    "our checkpoint",
    "our checkpoint with an average",
    "folder",
    "export",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_but_the_head_starts_from_the_file(kind: str, source: nn.Module, tmp_path: Path) -> None:
    model = started(saved(source, kind, tmp_path))
    assert_same(body(model), body(source))
    # The head's shape would fit, but its outputs stand for other classes.
    assert not torch.equal(model.fc.weight, source.fc.weight)


def test_a_checkpoint_and_an_export_make_the_network_without_the_file(tmp_path: Path) -> None:
    gone = recipe(weights=str(tmp_path / "gone.pth"))
    assert create_model(gone, 3, weights=False)(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("changes", [{"head_dense": 8}, {"pool": "catavgmax"}, {"drop_path_rate": 0.1}])
def test_weights_fit_a_network_with_another_head(
    changes: dict[str, Any], source: nn.Module, tmp_path: Path
) -> None:
    assert_same(body(started(saved(source, "plain", tmp_path), **changes)), body(source))


def test_the_weights_of_an_adapted_network_fit_the_standard_one_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    adapted = create_model(recipe("test_resnet", stem="small", head_dense=8), 5)
    path = saved(adapted, "plain", tmp_path)
    plain = started(path, "test_resnet")
    assert_same(body(plain), body(adapted))
    again = started(saved(plain, "plain", tmp_path), "test_resnet", stem="small", head_dense=4)
    assert_same(body(again), body(adapted))


@pytest.mark.parametrize("channels", [1, 4])
def test_the_first_convolution_is_adapted_to_rgb(channels: int, source: nn.Module, tmp_path: Path) -> None:
    weight = torch.randn(8, channels, 3, 3)
    torch.save({**source.state_dict(), "conv1.weight": weight}, tmp_path / "w.pth")
    found = started(tmp_path / "w.pth").conv1.weight
    assert torch.equal(found, adapt_input_conv(3, weight, base_chans=channels))
    if channels == 1:  # a grey picture looks the same in either form
        grey = torch.randn(2, 1, 9, 9)
        expected = nn.functional.conv2d(grey, weight)
        torch.testing.assert_close(nn.functional.conv2d(grey.expand(-1, 3, -1, -1), found), expected)


@pytest.mark.parametrize("size_px", [48, 96])
def test_position_embeddings_are_resampled_as_timm_does_it(size_px: int, tmp_path: Path) -> None:
    source = timm.create_model("test_vit", num_classes=10, img_size=64)
    torch.save(source.state_dict(), tmp_path / "w.pth")
    model = started(tmp_path / "w.pth", "test_vit", size_px, head_dense=8)
    overlay = {"file": str(tmp_path / "w.pth"), "num_classes": 10, "input_size": (3, 64, 64)}
    reference = timm.create_model(
        "test_vit", pretrained=True, num_classes=3, img_size=size_px, pretrained_cfg_overlay=overlay
    )
    assert_same(body(model, "head."), body(reference, "head."))


def test_names_of_the_first_publication_are_translated_as_timm_does_it(tmp_path: Path) -> None:
    source = timm.create_model("test_convnext", num_classes=10)
    renamings = [
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"^stages\.(\d)\.blocks\.", r"stages.\1."),
        ("conv_dw", "dwconv"),
        (r"mlp\.fc", "pwconv"),
        (r"^head\.norm\.", "norm."),
        (r"^head\.fc\.", "head."),
    ]
    published = {}
    for key, value in source.state_dict().items():
        for pattern, replacement in renamings:
            key = re.sub(pattern, replacement, key)
        published[key] = value
    torch.save(published, tmp_path / "w.pth")
    model = started(tmp_path / "w.pth", "test_convnext", head_dense=8)
    assert_same(body(model, "head.fc."), body(source, "head.fc."))


def test_a_head_of_another_name_may_lie_beside_the_network(source: nn.Module, tmp_path: Path) -> None:
    projection = {"projection.0.weight": torch.zeros(4, 4)}
    torch.save({**source.state_dict(), **projection}, tmp_path / "w.pth")
    assert_same(body(started(tmp_path / "w.pth")), body(source))


def test_old_files_that_count_no_batches_will_do(source: nn.Module, tmp_path: Path) -> None:
    state = source.state_dict()
    torch.save(
        {key: state[key] for key in state if not key.endswith("num_batches_tracked")}, tmp_path / "w.pt"
    )
    found = started(tmp_path / "w.pt").state_dict()
    assert torch.equal(found["layer4.0.bn2.running_var"], state["layer4.0.bn2.running_var"])


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("resnet10t", {}, r"missing: conv1\.weight, .* and \d+ more; .*left over: conv1\.0\.weight"),
        (
            "small_resnet",
            {"width": 16, "depth": 1},
            r"of another shape: conv1\.weight \(16, 3, 3, 3\) for \(8, 3",
        ),
        (
            "small_resnet",
            {"width": 8, "depth": 2},
            r": left over: layer1\.1\.conv1\.weight, .* and \d+ more\.$",
        ),
        ("plain_cnn", {}, r"missing: conv1\.weight"),
    ],
)
def test_another_networks_weights_are_refused_with_what_differs(
    name: str, args: dict[str, int], message: str, tmp_path: Path
) -> None:
    torch.save(timm.create_model(name, **args).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=rf"w\.pth does not hold the weights of small_resnet .*{message}"):
        started(tmp_path / "w.pth")


def test_of_two_networks_in_a_file_none_is_guessed(source: nn.Module, tmp_path: Path) -> None:
    state = source.state_dict()
    both = {f"{role}.{key}": value for role in ("student", "teacher") for key, value in state.items()}
    torch.save(both, tmp_path / "w.pth")
    with pytest.raises(
        ModelError, match=r"w\.pth does not hold the weights of small_resnet .*missing: conv1"
    ):
        started(tmp_path / "w.pth")
    torch.save({**both, **state}, tmp_path / "w.pth")
    assert_same(body(started(tmp_path / "w.pth")), body(source))


LAYER = "layer2.0.conv1.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight.fill_(torch.nan), rf"with NaN or infinity: {LAYER}\.$"),
        (lambda weight: weight.double().fill_(1e300), rf"with NaN or infinity: {LAYER}\.$"),
        (lambda weight: weight.to(torch.int8), rf"no floating-point numbers: {LAYER} \(int8\)\.$"),
        (lambda weight: weight.to(torch.complex64), rf"no floating-point numbers: {LAYER} \(complex64\)\.$"),
        (lambda weight: weight.to_sparse(), rf"must hold dense tensors with values; .*: {LAYER}\.$"),
        (lambda weight: weight.to("meta"), rf"must hold dense tensors with values; .*: {LAYER}\.$"),
    ],
)
def test_weights_that_are_no_numbers_to_start_from_are_refused(
    change: Callable[[Tensor], Tensor], message: str, source: nn.Module, tmp_path: Path
) -> None:
    torch.save({**source.state_dict(), LAYER: change(source.state_dict()[LAYER].clone())}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=message):
        started(tmp_path / "w.pth")


def test_weights_of_another_precision_will_do(source: nn.Module, tmp_path: Path) -> None:
    halves = {key: value.half() if value.ndim else value for key, value in source.state_dict().items()}
    torch.save(halves, tmp_path / "w.pth")
    found = started(tmp_path / "w.pth").state_dict()[LAYER]
    assert torch.equal(found, halves[LAYER].float())


def test_weights_that_timm_cannot_translate_are_refused(tmp_path: Path) -> None:
    state = timm.create_model("test_vit").state_dict()
    torch.save({**state, "pos_embed": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(
        ModelError, match=r"w\.pth does not hold the weights of test_vit: making them fit raised"
    ):
        started(tmp_path / "w.pth", "test_vit")


class Harmful:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


def test_nothing_from_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Harmful()}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="more than plain tensors, and nothing from a file is executed"):
        started(tmp_path / "w.pth")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_damaged_file_is_told(name: str, source: nn.Module, tmp_path: Path) -> None:
    whole = saved(source, "safetensors" if name.endswith("tensors") else "plain", tmp_path).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=rf"{name} (cannot be read|is damaged)"):
        started(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"epoch": 3},
        [1, 2],
        None,
        torch.zeros(3, 3),
        {0: torch.zeros(2), 1: torch.zeros(2)},
        {"state_dict": {"epoch": 3}},
        {"ema": {}, "model": {"decay": 0.9}},
    ],
)
def test_a_file_without_tensors_is_told(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"w\.pth holds no tensors by name"):
        started(tmp_path / "w.pth")


def test_a_path_that_leads_to_no_single_file_is_told(source: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no .*gone"):
        started(tmp_path / "gone")
    for odd in ("x" * 5000, "x/" * 3000, "nul\0"):  # which a recipe refuses, but its API does not
        with pytest.raises(ModelError, match=r"there is no "):
            weights_file(Path(odd))
    with pytest.raises(ModelError, match=r"must hold model\.safetensors or exactly one .*; found none"):
        started(tmp_path)
    for name in ("a.pth", "b.pt"):
        torch.save(source.state_dict(), tmp_path / name)
    with pytest.raises(ModelError, match=r"found a\.pth, b\.pt\. Name the file itself"):
        started(tmp_path)
