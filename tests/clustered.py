"""Searches for the tests of the cluster, and what must be true of them when they have ended."""

from __future__ import annotations

import collections
import json
import time
from pathlib import Path

from cluster.testbed.deployment import STORAGE, Cluster
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


def recipes(records: Records) -> set[str]:
    return {json.dumps(record.trial.recipe, sort_keys=True) for record in records.all()}


def assert_whole(name: str, trials: int) -> Records:
    """Every trial has ended by its score, and is recorded once, as the storage has it."""
    file = STORAGE / name / FILE
    events = [json.loads(line) for line in file.read_text().splitlines()]
    ends = [event["trial"] for event in events if event["event"] == "end"]
    assert sorted(ends) == list(range(trials))
    epochs = [(event["trial"], event["epoch"]) for event in events if event["event"] == "epoch"]
    assert len(epochs) == len(set(epochs))
    records = read(file)
    assert {record.outcome for record in records.all()} <= {Outcome.COMPLETE, Outcome.STOPPED}
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
