"""What a search must have left behind after any fault, and what not."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from ray._private.state import GlobalState
from ray._raylet import GcsClientOptions

from search.storage.folder import SearchFolder
from search.storage.scratch import folders
from search.trials.trials import ranked
from trainables.checkpoint import checkpoint_name


def events(folder: Path) -> list[dict[str, Any]]:
    """The records in a search's folder."""
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def assert_each_trial_is_recorded_once(folder: Path, trials: int) -> None:
    """Each trial was decided on once and ended once, and no epoch is there twice."""
    found = Counter(
        (event["event"], event["trial"]["number"] if event["event"] == "trial" else event["trial"])
        for event in events(folder)
        if event["event"] in ("trial", "end")
    )
    assert found == {(event, number): 1 for event in ("trial", "end") for number in range(trials)}
    epochs = Counter(
        (event["trial"], event["epoch"]) for event in events(folder) if event["event"] == "epoch"
    )
    assert set(epochs.values()) <= {1}


def assert_nothing_is_left(folder: Path, *, session: int | None = None, address: str | None = None) -> None:
    """Of a finished search in this folder.

    Args:
        session: Of its processes.
        address: Of the cluster that it had joined.
    """
    assert not [path for path in folder.parent.parent.rglob("*.partial") if path.exists()]
    search = SearchFolder(folder)
    settings = search.settings()
    best = ranked(search.records().all(), settings.scored_by)[: settings.keep_checkpoints]
    kept = {path.name for path in search.checkpoints.iterdir()} if search.checkpoints.exists() else set()
    assert kept <= {checkpoint_name(record.number) for record in best}
    assert folders() == []
    if session is not None:
        assert processes_of(session) == []
    if address is not None:
        assert placement_groups(address) == []


def processes_of(session: int) -> list[str]:
    """The command lines of the living processes of a session."""
    found = subprocess.run(["ps", "-s", str(session), "-o", "stat=,args="], capture_output=True, text=True)
    return [line for line in found.stdout.splitlines() if not line.startswith("Z")]


def placement_groups(address: str) -> list[str]:
    """The states of a cluster's placement groups that hold something, or wait for it."""
    cluster = GlobalState()
    cluster._initialize_global_state(
        GcsClientOptions.create(address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False)
    )
    try:
        groups = [group["state"] for group in cluster.placement_group_table().values()]
    finally:
        cluster.disconnect()
    return [state for state in groups if state != "REMOVED"]
