"""A search as docs/cluster.md starts it on a cluster: as a job of Ray's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search.storage.folder import SearchFolder, State
from tests.cluster_files import read
from tests.clusters import HOST, RayCluster, free_port
from tests.commands import Desk
from tests.faulty import SLOW

pytestmark = pytest.mark.slow

SLOWER = SLOW.replace("0.15", "0.5")


def dashboard_of(cluster: RayCluster) -> str:
    """Its address, once jobs can be submitted there."""
    deadline = time.monotonic() + 200
    while not (found := re.search(r"RAY_API_SERVER_ADDRESS='(\S+)'", cluster.log.read_text())):
        assert time.monotonic() < deadline, cluster.log.read_text()
        time.sleep(0.2)
    return found[1]


def test_a_search_whose_job_is_stopped_leaves_a_leaderboard(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = read("cluster.yaml")["head_start_ray_commands"][-1]
    for name, value in re.findall(r"\b(RAY_JOB_\w+)=(\w+)", start):  # what the head is started with
        monkeypatch.setenv(name, value)
    # Ray's own ports may be another Ray's by now.
    ports = [
        f"--{of}-port={free_port()}" for of in ("dashboard", "dashboard-agent-listen", "ray-client-server")
    ]
    with RayCluster(head=["--dashboard-host=127.0.0.1", *ports]) as cluster:
        cluster.add(1)
        dashboard = dashboard_of(cluster)
        assert dashboard.startswith(f"http://{HOST}:")

        def job(verb: str, *arguments: str) -> str:
            said = subprocess.run(
                [Path(sys.executable).with_name("ray"), "job", verb, *arguments],
                env={
                    **os.environ,
                    **cluster.environment,
                    "RAY_API_SERVER_ADDRESS": dashboard,
                },
                capture_output=True,
                text=True,
                timeout=200,
            )
            assert said.returncode == 0, said.stdout + said.stderr
            return said.stdout

        given = (
            "--space",
            desk.space(SLOWER),
            "--trials",
            "9",
            "--max-epochs",
            "9",
            "--name",
            "mine",
            "--ray",
            "auto",
        )
        search = " ".join([sys.executable, "-m", "search.run", *desk.search_arguments(*given)])
        shell = f"cd {desk.folder} && CLASSIFIER_SEARCH_CACHE=cache exec {search}"
        job("submit", "--submission-id", "mine", "--no-wait", "--", "sh", "-c", shell)
        records = desk.folder / "results" / "mine" / "records.jsonl"
        deadline = time.monotonic() + 200
        while not (records.exists() and any(each.history for each in desk.records("mine").all())):
            assert time.monotonic() < deadline, job("logs", "mine")
            time.sleep(0.2)
        job("stop", "mine")
        logs = job("logs", "mine")
        assert "stopped" in job("status", "mine").lower()
    folder = SearchFolder(desk.folder / "results" / "mine")
    assert folder.state is State.INTERRUPTED, logs
    assert "stopping; the leaderboard of what there is follows" in logs
    assert folder.page_file.exists()
    assert any(record.history for record in desk.records("mine").all())
