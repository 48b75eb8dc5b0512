"""What a dry run says of the room for trials, without Ray being started."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest
import ray

from search.settings.settings import Settings
from search.tune import foreseen
from search.tune.cluster import Cluster, ClusterError
from search.tune.connection import Connection
from search.tune.foreseen import foresee, this_machine
from search.tune.nodes import Node


def settings(**changes: Any) -> Settings:
    return Settings(**{"name": "mine", "space": "demo", "cache_dir": "cache", "ray": "local", **changes})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight CPUs, without GPUs."""
    monkeypatch.setattr(foreseen, "this_machine", lambda: Cluster("this machine", (Node(8),)))


@pytest.mark.usefixtures("machine")
def test_without_a_cluster_trials_are_planned_on_this_machine() -> None:
    assert list(foresee(settings())) == [
        "It starts Ray on this machine: 1 node, 8 CPUs, 0 GPUs.",
        "4 trials at a time, each with 1 worker of 2 CPUs and 0 GPUs.",
    ]
    assert not ray.is_initialized()


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"cpus_per_trial": 64}, "1 worker of 64 CPUs and 0 GPUs, each on one node, and .*8 CPUs and 0 GPUs"),
        ({"gpus_per_trial": 1}, "1 worker of .* and 1 GPU, "),
        ({"workers_per_trial": 9}, "9 workers of 1 CPU and 0 GPUs"),
        ({"gpu_hours": 2.0}, "--gpu-hours would never end this search"),
    ],
)
def test_what_this_machine_has_no_room_for_is_refused(asked: Any, said: str) -> None:
    with pytest.raises(ClusterError, match=said):
        list(foresee(settings(**asked)))


def test_gpus_that_trials_may_share_are_said_to_be_measured_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreseen, "this_machine", lambda: Cluster("this machine", (Node(16, 2),)))
    assert list(foresee(settings()))[-1] == "How many trials share a GPU is measured when the search starts."
    told = list(foresee(settings(pack="off")))
    assert told[-1] == "2 trials at a time, each with 1 worker of 8 CPUs and 1 GPU."


def test_a_cluster_that_answers_is_named_and_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        (said,) = foresee(settings(ray=address, cpus_per_trial=64))
        assert said.startswith(f"It joins the Ray cluster at {address}, ")
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert list(foresee(settings(ray="auto", cpus_per_trial=64))) == [said]
    with pytest.raises(ClusterError, match=f"no Ray cluster answers at {address}"):
        list(foresee(settings(ray=address)))


@pytest.mark.slow
def test_this_machine_has_what_a_ray_that_is_started_here_finds() -> None:
    with contextlib.closing(Connection(settings())) as connection:
        there = connection.cluster()
        assert this_machine().nodes == there.nodes
        assert this_machine().gpu_types == there.gpu_types
