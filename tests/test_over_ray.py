"""A retrain on the machines of a cluster: the model of one machine, whatever becomes of the others."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from search.model.training import STATE_SUFFIX
from search.over_ray import GPU, NODE, devices_of, resources_of
from search.retrain import main
from search.storage.scratch import folders
from search.tune import cluster as ray_clusters
from search.tune.cluster import ClusterError
from search.tune.nodes import Node, NodeType
from spaces.recipe import Recipe
from tests.aftermath import placement_groups, processes_of
from tests.commands import Desk
from tests.ray_cluster import cluster as cluster
from tests.ray_cluster import kill
from tests.s3 import BUCKET, S3Server
from tests.s3 import s3_server as s3_server
from tests.searched import searched
from tests.toy_pictures import tiny_recipe
from trainables.checkpoint import Checkpoint
from trainables.storage import Storage
from trainables.workplace import Slot

EPOCHS = 8


def recipe(delay_s: float = 0.0) -> Recipe:
    """`delay_s` a batch."""
    odd = {"name": "odd_net", "args": {"delay_s": delay_s}}
    return tiny_recipe(model=odd, optim={"batch_size": 32}, augment={"strength": 0.5})


def start(desk: Desk, cluster: Cluster, *arguments: str) -> subprocess.Popen[str]:
    return desk.start("search.retrain", "results/mine", "--ray", cluster.address, *arguments)


def epochs_of(path: Path) -> int:
    """That a training has done, by its state beside where its model is going to be."""
    return max((Checkpoint.load(state).epoch for state in path.glob(f".model.*{STATE_SUFFIX}")), default=0)


def assert_each_epoch_is_told_once(output: str) -> None:
    told = [line.split(" of ")[0].split()[1] for line in output.splitlines() if line.startswith("epoch ")]
    assert told == [str(epoch) for epoch in range(1, EPOCHS + 1)]


def assert_nothing_is_left(cluster: Cluster, process: subprocess.Popen[str]) -> None:
    assert placement_groups(cluster.address) == []
    assert processes_of(process.pid) == []
    assert folders() == []


@pytest.mark.slow
def test_a_retrain_that_loses_a_node_goes_on_with_the_other_and_comes_to_the_same_model(
    tmp_path: Path, cluster: Cluster
) -> None:
    folder = searched(tmp_path, recipe(delay_s=0.4), epochs=EPOCHS, imports=("odd_networks",))
    desk = Desk(tmp_path)
    status, output = desk.run("search.retrain", "results/mine", "--out", "alone")
    assert status == 0, output

    cluster.add_node(num_cpus=1)
    lost = cluster.add_node(num_cpus=1)
    process = start(desk, cluster)
    desk.wait(process, lambda: epochs_of(folder.path) >= 2)
    kill(lost)
    output, _ = process.communicate(timeout=300)

    assert process.returncode == 0, output
    first, second = (output.index(f"Training on {number} worker") for number in (2, 1))
    for words in (
        "starts again from its last state: its machine was lost",
        "No node can hold a trial: a trial asks for 2 workers of 1 CPU",
    ):
        assert first < output.index(words) < second
    assert_each_epoch_is_told_once(output)
    alone, over_ray = (folder.read_json(path / "metrics.json") for path in (tmp_path / "alone", folder.model))
    assert over_ray["test"]["accuracy"] == alone["test"]["accuracy"]
    assert over_ray["test"]["log_loss"] == pytest.approx(alone["test"]["log_loss"], abs=1e-4)
    assert not list(folder.path.glob(".model.*"))
    assert_nothing_is_left(cluster, process)


@pytest.mark.slow
def test_one_that_is_interrupted_goes_on_from_the_storage_on_a_machine_alone(
    tmp_path: Path, s3_server: S3Server, cluster: Cluster
) -> None:
    folder = searched(tmp_path, recipe(delay_s=0.2), epochs=EPOCHS, imports=("odd_networks",))
    desk, uri = Desk(tmp_path), f"s3://{BUCKET}/searches?{s3_server.options}"
    home = Storage(uri) / "mine"
    cluster.add_node(num_cpus=1)
    process = start(desk, cluster, "--storage", uri)
    desk.wait(process, lambda: any(name.endswith(STATE_SUFFIX) for name in (home / "retrain").files()))
    os.kill(process.pid, signal.SIGINT)
    first, _ = process.communicate(timeout=100)
    assert process.returncode == 130, first
    assert "the same command goes on after the last epoch" in first
    assert 1 <= epochs_of(folder.path) < EPOCHS
    assert_nothing_is_left(cluster, process)

    for state in folder.path.glob(".model.*"):
        state.unlink()  # as on another machine
    status, second = desk.run("search.retrain", "results/mine", "--storage", uri)
    assert status == 0, second
    assert "epoch   1 of" in first
    assert "epoch   1 of" not in second
    assert "model/metrics.json" in home.files()
    assert not (home / "retrain").files()


@pytest.mark.slow
def test_one_that_hangs_is_ended_and_gives_back_what_it_had(tmp_path: Path, cluster: Cluster) -> None:
    odd = {"name": "odd_net", "args": {"fault": "hang", "at_step": 6}}
    hanging = tiny_recipe(model=odd, optim={"batch_size": 32})
    folder = searched(tmp_path, hanging, epochs=EPOCHS, imports=("odd_networks",), timeout_min=0.1)
    cluster.add_node(num_cpus=2)
    process = start(Desk(tmp_path), cluster)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 2, output
    assert "no report for" in output
    assert "The same command goes on" in output
    assert epochs_of(folder.path) >= 1
    assert_nothing_is_left(cluster, process)


def cluster_of(*nodes: Node, to_come: tuple[NodeType, ...] = ()) -> ray_clusters.Cluster:
    return ray_clusters.Cluster("", nodes, joined=True, to_come=to_come)


@pytest.mark.parametrize(
    ("there", "wanted", "devices"),
    [
        (cluster_of(Node(8), Node(8, 2), Node(8, 1)), "all", [GPU] * 3),
        (cluster_of(Node(8), Node(8, 2), Node(8, 1)), "2", [GPU] * 2),
        (cluster_of(Node(8), to_come=(NodeType(Node(8, 1), 4),)), "all", [GPU] * 4),
        (cluster_of(Node(8), Node(8, 1), to_come=(NodeType(Node(8, 1), 4),)), "all", [GPU] * 4),
        (cluster_of(Node(8, 4), Node(2, 4), Node(0, 4)), "all", [GPU] * 6),
        (cluster_of(Node(8), Node(8, 1), to_come=(NodeType(Node(8, 1), 4),)), "4", [GPU] * 4),
        (cluster_of(Node(0), Node(8), Node(4)), "all", [NODE] * 2),
    ],
)
def test_all_is_what_there_is_or_may_be(there: ray_clusters.Cluster, wanted: str, devices: list[str]) -> None:
    assert devices_of(there, wanted) == devices


@pytest.mark.parametrize(
    ("there", "workers", "on_gpus", "slot"),
    [
        (cluster_of(Node(4, 4), Node(4, 1), Node(4, 1)), 6, True, Slot(1, 1)),
        (cluster_of(Node(32, 8), Node(16, 1), Node(8)), 9, True, Slot(4, 1)),
        (cluster_of(Node(2), to_come=(NodeType(Node(8, 1), 4),)), 4, True, Slot(8, 1)),
        (cluster_of(Node(0), Node(8), Node(4.5)), 2, False, Slot(4, 0)),
    ],
)
def test_the_workers_get_what_every_node_can_give(
    there: ray_clusters.Cluster, workers: int, on_gpus: bool, slot: Slot
) -> None:
    found = resources_of(there, workers, on_gpus=on_gpus)
    assert (found.worker, found.workers) == (slot, workers)
    assert found.room(slot, there.kinds) >= 1


@pytest.mark.parametrize("wanted", ["0", "4", "some", "-1", "1.5"])
def test_gpus_that_a_cluster_has_not_are_refused(wanted: str) -> None:
    with pytest.raises(ClusterError, match=f"--gpus {wanted}: .*8 CPUs and 3 GPUs"):
        devices_of(cluster_of(Node(8, 3)), wanted)
    with pytest.raises(ClusterError, match="nothing can train"):
        devices_of(cluster_of(Node(0)), "all")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--ray", "127.0.0.1:1"], "no Ray cluster answers at 127.0.0.1:1"),
        (["--ray", "http://127.0.0.1:8265"], "give a host and a port, such as 10.0.0.1:6379"),
        (["--ray", "local"], "leave --ray out to train on this machine alone"),
        (["--ray", "auto", "--device", "cpu"], "not allowed with argument"),
        (["--device", "cpu", "--gpus", "2"], "argument --gpus: not allowed with argument --device"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_trained(
    arguments: list[str],
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    searched(tmp_path, tiny_recipe())
    monkeypatch.chdir(tmp_path)
    status = exit_status(lambda: main(["results/mine", *arguments]))
    assert (status, error in capsys.readouterr().err) == (2, True)


def exit_status(command: Callable[[], int]) -> int | str | None:
    try:
        return command()
    except SystemExit as end:
        return end.code
