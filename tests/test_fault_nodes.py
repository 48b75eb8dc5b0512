"""Searches over several nodes of a real Ray, of which some are lost, come back, or are taken away."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from search.trials.losses import Cause
from search.trials.trials import Outcome
from tests.aftermath import assert_each_trial_is_recorded_once, assert_nothing_is_left, events
from tests.commands import Desk
from tests.faulty import SLOW
from tests.ray_cluster import STORE_BYTES, kill
from tests.ray_cluster import cluster as cluster

pytestmark = pytest.mark.slow

HOARDER = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False)
hoard = [ray.put(bytes(10 * 1024**2)) for _ in range(12)]
print("full", flush=True)
sys.stdin.read()
"""
RANDOM = ("--sampler", "random", "--cost-model", "static", "--rematch", "0")


def start(desk: Desk, cluster: Cluster, name: str, *arguments: str) -> Any:
    asked = ("--space", desk.space(SLOW.replace("0.15", "0.3")), "--ray", cluster.address, "--name", name)
    given = ("--data", "pictures", "--import", "odd_networks", *RANDOM)
    return desk.start("search.run", *asked, *given, *arguments)


def drain(cluster: Cluster, node: Any, *, within_s: float) -> None:
    """Takes a node away as a spot notice does."""
    asked = ray._raylet.GcsClient(address=cluster.address).drain_node(
        node.node_id,
        autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
        "a spot notice",
        int((time.time() + within_s) * 1000),
    )
    assert asked[0], asked


def test_trials_of_a_lost_node_go_on_elsewhere_and_one_that_comes_back_gets_some(
    desk: Desk, cluster: Cluster
) -> None:
    cluster.add_node(num_cpus=1)
    lost = cluster.add_node(num_cpus=1)
    process = start(desk, cluster, "nodes", "--trials", "8", "--max-epochs", "3", "--concurrency", "2")
    desk.wait(process, lambda: len(desk.records("nodes").order) >= 3)
    kill(lost)
    desk.wait(process, lambda: any(record.retries for record in desk.records("nodes").all()))
    cluster.add_node(num_cpus=1)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    folder = desk.folder / "results" / "nodes"
    assert_each_trial_is_recorded_once(folder, 8)
    retries = [event for event in events(folder) if event["event"] == "retry"]
    assert {event["cause"] for event in retries} == {Cause.NODE}
    assert all(record.outcome.scored for record in desk.records("nodes").all() if record.outcome)
    assert_nothing_is_left(folder, session=process.pid, address=cluster.address)


def test_trials_leave_a_node_that_is_drained_with_all_that_they_learnt(desk: Desk, cluster: Cluster) -> None:
    drained = cluster.add_node(num_cpus=1)
    process = start(desk, cluster, "drained", "--trials", "2", "--max-epochs", "6", "--concurrency", "1")
    desk.wait(process, lambda: len(desk.records("drained").order) >= 2)
    drain(cluster, drained, within_s=120)
    cluster.add_node(num_cpus=1)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    folder = desk.folder / "results" / "drained"
    assert_each_trial_is_recorded_once(folder, 2)
    found = desk.records("drained").all()
    assert sum(record.retries for record in found) >= 1
    assert [event["why"] for event in events(folder) if event["event"] == "retry"][:1] == [
        "its machine was lost or taken away"
    ]
    assert all(record.outcome in (Outcome.COMPLETE, Outcome.STOPPED) for record in found)
    assert found[0].epochs_done == 6 or found[0].outcome is Outcome.STOPPED
    assert_nothing_is_left(folder, session=process.pid, address=cluster.address)


def test_a_trial_of_two_workers_starts_again_when_the_node_of_one_is_drained(
    desk: Desk, cluster: Cluster
) -> None:
    cluster.add_node(num_cpus=1)
    drained = cluster.add_node(num_cpus=1)
    groups = ("--workers-per-trial", "2", "--cpus-per-trial", "1")
    process = start(desk, cluster, "groups", "--trials", "1", "--max-epochs", "16", *groups)
    desk.wait(process, lambda: len(desk.records("groups").order) >= 2)
    drain(cluster, drained, within_s=3)
    cluster.add_node(num_cpus=1)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    folder = desk.folder / "results" / "groups"
    assert_each_trial_is_recorded_once(folder, 1)
    (trial,) = desk.records("groups").all()
    assert (trial.outcome, trial.epochs_done) == (Outcome.COMPLETE, 16)
    assert {event["cause"] for event in events(folder) if event["event"] == "retry"} == {Cause.NODE}
    assert_nothing_is_left(folder, session=process.pid, address=cluster.address)


def test_a_search_passes_where_the_object_store_is_full_of_somebody_elses_objects(
    desk: Desk, cluster: Cluster
) -> None:
    cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOARDER, cluster.address], **pipes) as hoarder:
        assert hoarder.stdout
        assert hoarder.stdout.readline() == "full\n"
        process = start(desk, cluster, "store", "--trials", "2", "--max-epochs", "1")
        output, _ = process.communicate(timeout=200)
        hoarder.communicate("")
    assert process.returncode == 0, output
    folder = desk.folder / "results" / "store"
    assert_each_trial_is_recorded_once(folder, 2)
    assert_nothing_is_left(folder, session=process.pid, address=cluster.address)
    assert all(record.outcome is Outcome.COMPLETE for record in desk.records("store").all())
