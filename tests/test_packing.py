"""How many trainings share a GPU, and what is measured to know it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from search.folder import FolderError
from search.packing import PROCESS_BYTES, costliest, keep, kept, kind, together
from spaces.space_files import load_space
from tests.toy_pictures import tiny_recipe
from trainables.cost import Cost
from trainables.models.size import parameters

GB = 1 << 30


def cost(**given: Any) -> Cost:
    usual = {
        "images_per_s": 1000.0,
        "busy": 0.25,
        "memory_bytes": GB,
        "device_bytes": 80 * GB,
        "at_once": None,
    }
    return Cost(**usual | given)


@pytest.mark.parametrize(
    ("busy", "trainings"), [(1.0, 1), (0.9, 2), (0.5, 2), (0.34, 3), (0.25, 4), (0.01, 16)]
)
def test_so_many_share_a_gpu_as_it_takes_to_keep_it_busy(busy: float, trainings: int) -> None:
    assert together(cost(busy=busy), cpus=64) == trainings


def test_memory_bounds_how_many_share_a_gpu() -> None:
    small = cost(busy=0.01, memory_bytes=3 * GB, device_bytes=16 * GB)
    shared = together(small, cpus=64)
    assert shared == 3
    assert shared * (3 * GB + PROCESS_BYTES) < 16 * GB


@pytest.mark.parametrize(("cpus", "trainings"), [(1, 1), (2.5, 2), (8, 4)])
def test_each_training_has_a_cpu(cpus: float, trainings: int) -> None:
    assert together(cost(), cpus=cpus) == trainings


def test_what_fills_a_gpu_alone_has_it_for_itself() -> None:
    assert together(cost(busy=0.1, memory_bytes=79 * GB), cpus=16) == 1


SPACE = """
description: Two networks in two sizes
parameters:
  model.name: {choice: [plain_cnn, small_resnet]}
  model.args.width:
    - {choice: [16, 64], when: {model.name: plain_cnn}}
    - {choice: [16, 32], when: {model.name: small_resnet}}
  geometry.size_px: {choice: [32, 48]}
  optim.batch_size: {choice: [32, 128]}
  optim.lr: {log: [1e-4, 1e-2]}
"""


def test_of_each_network_and_size_the_costliest_form_is_measured(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    start = tiny_recipe(geometry={"size_px": 64})
    chosen = costliest(load_space(str(tmp_path / "space.yaml")), [start], classes=10)
    assert {kind(recipe) for recipe in chosen} == {
        *((name, size_px) for name in ("plain_cnn", "small_resnet") for size_px in (32, 48)),
        ("plain_cnn", 64),
    }
    from_space = [recipe for recipe in chosen if recipe is not start]
    assert {recipe.optim.batch_size for recipe in from_space} == {128}
    widths = {(recipe.model.name, recipe.model.args["width"]) for recipe in from_space}
    assert widths == {("plain_cnn", 64), ("small_resnet", 32)}


def test_no_form_of_a_network_has_more_parameters_than_the_one_that_is_measured() -> None:
    space = load_space("scratch")
    most = {kind(recipe): parameters(recipe, 10) for recipe in costliest(space, [], classes=10)}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(40):
        recipe = space.suggest(study.ask(), epochs=5)
        assert parameters(recipe, 10) <= most[kind(recipe)]


def test_what_was_measured_is_kept_for_the_same_gpus_only(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    costs = {("resnet18", 64): cost(), ("resnet50", 224): cost(at_once=24)}
    assert kept(file, ["H100"]) == {}
    keep(file, ["H100"], costs)
    assert kept(file, ["H100"]) == costs
    assert kept(file, ["T4"]) == {}


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", '{"gpus": ["H100"], "costs": [{}]}', '{"gpus": ["H100"]}']
)
def test_damaged_costs_are_told(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "costs.json"
    file.write_text(damage)
    with pytest.raises(FolderError, match=r"costs\.json does not hold the costs of networks"):
        kept(file, ["H100"])
