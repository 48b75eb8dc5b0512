"""Searches over several nodes of a real Ray, on one of which trials find nothing to work with."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from search.trials.losses import Cause
from search.trials.trials import Outcome
from tests.aftermath import assert_each_trial_is_recorded_once, assert_nothing_is_left, events
from tests.commands import Desk
from tests.faulty import SLOW
from tests.ray_cluster import cluster as cluster
from tests.ray_cluster import kill

pytestmark = pytest.mark.slow

PICKY = """
import os
if "LACKING" in os.environ:
    raise OSError("not on this machine")
"""
PLACES = 2
"""Of the node that lacks something."""


def start(desk: Desk, cluster: Cluster, *arguments: str) -> tuple[subprocess.Popen[str], Any]:
    """A search on a node that lacks something, and on another with one place; and that other one."""
    cluster.add_node(num_cpus=PLACES, env_vars={"LACKING": "1"})
    other = cluster.add_node(num_cpus=1)
    (desk.folder / "picky.py").write_text(PICKY)
    asked = desk.search_arguments(
        *("--space", desk.space(SLOW), "--import", "picky", "--ray", cluster.address, "--name", "picky"),
        *("--sampler", "random", "--cost-model", "static", *arguments),
    )
    return desk.start("search.run", *asked), other


def test_each_place_there_costs_one_start_and_the_other_node_does_the_rest(
    desk: Desk, cluster: Cluster
) -> None:
    process, _ = start(desk, cluster, "--trials", "8", "--max-epochs", "2")
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    folder = desk.folder / "results" / "picky"
    assert_each_trial_is_recorded_once(folder, 8)
    assert_nothing_is_left(folder, session=process.pid, address=cluster.address)
    lost = [event for event in events(folder) if event["event"] == "retry"]
    assert 1 <= len(lost) <= PLACES
    assert {event["cause"] for event in lost} == {Cause.NODE}
    for event in lost:
        assert "not on this machine" in event["why"]
        assert event["why"].endswith("; its place stays empty until that is mended")
    found = desk.records("picky").all()
    assert all(record.outcome in (Outcome.COMPLETE, Outcome.STOPPED) for record in found)


def test_when_only_that_node_is_left_the_search_ends_and_says_what_is_missing(
    desk: Desk, cluster: Cluster
) -> None:
    process, other = start(desk, cluster, "--trials", "8", "--max-epochs", "24")
    desk.wait(process, lambda: len(desk.records("picky").losses) == PLACES)
    kill(other)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 2, output
    assert "Trials found nothing to work with in any place that is left: all are tried again." in output
    assert "trial after trial finds nothing to work with: " in output
    assert "not on this machine" in output
    assert "--resume" in output
    folder = desk.folder / "results" / "picky"
    assert_nothing_is_left(folder, session=process.pid, address=cluster.address)
    assert Outcome.FAILED not in {record.outcome for record in desk.records("picky").all()}
