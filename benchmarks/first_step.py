"""How long from `python -m search.run` to the first optimizer step of the first trial, on the demo?

    python benchmarks/first_step.py [--runs 7]        (about 4 minutes)

Each run is a search of two trials in a process of its own, with the demo's pictures decoded before. The step
is timed in the trial's own process, by a module that the search is told to import. In turn with each, the
floor is timed: `import torch, timm, ray; ray.init()`, one after the other, without any search. Processor
seconds are those of the search's own process and of all that it started and has ended.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

STAMP = """
import functools, os, time
from torch.optim.optimizer import register_optimizer_step_post_hook

@functools.cache
def note(name):
    with open(os.environ["STAMPS"], "a") as file:
        file.write(f"{name} {time.time()}\\n")

note("imported")
register_optimizer_step_post_hook(lambda *_: note("step"))
"""
FLOOR = "import trainables.torch_setup, torch, timm, ray; ray.init(address='local', include_dashboard=False)"


@dataclass(frozen=True)
class Run:
    """Seconds from the start of one search."""

    planning: float
    """When its own process had imported torch and the user's module, and began to plan."""
    worker: float
    """When the first trial's process was ready for it."""
    step: float
    cpu: float
    """Processor seconds of the whole search."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    print(f"{os.cpu_count()} CPUs, load before: {os.getloadavg()[0]:.2f}")
    print(f"{'run':>4} {'planning':>9} {'worker':>7} {'first step':>11} {'processor':>10} {'floor':>7}  s")
    runs, floors = [], []
    with tempfile.TemporaryDirectory(prefix="first-step-") as name:
        folder = Path(name)
        (folder / "stamping.py").write_text(STAMP)
        search(folder, "--dry-run")  # draws and decodes the pictures
        for number in range(options.runs):
            run, floor = timed(folder, number), floor_s(folder)
            print(
                f"{number:>4} {run.planning:>9.2f} {run.worker:>7.2f} {run.step:>11.2f} {run.cpu:>10.1f} "
                f"{floor:>7.2f}",
                flush=True,
            )
            runs.append(run.step)
            floors.append(floor)
    median, floor = statistics.median(runs), statistics.median(floors)
    print(f"first step: median {median:.2f} s, worst {max(runs):.2f} s, best {min(runs):.2f} s")
    print(f"floor: median {floor:.2f} s; the first step takes {median / floor:.2f} times as long")


def timed(folder: Path, number: int) -> Run:
    """One search."""
    stamps = folder / "stamps"
    stamps.unlink(missing_ok=True)
    before, started = children_cpu_s(), time.time()
    search(folder, "--name", f"run-{number}", "--trials", "2", "--max-epochs", "1")
    noted = [line.split() for line in stamps.read_text().splitlines()]
    driver, worker, *_ = (float(at) - started for name, at in noted if name == "imported")
    step, *_ = (float(at) - started for name, at in noted if name == "step")
    return Run(driver, worker, step, children_cpu_s() - before)


def search(folder: Path, *arguments: str) -> None:
    """`python -m search.run` on the demo, in the folder."""
    environment = {**os.environ, "STAMPS": str(folder / "stamps")}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment["CLASSIFIER_SEARCH_CACHE"] = str(folder / "cache")
    subprocess.run(
        [sys.executable, "-m", "search.run", "--ray", "local", "--import", "stamping", *arguments],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def floor_s(folder: Path) -> float:
    """Seconds that the libraries alone take, to the end of `ray.init`."""
    program = f"import time; {FLOOR}; print(time.time(), flush=True); ray.shutdown()"
    started = time.time()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1]) - started


def children_cpu_s() -> float:
    """Processor seconds of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
