"""`ray up`, a search over two hosts, and the training of its winner by both."""

from __future__ import annotations

import shlex

from cluster.testbed.deployment import STORAGE, Cluster, there
from cluster.testbed.telling import tell
from search.trials.records import Records
from tests.hosts.searches import assert_nothing_is_left


def test_ray_up_makes_one_cluster_of_two_hosts(cluster: Cluster) -> None:
    cluster.up()
    tell("ray up has ended")
    cluster.wait_for(cluster.head, *cluster.workers)
    tell("both hosts are nodes of one cluster")


def test_a_search_has_trials_on_both_hosts(cluster: Cluster, undisturbed: Records) -> None:
    assert {epoch.node for epoch in undisturbed.order} == {"head", "worker"}


def test_its_winner_is_retrained_over_both_hosts(cluster: Cluster, undisturbed: Records) -> None:
    retrain = shlex.quote(there("python -m search.retrain results/undisturbed --ray auto"))
    output = cluster.exec(f"ray job submit --address http://127.0.0.1:8265 -- bash -c {retrain}")
    assert "Training on 2 workers of 1 CPU and 0 GPUs" in output
    assert (STORAGE / "undisturbed" / "model" / "metrics.json").exists()
    assert not list((STORAGE / "undisturbed" / "retrain").iterdir())
    tell("its winner has been trained by both hosts together; the model is in the storage")
    assert_nothing_is_left(cluster)
