"""Searches over several nodes of a real Ray, on one of which trials find nothing to work with."""

from __future__ import annotations

import pytest
from ray.cluster_utils import Cluster

from search.trials.losses import Cause
from search.trials.trials import Outcome
from tests.aftermath import assert_each_trial_is_recorded_once, assert_nothing_is_left, events
from tests.commands import Desk
from tests.faulty import SLOW
from tests.ray_cluster import cluster as cluster

pytestmark = pytest.mark.slow

PICKY = """
import os
if "UNFIT" in os.environ:
    raise OSError("not on this machine")
"""
UNFIT = {"UNFIT": "1"}


@pytest.mark.parametrize(("workers", "trials"), [(1, 6), (2, 1)])
def test_trials_that_find_nothing_to_work_with_on_one_node_go_to_others(
    desk: Desk, cluster: Cluster, workers: int, trials: int
) -> None:
    # Ray packs a worker group, so it goes to the node that holds all of it first.
    cluster.add_node(num_cpus=workers, env_vars=UNFIT)
    for _ in range(workers):
        cluster.add_node(num_cpus=1)
    (desk.folder / "picky.py").write_text(PICKY)
    status, output = desk.search(
        *("--space", desk.space(SLOW), "--import", "picky", "--ray", cluster.address, "--name", "picky"),
        *("--sampler", "random", "--cost-model", "static", "--trials", str(trials), "--max-epochs", "2"),
        *("--workers-per-trial", str(workers), "--cpus-per-trial", "1"),
    )
    assert status == 0, output
    assert output.count(" gets no further trial for 10 minutes.") == 1
    folder = desk.folder / "results" / "picky"
    assert_each_trial_is_recorded_once(folder, trials)
    assert_nothing_is_left(folder, address=cluster.address)
    lost = [event for event in events(folder) if event["event"] == "retry"]
    # One that waited already when the first was lost may have been lost there, too.
    assert 1 <= len(lost) <= 2
    assert {event["cause"] for event in lost} == {Cause.NODE}
    assert all("not on this machine" in event["why"] for event in lost)
    found = desk.records("picky").all()
    assert all(record.outcome in (Outcome.COMPLETE, Outcome.STOPPED) for record in found)
