"""A real Ray of several nodes on this machine, of which some may be lost."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from tests.clusters import free_port
from tests.commands import ROOT

QUICK_TO_NOTICE = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
"""Half a minute's patience with a silent node becomes two seconds."""
STORE_BYTES = 80 * 1024**2  # the least that Ray takes is 75 MiB


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head without CPUs, where the driver is; nodes for trials are added by the tests."""
    # Ray's own notes of clusters belong to whoever else uses this machine; and sockets have short names.
    notes = Path(tempfile.mkdtemp(prefix="cs", dir="/tmp"))
    monkeypatch.setenv("RAY_TMPDIR", str(notes))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests" / "networks")]))
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": True,  # worker groups give back what they had with its help
            "dashboard_port": free_port(),  # its own is taken where another of these clusters is
            "object_store_memory": STORE_BYTES,
            "_system_config": QUICK_TO_NOTICE,
        },
    )
    yield made
    made.shutdown()
    shutil.rmtree(notes, ignore_errors=True)


def kill(node: Any) -> None:
    """Ends a node as a lost machine does: nobody is told."""
    for processes in node.all_processes.values():
        for process in processes:
            os.kill(process.process.pid, signal.SIGKILL)
