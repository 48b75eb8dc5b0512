"""A driver that is killed (SIGKILL) again and again, at random moments: is a record lost, doubled or changed?

    python benchmarks/killed.py [--kills 100] [--trials 16] [--seed 0]        (an hour)

First a search runs undisturbed. Then the same search runs under other names, with drivers that are killed,
each at a moment drawn evenly over the time that the undisturbed one took from its start to its end: while it
imports, plans, starts Ray, writes a record, tells how it ended. A killed search is resumed at once, in the
same way as a person would: `--resume` where there is something to go on with, else the command again. When a
search has ended another one begins, until so many drivers were killed.

Nothing but the driver is killed: Ray's processes have to find out by themselves, or the next driver ends
them. What is checked after each kill: the records begin with all whole lines that were there before. At the
end of each search: no process of any of its drivers is left, no temporary file, no further checkpoint; each
trial is there once, with one end, and each epoch once; recipes are those of the undisturbed search, and
every epoch that both have has the very same scores. Trials are suggested at random, and two run at a time.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
PATIENCE_S = 300.0
TIMED = {"epoch_s", "images_per_s", "data_wait_s", "val_s", "train_s"}
"""Of an epoch's metrics, what a clock tells."""
SPACE = """
description: one small network
base:
  geometry: {size_px: 16}
  optim: {batch_size: 24}
  model: {name: plain_cnn, args: {width: 8, blocks: 2, dense: 16}}
parameters:
  optim.lr: {log: [1.0e-3, 1.0e-1]}
  optim.weight_decay: {log: [1.0e-4, 1.0e-1]}
"""


class Harm(Exception):  # noqa: N818
    """Something was lost, doubled, changed or left over."""


