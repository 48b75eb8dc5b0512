"""Runs our commands as a user does: in processes of their own, in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from search.trials import records
from search.trials.records import Records
from tests.pictures import class_folders

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 240.0


def run_program(program: str) -> subprocess.CompletedProcess[str]:
    """Runs a few lines of Python that use this package, in a clean process, to their end."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@dataclass(frozen=True)
class Desk:
    """A working folder with 80 pictures in it, to start commands from."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Desk:
        class_folders(folder / "pictures", {"anna": 40, "bert": 40})
        return cls(folder)

    def space(self, text: str) -> str:
        """Writes a space file and returns its name."""
        (self.folder / "space.yaml").write_text(text)
        return "space.yaml"

    def start(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        """Starts `python -m MODULE`, in a process group of its own, as a terminal does."""
        paths = [str(ROOT), str(ROOT / "tests" / "networks")]
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CLASSIFIER_SEARCH_CACHE": "cache"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, module: str, *arguments: str) -> tuple[int, str]:
        """Runs `python -m MODULE` to its end: exit status, and all that it printed."""
        process = self.start(module, *arguments)
        output, _ = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, output

    def search(self, *arguments: str) -> tuple[int, str]:
        """Runs a search of the pictures, alone on a Ray of its own."""
        return self.run("search.run", *self.search_arguments(*arguments))

    @staticmethod
    def search_arguments(*arguments: str) -> tuple[str, ...]:
        given = ("--data", "pictures", "--ray", "local", "--import", "odd_networks", *arguments)
        return given if "--rematch" in arguments else (*given, "--rematch", "0")

    def records(self, name: str) -> Records:
        """What a search has recorded so far."""
        return records.read(self.folder / "results" / name / records.FILE)

    def wait(self, process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
        """Waits until the condition holds while a command runs."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            if process.poll() is not None:
                raise AssertionError(f"the command ended too early:\n{process.communicate()[0]}")
            if time.monotonic() > deadline:
                process.kill()
                raise AssertionError(f"waited in vain:\n{process.communicate()[0]}")
            time.sleep(0.05)
