"""How large and how slow a network is, and whether the hub is there, before anything is trained."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name
from torch import nn

from spaces.recipe import Recipe
from spaces.timm_names import timm_models
from tests.toy_pictures import tiny_recipe
from trainables.models import create as create_module
from trainables.models import download, size
from trainables.models import dry_run as dry_run_module
from trainables.models.create import create_model
from trainables.models.dry_run import dry_run
from trainables.models.errors import ModelError
from trainables.models.size import TIMED, WARM_UP, latency_ms, parameters

import timm  # isort: skip  (after our networks: see trainables.torch_setup)
from timm.models import register_model  # isort: skip


def recipe(name: str, size_px: int = 64, **model: Any) -> Recipe:
    return tiny_recipe(model={"name": name, "args": {}, **model}, geometry={"size_px": size_px})


@pytest.mark.parametrize(
    "sized",
    [
        recipe("vgg4_cnn"),
        recipe("small_resnet", args={"width": 10, "depth": 2}),
        recipe("test_vit"),
        recipe("test_resnet", stem="small", head_dense=20),
        recipe("test_convnext", pretrained=True),
    ],
    ids=lambda sized: sized.model.name,
)
def test_parameters_are_counted_without_making_them(sized: Recipe) -> None:
    made = create_model(sized, 3, weights=False)
    assert parameters(sized, 3) == sum(parameter.numel() for parameter in made.parameters())


def test_the_table_says_how_large_a_network_is_with_1000_classes() -> None:
    for name in ("resnet18", "test_vit", "mobilenetv3_small_050"):
        side = timm_models()[name].input_px
        assert parameters(recipe(name, side), 1000) == timm_models()[name].parameters


def test_latency_is_that_of_one_picture_at_the_recipes_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[int, ...], bool, bool]] = []

    def watched(*args: Any, **keywords: Any) -> nn.Module:
        model = create_model(*args, **keywords)
        model.register_forward_pre_hook(
            lambda module, inputs: seen.append(
                (tuple(inputs[0].shape), module.training, torch.is_grad_enabled())
            )
        )
        return model

    monkeypatch.setattr(size, "create_model", watched)
    assert latency_ms(recipe("plain_cnn", 40), 3, torch.device("cpu")) > 0
    assert seen == [((1, 3, 40, 40), False, False)] * (WARM_UP + TIMED)


def test_latency_is_the_median_of_the_passes_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each pass takes as many milliseconds as it has passes before it, but one that was interrupted.
    clock = iter(
        moment
        for place in range(WARM_UP + TIMED)
        for moment in (place, place + (60.0 if place == WARM_UP else place / 1000))
    )
    monkeypatch.setattr(size, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert latency_ms(recipe("plain_cnn", 40), 3, torch.device("cpu")) == pytest.approx(
        WARM_UP + TIMED // 2 + 1
    )


def test_a_network_that_cannot_take_its_pictures_is_refused() -> None:
    dry_run(recipe("pvt_v2_b0", 64), 3)
    with pytest.raises(
        ModelError, match=r"'pvt_v2_b0' cannot take pictures of 20 px .* \(it was made for 224"
    ):
        dry_run(recipe("pvt_v2_b0", 20), 3)
    growing = recipe("pvt_v2_b0", 64)
    growing = growing.model_copy(update={"geometry": growing.geometry.model_copy(update={"start_px": 20})})
    with pytest.raises(ModelError, match="cannot take pictures of 20 px"):
        dry_run(growing, 3)


def test_only_a_network_that_fails_on_real_pictures_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky(nn.Linear):
        """It looks at values, which shapes alone do not have."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images * images.mean().item()

    made: list[torch.device] = []

    def making(*args: Any, **keywords: Any) -> nn.Module:
        made.append(torch.get_default_device())
        return Picky(2, 2)

    for module in (create_module, dry_run_module):
        monkeypatch.setattr(module, "create_model", making)
    dry_run(recipe("test_resnet"), 3)
    assert [device.type for device in made] == ["meta", "cpu"]


def test_a_network_that_reads_values_while_it_is_made_is_made_for_real(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @register_model
    def looks_at_values(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]
        return timm.create_model("test_resnet", drop_path_rate=rates[-1], **kwargs)

    odd, plain = recipe("looks_at_values", 32), recipe("test_resnet", 32)
    dry_run(odd, 3)
    assert parameters(odd, 3) == parameters(plain, 3)


@pytest.mark.parametrize("name", ["plain_cnn", "small_resnet", "test_vit", "test_convnext", "levit_128s"])
def test_shapes_alone_are_enough_for_ordinary_networks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def making(*args: Any, **keywords: Any) -> nn.Module:
        made.append(torch.get_default_device().type)
        return create_model(*args, **keywords)

    for module in (create_module, dry_run_module):
        monkeypatch.setattr(module, "create_model", making)
    dry_run(recipe(name, 224 if name.startswith("levit") else 64), 3)
    assert made == ["meta"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A hub on this machine that answers with `status`, or hangs up where that is None, and counts."""
    state: dict[str, Any] = {"status": 404, "asked": 0}

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            state["asked"] += 1
            if state["status"] is not None:
                self.send_response(state["status"])
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(
        download, "hf_hub_url", lambda *_, **__: f"http://127.0.0.1:{server.server_port}/timm/config.json"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    yield state
    server.shutdown()
    server.server_close()


def test_a_hub_that_cannot_be_reached_is_asked_once(hub: dict[str, Any]) -> None:
    hub["status"] = None
    with pytest.raises(
        ModelError, match=r"weights of 'resnet10t' cannot be had .*huggingface\.co.* model\.weights: PATH"
    ):
        create_model(recipe("resnet10t", pretrained=True), 3)
    assert hub["asked"] == 1


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_hub_that_answers_is_left_to_timm(hub: dict[str, Any], status: int) -> None:
    hub["status"] = status
    download.require_hub("resnet10t")
    assert hub["asked"] == 1


def test_weights_in_the_cache_need_no_hub(hub: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / repo_folder_name(repo_id="timm/resnet10t.c3_in1k", repo_type="model")
    (folder / "snapshots" / "0123").mkdir(parents=True)
    (folder / "snapshots" / "0123" / "model.safetensors").touch()
    hub["status"] = None
    download.require_hub("resnet10t")
    download.require_hub("resnet10t.c3_in1k")
    assert hub["asked"] == 0


def test_a_network_that_is_on_no_hub_needs_none(hub: dict[str, Any]) -> None:
    download.require_hub("small_resnet")
    assert hub["asked"] == 0
