"""Searches for the tests of the cluster, and what must be true of them when they have ended."""

from __future__ import annotations

import collections
import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from cluster.testbed.deployment import STORAGE, Cluster, Search
from cluster.testbed.hosts import SHARED, Host
from cluster.testbed.telling import tell
from search.trials.records import FILE, Records, read
from search.trials.trials import Outcome

SPACE = """
description: trials of some seconds
base:
  geometry: {size_px: 16}
  optim: {batch_size: 32}
  model: {name: odd_net, args: {delay_s: 0.8}}
parameters:
  optim.lr: {log: [1.0e-3, 1.0e-2]}
"""
SEARCH = (
    *(
        "--data",
        str(Path.home() / "pictures"),
        "--space",
        str(SHARED / "space.yaml"),
        "--import",
        "odd_networks",
    ),
    *("--sampler", "random", "--max-epochs", "4", "--rematch", "0"),
)
BY_SCORE = (Outcome.COMPLETE, Outcome.STOPPED)


def recipes(records: Records) -> set[str]:
    return {json.dumps(record.trial.recipe, sort_keys=True) for record in records.all()}


def assert_whole(name: str, trials: int, outcomes: Collection[Outcome] = BY_SCORE) -> Records:
    """Every trial has ended in one of these ways, and is recorded once, as the storage has it."""
    file = STORAGE / name / FILE
    events = [json.loads(line) for line in file.read_text().splitlines()]
    ends = [event["trial"] for event in events if event["event"] == "end"]
    assert sorted(ends) == list(range(trials))
    epochs = [(event["trial"], event["epoch"]) for event in events if event["event"] == "epoch"]
    assert len(epochs) == len(set(epochs))
    records = read(file)
    assert {record.outcome for record in records.all()} <= set(outcomes)
    nodes = collections.Counter(epoch.node for epoch in records.order)
    tried = {record.number: record.retries for record in records.all() if record.retries}
    tell(f"{trials} trials finished, each recorded once; epochs by host {dict(nodes)}; started again {tried}")
    return records


def running_on(records: Records, host: Host) -> list[int]:
    """The trials that have reported from a host and have not ended."""
    unfinished = [record for record in records.all() if record.history and not record.outcome]
    return [record.number for record in unfinished if record.history[-1].node == host.name]


def assert_nothing_is_left(cluster: Cluster) -> None:
    """Of the searches so far, on no host; Ray ends some processes in its own time."""
    deadline = time.monotonic() + 30
    while (left := cluster.left()) and time.monotonic() < deadline:
        time.sleep(1)
    assert not left, left
    tell("no process, temporary folder or placement group of it is left")


def started_on(
    cluster: Cluster, name: str, trials: int, environment: Mapping[str, str] = MappingProxyType({})
) -> Search:
    """A search of which a trial runs on the worker host now."""
    [worker] = cluster.workers
    running = Search(cluster.head, name, "--trials", str(trials), *SEARCH, environment=environment)
    running.wait_until(lambda records: running_on(records, worker), "a trial on the worker host")
    tell(f"a search is at work; of its trials {running_on(running.records, worker)} run on the worker host")
    return running
