"""Trials that share a GPU, on a real Ray that is told to have one."""

from __future__ import annotations

import json

import pytest

from tests.commands import Desk

pytestmark = pytest.mark.slow

SPACE = """
description: trials of 24 slow steps
base:
  geometry: {size_px: 16}
  optim: {batch_size: 2}
  model: {name: odd_net, args: {delay_s: 0.1}}
parameters:
  optim.lr: {log: [1.0e-3, 1.0e-2]}
"""


def test_trials_share_a_gpu_as_what_they_cost_it_tells(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 8, "GPU": 1}')
    costs_file = desk.folder / "results" / "packed" / "costs.json"
    arguments = ("--space", desk.space(SPACE), "--trials", "1", "--max-epochs", "1", "--name", "packed")

    # Without a real GPU, a training keeps all of what it has busy: nothing is shared.
    status, output = desk.search(*arguments)
    assert status == 0, output
    assert "up to 1 trials at a time" in output
    measured = json.loads(costs_file.read_text())
    (cost,) = measured["costs"]
    assert (cost["model"], cost["size_px"], cost["busy"]) == ("odd_net", 16, 1.0)
    assert 0 < cost["images_per_s"] < 2 / 0.1

    # A GPU that waits three quarters of the time for its host, and has memory for many.
    cost |= {"busy": 0.25, "memory_bytes": 1 << 30, "device_bytes": 80 << 30}
    costs_file.write_text(json.dumps(measured))
    status, output = desk.run("search.run", "--name", "packed", "--resume", "--trials", "7")
    assert status == 0, output
    assert "up to 4 trials at a time" in output
    assert json.loads(costs_file.read_text()) == measured, "what is known is not measured again"
    ends = [(epoch.time, epoch.metrics["epoch_s"]) for epoch in desk.records("packed").order[1:]]
    beside = [sum(end - epoch_s < moment <= end for end, epoch_s in ends) for moment, _ in ends]
    # Two to four: the processes for the third and the fourth may start too late to be needed.
    assert 2 <= max(beside) <= 4
