"""Searches over two hosts that lack memory, room on a disk, an answer, their pictures, or the right time."""

from __future__ import annotations

import json
import shlex
import subprocess
import time

import pytest

from cluster.testbed.deployment import SOURCES, STORAGE, Cluster, Search, there
from cluster.testbed.hosts import SHARED, Host, ssh
from cluster.testbed.telling import tell
from search.trials.records import FILE, read
from search.trials.trials import Outcome
from tests.clock import HOUR_S, clock
from tests.faulty import faulty
from tests.hosts.searches import (
    BY_SCORE,
    SEARCH,
    assert_nothing_is_left,
    assert_whole,
    running_on,
    started_on,
)

HOARDER = """
import sys, ray
ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
hoard = [ray.put(bytes(10**7)) for _ in range(12)]
print("full", flush=True)
sys.stdin.read()
"""


def hoarder_on(host: Host) -> subprocess.Popen[str]:
    """A process that has 120 MB in the host's object store, until its standard input ends."""
    command = [*ssh(host.address), there(f"python -c {shlex.quote(HOARDER)}")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "full\n"
    return process


def test_the_object_stores_are_full_of_somebody_elses_objects(cluster: Cluster) -> None:
    hosts = [cluster.head, *cluster.workers]
    hoarders = [hoarder_on(host) for host in hosts]
    try:
        tell("somebody has put 120 MB into the object store of each host, which has 80")
        started_on(cluster, "store-full", 6).finish()
        for host in hosts:  # Ray has put on the disk what its store had no room for
            assert host.look("find /tmp/ray -path '*ray_spilled_objects*' -type f -size +9M")
    finally:
        for hoarder in hoarders:
            hoarder.communicate("")
    assert_whole("store-full", 6)
    assert_nothing_is_left(cluster)


def test_the_disk_of_the_results_is_full(cluster: Cluster) -> None:
    head, results = cluster.head, f"{SOURCES}/results"
    head.look(f"mkdir -p {results} && mount -t tmpfs -o size=24m none {results}")
    try:
        running = Search(head, "disk-full", "--trials", "8", *SEARCH)
        running.wait_until(lambda _: read(STORAGE / "disk-full" / FILE).order, "the storage to have an epoch")
        head.look(f"cat /dev/zero >{results}/ballast || true")
        tell("the disk of the results on the head host is full")
        printed = running.finish(status=2)
        assert "records.jsonl: a record cannot be written (No space left on device)." in printed
        assert "Traceback" not in printed
        assert_nothing_is_left(cluster)
        before = read(STORAGE / "disk-full" / FILE)
        tell(f"the search has ended, and says why; the storage has {len(before.order)} epochs")
        head.look(f"rm {results}/ballast")
        Search(head, "disk-full", "--resume").finish()
    finally:
        head.look(f"umount --lazy {results}")
    after = assert_whole("disk-full", 8)
    for number, record in before.trials.items():
        assert after.trials[number].history[: len(record.history)] == record.history
    assert_nothing_is_left(cluster)


def test_trials_that_hang_are_ended(cluster: Cluster) -> None:
    space = SHARED / "faulty.yaml"
    space.write_text(faulty("hang"))
    asked = ("--trials", "6", *SEARCH, "--space", str(space), "--timeout-min", "0.4")
    Search(cluster.head, "hanging", *asked).finish()
    records = assert_whole("hanging", 6, {*BY_SCORE, Outcome.TIMED_OUT}).all()
    hung = {record.number for record in records if record.trial.params["model.args.fault"] == "hang"}
    assert 0 < len(hung) < 6
    assert hung == {record.number for record in records if record.outcome is Outcome.TIMED_OUT}
    tell(f"trials {sorted(hung)} hung, and have timed out")
    assert_nothing_is_left(cluster)


def test_the_pictures_disappear_from_the_worker_host_and_come_back(cluster: Cluster) -> None:
    [worker] = cluster.workers
    running = started_on(cluster, "pictures-gone", 36)
    worker.look("mv ~/pictures ~/elsewhere && rm -r ~/.cache/classifier-search")
    # What has them open has them: only another process finds out.
    worker.look("pkill -KILL --oldest --full ray::ImplicitFunc")
    tell("pictures, their cache and the process of a trial there are gone")
    try:
        running.wait_until(lambda records: len(records.losses) == 2, "a trial to find no pictures")
        alone = running.records
        running.wait_until(
            lambda records: len(records.ended) > len(alone.ended) + 4, "the head host to go on"
        )
    finally:
        worker.look("mv ~/elsewhere ~/pictures")
    assert len(running.records.losses) == 2
    assert not running_on(running.records, worker)
    tell("the head host does all the trials; the pictures are put back")
    printed = running.finish()
    assert "; its place stays empty until that is mended" in printed
    records = assert_whole("pictures-gone", 36)
    assert len(records.losses) == 2
    assert "worker" in {epoch.node for epoch in records.order[len(alone.order) :]}
    assert_nothing_is_left(cluster)


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S], ids=["forth", "back"])
def test_the_drivers_wall_clock_is_set(cluster: Cluster, by_s: int) -> None:
    name = f"clock-{by_s}"
    moment = SHARED / name
    library = clock(SHARED, moment, by_s)
    started = time.monotonic()
    running = started_on(cluster, name, 8, {"LD_PRELOAD": str(library)})
    moment.touch()
    tell(f"the driver's wall clock is set by {by_s} s")
    running.finish()
    took_s = time.monotonic() - started
    records = assert_whole(name, 8)
    assert sum(record.retries for record in records.all()) == 0
    assert 0 < records.elapsed_s < took_s
    manifest = json.loads((STORAGE / name / "manifest.json").read_text())
    assert manifest["written"] - time.time() == pytest.approx(by_s, abs=60)  # it has jumped
    assert_nothing_is_left(cluster)
