"""cluster/slurm.sh with stand-ins for Slurm's commands: two nodes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from search.storage.folder import SearchFolder, State
from tests.commands import ROOT, Desk
from tests.faulty import SLOW

pytestmark = pytest.mark.slow

SLOWER = SLOW.replace("0.15", "0.5")

SRUN = """#!/bin/bash
# Runs the command once for each task, all on this machine.
while [[ $1 == --* ]]; do
    case $1 in --ntasks=*) tasks=${1#*=} ;; esac
    shift
done
trap 'kill $(jobs -p)' TERM
for _ in $(seq "$tasks"); do SLURM_CPUS_ON_NODE=1 "$@" & done
wait; wait
"""


@pytest.fixture
def job(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A Slurm job of two nodes, which has just begun."""
    commands = desk.folder / "bin"
    commands.mkdir()
    (commands / "srun").write_text(SRUN)
    (commands / "scontrol").write_text('#!/bin/sh\necho "$@" >> scontrol.log\n')
    for command in commands.iterdir():
        command.chmod(0o700)
    (desk.folder / "results").mkdir()
    paths = [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
    given = {
        "PATH": os.pathsep.join(paths),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "networks")]),
        "HOME": str(desk.folder),
        "CLASSIFIER_SEARCH_CACHE": "cache",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NAME": "mine",
        "SLURM_NNODES": "2",
        "SLURM_SUBMIT_DIR": str(desk.folder),
        "SLURMD_NODENAME": "this",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return desk


def run(job: Desk, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", str(ROOT / "cluster" / "slurm.sh"), *arguments],
        cwd=job.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_search_in_slurm_concludes_before_its_time_is_up_and_resumes(
    job: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--data", "pictures", "--import", "odd_networks", "--space", job.space(SLOWER))
    given += ("--trials", "3", "--max-epochs", "6", "--rematch", "0")
    folder = SearchFolder(job.folder / "results" / "mine")

    def begun() -> bool:
        return folder.records_file.exists() and any(each.history for each in job.records("mine").all())

    first = run(job, *given)
    job.wait(first, begun)
    first.send_signal(signal.SIGUSR1)  # as Slurm does ten minutes before the end
    output, _ = first.communicate(timeout=200)
    assert "2 nodes, 2 CPUs" in output
    assert folder.state is State.INTERRUPTED, output
    requeued = f"requeue {os.getpid()}\n"
    assert (job.folder / "scontrol.log").read_text() == requeued

    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    again = run(job, *given)
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0, output
    assert folder.state is State.FINISHED
    ends = [json.loads(line) for line in folder.records_file.read_text().splitlines()]
    assert sorted(each["trial"] for each in ends if each["event"] == "end") == [0, 1, 2]
    assert (job.folder / "scontrol.log").read_text() == requeued  # and not once more
    assert not Path(f"/tmp/ray-{os.getpid()}").exists()
    token = job.folder / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o077 == 0
    assert token.read_text() not in output
