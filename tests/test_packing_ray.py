"""Trials that share a GPU, on a real Ray that is told to have some."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search.costs.packing import form, save_costs
from search.trials.trials import Outcome
from spaces.recipe import Recipe
from tests.commands import Desk
from trainables.cost import Cost

pytestmark = pytest.mark.slow

SPACE = """
description: one network
base:
  geometry: {size_px: 16}
  optim: {batch_size: 24}
  model: {name: odd_net, args: ARGS}
parameters:
  optim.lr: {log: [1.0e-3, 1.0e-2]}
"""


def test_trials_share_a_gpu_that_has_time_for_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 8, "GPU": 1}')
    args = {"fault": "meet", "flag": str(desk.folder / "meeting")}  # waits for another process
    recipe = Recipe.model_validate(
        {
            "geometry": {"size_px": 16},
            "optim": {"batch_size": 24},
            "model": {"name": "odd_net", "args": args},
        }
    )
    # A GPU that waits three quarters of the time for its host, and has memory for many.
    waiting = Cost(1000.0, busy=0.25, memory_bytes=1 << 30, device_bytes=80 << 30, at_once=None)
    save_costs(desk.folder / "cache" / "gpu_costs.json", "unknown", {form(recipe): waiting})

    space = desk.space(SPACE.replace("ARGS", json.dumps(args)))
    status, output = desk.search("--space", space, "--trials", "4", "--max-epochs", "1", "--name", "shared")

    assert status == 0, output
    assert "Up to 4 trials at a time" in output
    assert "odd_net at 16 px: 4 on a GPU" in output
    outcomes = [record.outcome for record in desk.records("shared").all()]
    assert outcomes == [Outcome.COMPLETE] * 4


def costs(desk: Desk) -> list[dict[str, float]]:
    file: Path = desk.folder / "cache" / "gpu_costs.json"
    return list(json.loads(file.read_text())["unknown"].values())


def test_costs_are_measured_once_and_gpus_without_cpus_not_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 1, "GPU": 2}')
    both = SPACE.replace("ARGS", "{}").replace("size_px: 16", "size_px: 16, fit: crop") + (
        "  geometry.size_px: {choice: [16, 24]}\n"
    )
    arguments = ("--space", desk.space(both), "--trials", "1", "--max-epochs", "1")
    status, output = desk.search(*arguments, "--name", "first")
    assert status == 0, output
    # Without a real GPU, a training keeps all of what it has busy: nothing is shared.
    assert "odd_net at 16 px: 1 on a GPU" in output
    assert "odd_net at 24 px: 1 on a GPU" in output
    measured = costs(desk)
    assert [cost["busy"] for cost in measured] == [1.0, 1.0]
    assert all(cost["images_per_s"] > 0 for cost in measured)

    assert desk.search(*arguments, "--name", "second")[0] == 0
    assert costs(desk) == measured
