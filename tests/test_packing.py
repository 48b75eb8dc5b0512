"""How many trainings share a GPU, and what is measured to know it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from search.costs.packing import HEADROOM, Measured, costliest, form, kind, load_costs, save_costs, together
from search.settings.settings import Settings
from search.trials.trials import Trial
from search.tune.cluster import Cluster
from search.tune.nodes import Node
from search.tune.resources import Resources, may_share, packed, share
from spaces.space_files import load_space
from tests.toy_pictures import tiny_recipe
from trainables.cost import Cost
from trainables.models.size import parameters
from trainables.pixels import RESIDENT_SHARE
from trainables.process import usable_bytes
from trainables.workplace import Slot

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


@pytest.mark.parametrize(("memory_gb", "device_gb"), [(3, 16), (5, 80), (1, 24)])
def test_memory_bounds_how_many_share_a_gpu(memory_gb: int, device_gb: int) -> None:
    hungry = cost(busy=0.01, memory_bytes=memory_gb * GB, device_bytes=device_gb * GB)
    shared = together(hungry, cpus=64)
    assert shared > 1
    assert usable_bytes(device_gb * GB, 1 / shared) * (1 - 2 * RESIDENT_SHARE) > memory_gb * GB
    one_more = usable_bytes(device_gb * GB, 1 / (shared + 1)) * (1 - 2 * RESIDENT_SHARE)
    assert shared == 16 or one_more < memory_gb * GB * HEADROOM


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
    chosen = costliest(load_space(str(tmp_path / "space.yaml")), [start])
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
    most = {kind(recipe): parameters(recipe, 10) for recipe in costliest(space, [])}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(40):
        recipe = space.suggest(study.ask(), epochs=5)
        assert parameters(recipe, 10) <= most[kind(recipe)]


def test_a_stem_that_keeps_the_pixels_costs_more_than_one_that_does_not() -> None:
    chosen = {kind(recipe): recipe for recipe in costliest(load_space("full"), [])}
    assert chosen["resnet18", 64].model.stem == "small"


def test_what_was_measured_is_kept_by_gpu(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "gpu_costs.json"
    costs = {form(tiny_recipe()): cost(), form(tiny_recipe(optim={"batch_size": 8})): cost(at_once=24)}
    assert load_costs(file, "H100") == {}
    save_costs(file, "H100", costs)
    save_costs(file, "T4", {})
    assert load_costs(file, "H100") == costs
    assert load_costs(file, "T4") == load_costs(file, "A100") == {}


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"H100": []}', '{"H100": {"a": {}}}'])
def test_a_damaged_file_tells_nothing_and_is_written_anew(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "gpu_costs.json"
    file.write_text(damage)
    assert load_costs(file, "H100") == {}
    save_costs(file, "H100", {"a form": cost()})
    assert load_costs(file, "H100") == {"a form": cost()}


# What trials get of it.


def shared(cluster: Cluster, busy: float = 0.25, **asked: Any) -> Resources:
    """The resources of a search whose one network was measured."""
    given = {"name": "x", "space": "demo", "cache_dir": "cache", "trials": 100} | asked
    settings = Settings(**given)
    assert may_share(cluster, settings)
    measured = {kind(tiny_recipe()): Measured(form(tiny_recipe()), cost(busy=busy, at_once=12))}
    return packed(share(cluster, settings), measured, cluster, settings)


def slot(resources: Resources, **sections: Any) -> Slot:
    return resources.slot(Trial(0, tiny_recipe(**sections).to_dict(), {}, seed=0, epochs=1))


def one_node(cpus: float, gpus: float) -> Cluster:
    return Cluster("a node", (Node(cpus, gpus),), ("accelerator_type:H100",))


def test_each_trial_gets_its_part_of_gpu_and_cpus() -> None:
    resources = shared(one_node(16, 2))
    assert resources.concurrency == 8
    assert slot(resources) == Slot(2.0, 0.25, 12)
    # Another form of the network finds out by itself how much fits; another network has a GPU for itself.
    assert slot(resources, optim={"batch_size": 8}) == Slot(2.0, 0.25)
    assert slot(resources, geometry={"size_px": 32}) == Slot(8.0, 1.0)


@pytest.mark.parametrize("busy", [1.0, 0.5, 0.34, 0.15, 0.07])
def test_parts_never_add_up_to_more_than_a_gpu(busy: float) -> None:
    resources = shared(one_node(64, 1), busy)
    assert 0.99 < resources.concurrency * slot(resources).gpus <= 1


def test_few_trials_spread_over_all_gpus() -> None:
    # Ray fills one GPU before it takes the next.
    resources = shared(one_node(64, 8), trials=16)
    assert (resources.concurrency, slot(resources).gpus) == (16, 0.5)
    assert slot(shared(one_node(64, 8), trials=8)).gpus == 1


@pytest.mark.parametrize(
    "asked", [{"pack": "off"}, {"gpus_per_trial": 0.5}, {"cpus_per_trial": 4}, {"workers_per_trial": 2}]
)
def test_who_says_what_a_trial_gets_is_obeyed(asked: dict[str, Any]) -> None:
    settings = Settings(name="x", space="demo", cache_dir="cache", **asked)
    assert not may_share(one_node(16, 2), settings)


def test_gpus_of_several_kinds_are_not_shared() -> None:
    mixed = Cluster("two nodes", (Node(8, 1), Node(8, 1)), ("accelerator_type:H100", "accelerator_type:T4"))
    settings = Settings(name="x", space="demo", cache_dir="cache")
    assert not may_share(mixed, settings)
    assert not may_share(one_node(8, 0), settings)
