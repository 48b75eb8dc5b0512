"""Searches on clusters that grow and shrink while they run: real Ray, real nodes."""

from __future__ import annotations

import pytest

from search.trials.trials import Outcome
from tests.clusters import RayCluster
from tests.commands import Desk

pytestmark = pytest.mark.slow

SLOW = """
description: trials of twelve reports in one pass, of which none is stopped
base:
  geometry: {size_px: 16}
  optim: {batch_size: 4}
  steps_per_epoch: 1
  model: {name: odd_net, args: {delay_s: 0.6}}
parameters:
  optim.lr: {log: [1.0e-3, 1.0e-2]}
"""


def join(cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    return "--ray", cluster.address


def assert_all_are_whole(desk: Desk, name: str, trials: int) -> None:
    records = desk.records(name).all()
    assert [record.outcome for record in records] == [Outcome.COMPLETE] * trials
    assert all([epoch.epoch for epoch in record.history] == list(range(1, 13)) for record in records)


def test_a_search_on_a_head_alone_has_the_autoscaler_bring_nodes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2}
    with RayCluster({"worker": workers}) as cluster:
        space = ("--space", desk.space(SLOW), "--trials", "4", "--max-epochs", "1", "--name", "grown")
        status, output = desk.search(*space, *join(cluster, monkeypatch))
    assert status == 0, output
    assert "Waiting for a node: a trial asks for 1 worker of 1 CPU" in output
    assert "its autoscaler may add up to 2 x (1 CPU and 0 GPUs)" in output
    assert "room for 1 trial at a time" in output
    # A trial that runs wants no second node: the search has told the autoscaler that it could use one.
    assert "room for 2 trials at a time" in output
    assert_all_are_whole(desk, "grown", 4)


def test_a_search_of_trials_shorter_than_a_process_takes_to_start_uses_nodes_that_join_and_outlives_some(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def running() -> int:
        return sum(1 for record in desk.records("both").all() if record.history and not record.outcome)

    with RayCluster() as cluster:
        first = cluster.add(1)
        space = ("--space", desk.space(SLOW.replace("0.6", "0.25")), "--trials", "30", "--name", "both")
        asked = ("--max-epochs", "1", "--cpus-per-trial", "1", *join(cluster, monkeypatch))
        process = desk.start("search.run", *desk.search_arguments(*space, *asked))
        desk.wait(process, lambda: running() == 1)
        cluster.add(2)
        desk.wait(process, lambda: running() == 3)
        cluster.remove(first)
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "Ray has 3 nodes, 3 CPUs, 0 GPUs now: room for 3 trials at a time." in output
    assert "Ray has 2 nodes, 2 CPUs, 0 GPUs now: room for 2 trials at a time." in output
    assert_all_are_whole(desk, "both", 30)
