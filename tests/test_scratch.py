"""The temporary folder of a driver: who deletes it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from search.storage.scratch import PREFIX, folders, scratch
from tests.commands import ROOT

PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
HOLDER = """
from search.storage.scratch import scratch
with scratch() as folder:
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_it_is_its_drivers_alone_and_goes_with_it() -> None:
    with scratch() as first, scratch() as second:
        assert first != second
        assert stat.S_IMODE(first.stat().st_mode) == 0o700
        (first / "notes").mkdir()
        assert sorted(folders()) == sorted([first, second])
    assert folders() == []
    assert not first.exists()


def test_what_a_killed_driver_leaves_goes_with_the_next_and_nothing_else_does(tmp_path: Path) -> None:
    foreign = tmp_path / f"{PREFIX}foreign"
    foreign.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLDER], **PIPES) as holder:
        assert holder.stdout
        left = Path(holder.stdout.readline().strip())
        with scratch():
            assert left.is_dir()  # its driver lives
        os.kill(holder.pid, 9)
    assert left.is_dir()
    with scratch() as folder:
        assert folders() == [folder]
    assert foreign.is_dir()


WRITER = """
import sys, time
folder = sys.argv[1]
with open(f"{folder}/notes", "w") as file:
    print("writes", flush=True)
    while True:
        time.sleep(0.1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has opened is read from /proc")
def test_processes_that_a_killed_driver_leaves_in_its_folder_end_with_the_next_driver() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], **PIPES) as holder:
        assert holder.stdout
        folder = holder.stdout.readline().strip()
        with subprocess.Popen([sys.executable, "-c", WRITER, folder], **PIPES) as writer:
            assert writer.stdout
            assert writer.stdout.readline() == "writes\n"
            with scratch():
                assert writer.poll() is None  # the driver lives
            holder.kill()
            holder.wait()
            with scratch():
                assert writer.wait(timeout=60) == -signal.SIGKILL
    assert not Path(folder).exists()
