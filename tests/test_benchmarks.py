"""The scripts under benchmarks/ compare like with like."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from spaces.recipe_files import load_recipe
from tests.toy_pictures import CPU, toy_pictures
from trainables.models.create import create_model, normalization

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))


def script(name: str) -> ModuleType:
    """A script, imported."""
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_opens_with_the_command_that_runs_it(name: str) -> None:
    opening = ast.get_docstring(ast.parse((FOLDER / name).read_text())) or ""
    assert f"    python benchmarks/{name}" in opening


def test_the_figures_come_from_scripts_that_are_there() -> None:
    text = (FOLDER.parent / "docs" / "benchmarks.md").read_text()
    named = set(re.findall(r"benchmarks/(\w+\.py)", text))
    assert named
    assert named <= set(SCRIPTS)


def test_all_sides_of_the_training_speed_serve_batches_of_one_form(tmp_path: Path) -> None:
    pytest.importorskip("kornia")
    speed = script("training_speed")
    recipe = speed.recipe_of("resnet18@32", 8)
    pictures = speed.drawn_pictures(tmp_path, 32, 40)
    assert pictures.canvas_px == (37, 37)
    model = create_model(recipe, speed.CLASSES)
    for name, source in speed.Sides(pictures, recipe, CPU, model, workers=1).all().items():
        batches = iter(source())
        for batch in (next(batches), next(batches)):
            assert batch.images.shape == (8, 3, 32, 32), name
            assert batch.images.dtype == torch.float32, name
            assert batch.images.is_contiguous(memory_format=torch.channels_last), name
            # Normalised: of pictures in [0, 1] with the network's mean and deviation.
            mean, std = (torch.tensor(of).view(3, 1, 1) for of in normalization(model))
            shown = batch.images * std + mean
            assert -0.01 < shown.min() < 0.3, name
            assert 0.7 < shown.max() < 1.01, name
            assert batch.pictures == len(batch.labels) == 8, name
            assert batch.labels.dtype == torch.int64, name


@pytest.mark.parametrize(("name", "giga_macs"), [("resnet50", 4.11), ("resnet101", 7.83)])
def test_a_training_costs_three_times_the_published_forward_pass(name: str, giga_macs: float) -> None:
    throughput = script("gpu_throughput")
    recipe = throughput.large_recipe(name, batch=256, steps=1)
    assert throughput.training_flops(recipe, 1000) == pytest.approx(3 * 2 * giga_macs * 1e9, rel=0.01)


@pytest.mark.parametrize(
    ("gpu", "tflops"),
    [
        ("NVIDIA A100-SXM4-80GB", 311.9),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA H200", 989.4),
        ("NVIDIA L40S", 362.1),
        ("NVIDIA L4", 121.0),
        ("Tesla T4", 65.1),
        ("NVIDIA GeForce RTX 3060", None),
    ],
)
def test_a_gpu_has_the_peak_of_its_data_sheet_or_none_that_is_known(gpu: str, tflops: float | None) -> None:
    assert script("gpu_throughput").peak_tflops(gpu) == tflops


def test_the_hand_written_epoch_takes_the_same_steps_as_ours() -> None:
    epoch = script("epoch")
    pictures = toy_pictures(epoch.BATCH + 10, seed=0, size_px=epoch.SIZE_PX)
    steps: list[list[torch.Size]] = []

    def stepped(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        assert isinstance(optimizer, torch.optim.AdamW)
        steps.append(sorted(weight.shape for group in optimizer.param_groups for weight in group["params"]))

    handle = register_optimizer_step_post_hook(stepped)
    try:
        epoch.by_hand(pictures, fused=False)
        by_hand, steps = steps, []
        epoch.ours(pictures, CPU, strength=1.0)
    finally:
        handle.remove()
    assert len(by_hand) == 2
    assert steps == by_hand


def test_the_cifar_recipe_shifts_by_four_pixels_and_changes_no_colours() -> None:
    augment = load_recipe(script("cifar10").RECIPE).augment
    assert augment.shift * 32 == 4
    assert augment.brightness == augment.contrast == augment.saturation == augment.hue == 0


def test_the_seconds_to_an_accuracy_are_those_of_the_first_epoch_that_has_it() -> None:
    run = script("cifar10").Run([1.0, 2.0, 3.0], [0.9, 0.95, 0.94])
    assert (run.seconds_to(0.94), run.seconds_to(0.95), run.seconds_to(0.96)) == (2.0, 2.0, None)


def test_the_utilisation_of_slots_is_the_share_of_their_time_that_was_slept() -> None:
    share_of = script("scaling").share_of
    assert share_of([(0, 10), (5, 15)], 0, 10, slots=2) == pytest.approx(15 / 20)
    assert share_of([(0, 10), (0, 10)], 2, 8, slots=2) == 1
    assert share_of([(0, 1), (20, 30)], 2, 8, slots=2) == 0
