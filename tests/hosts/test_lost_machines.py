"""Machines and processes that are lost in the middle of a search over two hosts."""

from __future__ import annotations

import shutil
import time

from cluster.testbed.deployment import STORAGE, Cluster, Search, there
from cluster.testbed.telling import tell
from search.trials.records import FILE, Records, read
from tests.hosts.searches import assert_nothing_is_left, assert_whole, recipes, started_on


def test_the_worker_host_is_killed_in_the_middle_of_a_trial_and_comes_back(
    cluster: Cluster, undisturbed: Records
) -> None:
    [worker] = cluster.workers
    node = cluster.wait_for(cluster.head, worker)[worker.name]
    running = started_on(cluster, "host-killed", 40)
    worker.kill()
    tell("the worker host is killed")
    time.sleep(5)
    worker.start()
    tell("it is on again, with nothing but sshd")
    cluster.wait_for(cluster.head, worker, without=node)
    tell("the cluster has started Ray on it again")
    running.finish()
    records = assert_whole("host-killed", 40)
    assert sum(record.retries for record in records.all()) > 0
    assert recipes(records) == recipes(undisturbed)
    assert_nothing_is_left(cluster)
    tell("their recipes are those of the undisturbed search")


def test_a_process_of_a_trial_is_killed(cluster: Cluster) -> None:
    [worker] = cluster.workers
    running = started_on(cluster, "process-killed", 8)
    worker.look("pkill -KILL --oldest --full ray::ImplicitFunc")
    tell("the process of a trial there is killed")
    running.finish()
    assert sum(record.retries for record in assert_whole("process-killed", 8).all()) == 1
    assert_nothing_is_left(cluster)


def test_the_network_is_cut_until_the_cluster_gives_the_worker_host_up(cluster: Cluster) -> None:
    [worker] = cluster.workers
    running = started_on(cluster, "network-cut", 12)
    worker.unplug()
    tell("the worker host's network is cut")
    cluster.wait_for(cluster.head)
    worker.plug()
    tell("the cluster has given it up; its network is mended")
    running.finish()
    assert_whole("network-cut", 12)
    cluster.wait_for(cluster.head, worker)
    tell("it is a node of the cluster again")
    assert_nothing_is_left(cluster)


def test_the_worker_host_is_drained_as_a_spot_notice_does(cluster: Cluster) -> None:
    [worker] = cluster.workers
    node = cluster.wait_for(cluster.head, worker)[worker.name]
    running = started_on(cluster, "drained", 12)
    why = "--reason DRAIN_NODE_REASON_PREEMPTION --reason-message spot --deadline-remaining-seconds 15"
    cluster.head.run(there(f"ray drain-node --address {cluster.head.address}:6379 --node-id {node} {why}"))
    tell("it has been told that it ends in 15 s")
    running.finish()
    assert_whole("drained", 12)
    cluster.wait_for(cluster.head, worker, without=node)
    tell("it has come back")
    assert_nothing_is_left(cluster)


def test_the_head_host_is_lost_and_a_new_one_goes_on(cluster: Cluster) -> None:
    started_on(cluster, "head-lost", 12).wait_until(
        lambda _: read(STORAGE / "head-lost" / FILE).order, "the storage to have an epoch"
    )
    cluster.head.kill()
    before = read(STORAGE / "head-lost" / FILE)
    shutil.rmtree(cluster.head.disk)
    tell(f"the head host is killed, and its disk is gone; the storage has {len(before.order)} epochs")
    cluster.head.start()
    cluster.down()  # else it would take the new machine for the old one, with the sources on it
    cluster.up()
    cluster.wait_for(cluster.head, *cluster.workers)
    tell("ray down and ray up have made a cluster with a new head host")
    Search(cluster.head, "head-lost", "--resume").finish()
    after = assert_whole("head-lost", 12)
    for number, record in before.trials.items():
        assert after.trials[number].history[: len(record.history)] == record.history
    tell("nothing that was recorded has been trained again")
    assert_nothing_is_left(cluster)