@dataclass
class Desk:
    """A folder in which searches are run."""

    folder: Path
    trials: int

    def prepare(self) -> None:
        """Draws 80 pictures of two classes, and writes the space."""
        rng = np.random.default_rng(0)
        for name, level in (("dark", 60), ("light", 190)):
            (self.folder / "pictures" / name).mkdir(parents=True)
            for number in range(40):
                noise = rng.normal(level, 60, (16, 16, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(noise).save(self.folder / "pictures" / name / f"{number}.png")
        (self.folder / "space.yaml").write_text(SPACE)

    def start(self, name: str) -> subprocess.Popen[str]:
        """Starts a search, or goes on with it."""
        asked = ["--data", "pictures", "--space", "space.yaml", "--ray", "local", "--sampler", "random"]
        asked += ["--cost-model", "static", "--trials", str(self.trials), "--max-epochs", "3"]
        asked += ["--rematch", "0", "--concurrency", "2"]
        resumes = (self.path(name) / "settings.json").exists()
        return subprocess.Popen(
            [sys.executable, "-m", "search.run", "--name", name, *(["--resume"] if resumes else asked)],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "CLASSIFIER_SEARCH_CACHE": "cache",
                "RAY_TMPDIR": str(self.folder),  # a socket's path has at most 107 characters
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def path(self, name: str) -> Path:
        """A search's folder."""
        return self.folder / "results" / name

    def lines(self, name: str) -> list[bytes]:
        """The whole lines of a search's records."""
        file = self.path(name) / "records.jsonl"
        return file.read_bytes().split(b"\n")[:-1] if file.exists() else []

    def events(self, name: str) -> list[dict[str, Any]]:
        """A search's records."""
        return [json.loads(line) for line in self.lines(name)]

    def moment(self, name: str) -> str:
        """What a driver was at when it died, by what it has left."""
        if not (self.path(name) / "settings.json").exists():
            return "before there was anything to resume"
        events = self.events(name)
        ended = sum(event["event"] == "end" for event in events)
        if not events:
            return "with its plan written, before its first record"
        if events[-1]["event"] == "session":
            return "just connected to Ray"
        return "with all trials ended" if ended == self.trials else "in the middle of trials"

    def processes(self) -> list[str]:
        """The command lines of living processes that work here, or on what is here."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ends in this moment
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                here = (process / "cwd").readlink() == self.folder or str(self.folder) in command
                if command and here and process.name != str(os.getpid()):  # a dead one has no command line
                    found.append(command)
        return found

    def left_over(self) -> list[str]:
        """Temporary files that no living driver holds."""
        results = [str(path) for path in (self.folder / "results").rglob("*.partial")]
        return results + [str(path) for path in self.folder.glob("cs-*")]


@dataclass
class Story:
    """What became of it all."""

    kills: int = 0
    searches: int = 0
    moments: collections.Counter[str] = field(default_factory=collections.Counter)
    epochs_compared: int = 0
    torn: int = 0
    """Records that were cut off in the middle of a line."""
    without_ray: int = 0
    """Drivers that ended by themselves, for Ray did not start in time."""
    kills_a_search: list[int] = field(default_factory=list)


def torment(desk: Desk, kills: int, rng: random.Random) -> Story:
    """Kills drivers until so many are dead.

    Raises:
        Harm: The message says what came to harm.
    """
    began = time.monotonic()
    whole = desk.start("undisturbed")
    output, _ = whole.communicate()
    life_s = time.monotonic() - began
    require(whole.returncode == 0, f"the undisturbed search failed:\n{output}")
    print(f"undisturbed: {desk.trials} trials in {life_s:.1f} s from start to end", flush=True)
    story = Story()
    while story.kills < kills:
        story.searches += 1
        name, before = f"search-{story.searches}", story.kills
        while not survives(desk, name, story, rng.uniform(0, life_s), last=story.kills == kills):
            pass
        require_nothing_left(desk, name)
        compare(desk, name, story)
        story.kills_a_search.append(story.kills - before)
        print(f"{name}: killed {story.kills - before} times, whole ({story.kills} in all)", flush=True)
    return story


def survives(desk: Desk, name: str, story: Story, moment_s: float, *, last: bool) -> bool:
    """Whether a driver comes to its end; else it is killed after so many seconds, but the last one never."""
    before = desk.lines(name)
    driver = desk.start(name)
    try:
        output, _ = driver.communicate(timeout=PATIENCE_S if last else moment_s)
    except subprocess.TimeoutExpired:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        story.kills += 1
        moment = desk.moment(name)
        story.moments[moment] += 1
        print(f"  killed after {moment_s:5.1f} s, {moment}", flush=True)
        file = desk.path(name) / "records.jsonl"
        story.torn += file.exists() and not file.read_bytes().endswith(b"\n") and file.stat().st_size > 0
        require(desk.lines(name)[: len(before)] == before, f"{name}: records are gone or changed")
        return False
    if "Ray cannot be started on this machine" in output:  # it has too little time of the CPUs
        story.without_ray += 1
        return False
    require(driver.returncode == 0, f"{name} ended with status {driver.returncode}:\n{output}")
    require(desk.lines(name)[: len(before)] == before, f"{name}: records are gone or changed")
    return True


def require_nothing_left(desk: Desk, name: str) -> None:
    """Waits until the processes of dead drivers have found out; then there is nothing of them."""
    deadline = time.monotonic() + PATIENCE_S
    while left := desk.processes():
        require(time.monotonic() < deadline, f"{name}: processes of dead drivers live on: {left}")
        time.sleep(0.5)
    require(not desk.left_over(), f"{name} left {desk.left_over()}")


def compare(desk: Desk, name: str, story: Story) -> None:
    """Holds a finished search against the undisturbed one."""
    found, whole = told(desk, name), told(desk, "undisturbed")
    require(found["trial"] == whole["trial"], f"{name}: other recipes than undisturbed")
    require(sorted(found["end"]) == list(range(desk.trials)), f"{name}: not every trial has ended")
    for key, scores in found["epoch"].items():
        if key in whole["epoch"]:
            require(scores == whole["epoch"][key], f"{name}: trial, epoch {key} has other scores")
            story.epochs_compared += 1
    manifest = json.loads((desk.path(name) / "manifest.json").read_text())
    require((manifest["state"], manifest["trials"]) == ("finished", desk.trials), f"{name}: {manifest}")
    kept, wanted = (sorted(desk.path(each).glob("checkpoints/*")) for each in (name, "undisturbed"))
    require(len(kept) == len(wanted), f"{name}: checkpoints that are needed no more: {kept}")


def told(desk: Desk, name: str) -> dict[str, dict[Any, Any]]:
    """Trials, epochs and ends of a search; none may be there twice."""
    found: dict[str, dict[Any, Any]] = {"trial": {}, "epoch": {}, "end": {}}
    for event in desk.events(name):
        kind = event["event"]
        if kind not in found:
            continue
        if kind == "trial":
            key, value = event["trial"]["number"], event["trial"]
        elif kind == "epoch":
            key, metrics = (event["trial"], event["epoch"]), event["metrics"]
            value = {metric: number for metric, number in metrics.items() if metric not in TIMED}
        else:
            key, value = event["trial"], event["outcome"]
        require(key not in found[kind], f"{name}: {kind} {key} is there twice")
        found[kind][key] = value
    return found


def require(holds: bool, words: str) -> None:
    """Raises `Harm` where something does not hold."""
    if not holds:
        raise Harm(words)


def main() -> None:
    """Prints what was done and what came of it."""
    parser = argparse.ArgumentParser(description="Kill a search's driver at random moments.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="k", dir="/tmp") as folder:
        desk = Desk(Path(folder), args.trials)
        desk.prepare()
        began = time.monotonic()
        story = torment(desk, args.kills, random.Random(args.seed))
        minutes = (time.monotonic() - began) / 60
    print(
        f"{story.kills} drivers killed, {story.searches} searches of {args.trials} trials, {minutes:.0f} min:"
    )
    for moment, number in story.moments.most_common():
        print(f"  {number:3}  {moment}")
    print(f"Kills a search: {story.kills_a_search}. Records torn in the middle of a line: {story.torn}.")
    if story.without_ray:
        print(f"{story.without_ray} drivers ended by themselves, for Ray did not start in time.")
    print(f"{story.epochs_compared} epochs have the scores of the undisturbed search.")
    print("No record lost, doubled or changed; no process, temporary file or further checkpoint left.")


if __name__ == "__main__":
    main()
