"""The cluster for real: `ray up`, a search over two hosts, faults, strangers, `ray down`.

In the order in which they stand here, each on what those before it left. `make cluster-test` runs them.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.testbed.deployment import ROOT, STORAGE, Cluster, Search, search, there
from cluster.testbed.hosts import SHARED, TESTBED, Host, HostError, make_network
from cluster.testbed.telling import tell
from search.trials.records import FILE, Records, read
from tests.clustered import SEARCH, SPACE, assert_nothing_is_left, assert_whole, recipes, running_on
from tests.pictures import class_folders

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not TESTBED.exists(), reason="make cluster-test runs it, on hosts of its own"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two hosts that are off, a laptop (here) with pictures and a token, and a disk that all share."""
    os.chdir(ROOT)
    make_network()
    class_folders(Path.home() / "pictures", {"anna": 40, "bert": 40})
    token = Path.home() / ".ray" / "auth_token"
    token.parent.mkdir(mode=0o700)
    token.write_text(secrets.token_hex(32))
    (SHARED / "space.yaml").write_text(SPACE)
    STORAGE.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_AUTH_MODE", "token")
        patched.delenv("RAY_ADDRESS", raising=False)
        head, worker = Host("head", "10.77.0.1"), Host("worker", "10.77.0.2")
        head.start()
        worker.start()
        tell("two hosts are on, with nothing but sshd")
        yield Cluster(head, [worker])


@pytest.fixture(autouse=True)
def title(request: pytest.FixtureRequest) -> None:
    print(f"\n--- {request.node.name.removeprefix('test_').replace('_', ' ')}", flush=True)


def started_on(cluster: Cluster, name: str, trials: int) -> Search:
    """A search of which a trial runs on the worker host now."""
    [worker] = cluster.workers
    running = Search(cluster.head, name, "--trials", str(trials), *SEARCH)
    running.wait_until(lambda records: running_on(records, worker), "a trial on the worker host")
    tell(f"a search is at work; of its trials {running_on(running.records, worker)} run on the worker host")
    return running


def test_ray_up_makes_one_cluster_of_two_hosts(cluster: Cluster) -> None:
    cluster.up()
    tell("ray up has ended")
    cluster.wait_for(cluster.head, *cluster.workers)
    tell("both hosts are nodes of one cluster")


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster) -> Records:
    command = shlex.quote(search("undisturbed", "--trials", "40", *SEARCH))
    tell("a search of 40 trials is submitted as a job of the cluster")
    cluster.exec(f"ray job submit --address http://127.0.0.1:8265 -- bash -c {command}")
    return assert_whole("undisturbed", 40)


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


JOIN = """
import sys
import ray
ray.init(address=sys.argv[1], log_to_driver=False)
print("let in:", ray.nodes())
"""
ASK = """
import sys
import urllib.error
import urllib.request
job, form = b'{"entrypoint": "id"}', {"Content-Type": "application/json"}
request = urllib.request.Request(sys.argv[1], data=job, headers=form)
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as fault:
    print(fault.code)
except OSError:
    print("no answer")
"""


def test_who_has_the_token_is_let_in_from_another_host(cluster: Cluster) -> None:
    [worker] = cluster.workers
    join = f"python -c {shlex.quote(JOIN)} {cluster.head.address}:6379"
    assert "let in" in worker.run(there(join), timeout_s=120)
    tell("a driver on the worker host is let in")


@pytest.mark.parametrize("mode", ["token", "disabled"], ids=["with another token", "without a token"])
def test_a_stranger_on_the_network_is_kept_out(cluster: Cluster, mode: str) -> None:
    stranger, head = Host("stranger", "10.77.0.66"), cluster.head
    stranger.start()
    try:
        stranger.run(f"mkdir -m 700 ~/.ray && echo {secrets.token_hex(32)} > ~/.ray/auth_token")
        environment = f"export PATH={sys.prefix}/bin:$PATH RAY_AUTH_MODE={mode};"
        for what, command in {
            "starts a node": f"ray start --address={head.address}:6379 --node-ip-address={stranger.address}",
            "starts a driver": f"python -c {shlex.quote(JOIN)} {head.address}:6379",
            "comes as a Ray client": f"python -c {shlex.quote(JOIN)} ray://{head.address}:10001",
        }.items():
            with pytest.raises(HostError) as refused:
                stranger.run(f"{environment} timeout 60 {command}", timeout_s=90)
            said = str(refused.value).rpartition("\nended with ")[2]
            # Ray's client knows no more than that it gets no answer.
            assert re.search("token|unauth|client connection timeout", said, re.IGNORECASE), said
            tell(f"it {what}: refused")
        ask = f"{environment} python -c {shlex.quote(ASK)}"
        assert stranger.run(f"{ask} http://{head.address}:8265/api/jobs/").strip() == "no answer"
        assert stranger.run(f"{ask} http://{head.address}:52365/api/job_agent/jobs/").strip() in (
            "401",
            "403",
        )
        tell("submits a job: no answer at the dashboard's port, refused at the agent's")
    finally:
        stranger.kill()
        shutil.rmtree(stranger.disk)
    cluster.wait_for(head, *cluster.workers)
    tell("the cluster has its two nodes and no more")


EVERYWHERE = ("gcs_server", "raylet", "ray::", "python")
"""What of Ray 2.60 listens on all addresses of a host, whatever it is told: what asks for the token, and
numbers for Prometheus. A firewall has to keep strangers from them."""


def test_ports_are_bound_to_loopback_and_the_private_network(cluster: Cluster) -> None:
    for host in (cluster.head, *cluster.workers):
        listening = [line.split(maxsplit=5) for line in host.look("ss -H -l -t -n -p").splitlines()]
        everywhere = set()
        for _, _, _, place, _, users in listening:
            address, _, port = place.rpartition(":")
            if address.removeprefix("[::ffff:").removesuffix("]") not in ("127.0.0.1", host.address):
                everywhere.add((users.split('"')[1], int(port)))
        tell(f"{host.name}: {len(listening)} ports, on all addresses {sorted(everywhere)}")
        assert all(name.startswith(EVERYWHERE) for name, _ in everywhere)
        assert 8265 not in {port for _, port in everywhere}


def test_the_token_is_in_no_log_and_no_result(cluster: Cluster) -> None:
    token = (Path.home() / ".ray" / "auth_token").read_text()
    for host in (cluster.head, *cluster.workers):
        # -xdev: the sources, which every host sees, may be below /tmp.
        look = f"find /tmp {SHARED} -xdev -type f -exec grep --files-with-matches {token} {{}} +"
        assert not host.run(f"{look} || true")


def test_ray_down_ends_all_of_ray(cluster: Cluster) -> None:
    cluster.down()
    for worker in cluster.workers:
        worker.run(there("ray stop"))  # `ray down` stops the head alone
    tell("ray down has ended, and ray stop on the worker host")
    for host in (cluster.head, *cluster.workers):
        deadline = time.monotonic() + 60
        while "/ray/" in (found := host.look("ps --no-headers -A -ww -o args")):
            assert time.monotonic() < deadline, found
            time.sleep(1)
        tell(f"no process of Ray is left on {host.name}")
