"""How busy does the driver keep its slots, and what does a trial cost it, from the first to the last of many?

    python benchmarks/scaling.py slots [--slots 1 2 4 8 16 32] [--seconds 10] [--waves 12]  (20 minutes)
    python benchmarks/scaling.py trials [--samplers random tpe] [--trials 10000]             (30 minutes)

Trials sleep instead of training: that takes no CPU, so one machine holds many. All else is the product's: the
engine with its sampler, rule, budget and records, the terminal's progress, `search.tune.driver`, and on the
other side a process a slot that has imported all that a trial imports, and Ray Train's local mode in it. Ray
is started here and told that it has a CPU for each slot; --ray ADDRESS joins another, such as one of several
nodes on this machine (`ray start --head --num-cpus=0`, then `ray start --address=... --num-cpus=16` each).

`slots`: trials of four reports, none of which is stopped. The utilisation is the share of the slots' time in
which they sleep, by the sleepers' own clocks: `steady` from when every slot has begun its first trial to when
the last trial begins, `whole` from the first trial's beginning to the last one's end, with the start of the
processes and the last wave, which ends unevenly.

`trials`: short trials of four reports that the rule may stop. The driver's time a trial is the CPU time of
its process between the ends of trials, divided by their number: of the 200 trials around the 200th, and of
the last 200. Its memory is what it has resident then.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import ray
import ray.train
import ray.tune
from ray.train.torch import TorchTrainer
from rich.console import Console

from search.console.progress import Progress
from search.engine.budget import Budget
from search.engine.engine import Engine
from search.policy.asha import Decision
from search.policy.policy import Policy, make_policy
from search.settings.allowance import Allowance
from search.storage.scratch import scratch
from search.trials.accounts import Accounts
from search.trials.records import RecordFile
from search.trials.trials import METRICS, TrialRecord
from search.tune import driver
from search.tune.cluster import connect
from search.tune.resources import Resources
from search.tune.watch import StopAll
from spaces.space_files import load_space
from trainables.storage import Storage
from trainables.workplace import Slot, Workplace

REPORTS = 4
WINDOW = 200
METRIC = METRICS["val_accuracy"]
PICTURES = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    slots = kinds.add_parser("slots")
    slots.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    slots.add_argument("--seconds", type=float, default=10.0, help="that a trial sleeps")
    slots.add_argument("--waves", type=int, default=12, help="trials a slot")
    slots.set_defaults(measure=measure_slots)
    trials = kinds.add_parser("trials")
    trials.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    trials.add_argument("--trials", type=int, default=10_000)
    trials.add_argument("--slots", type=int, default=8)
    trials.add_argument("--seconds", type=float, default=0.04, help="that a trial sleeps")
    trials.set_defaults(measure=measure_trials)
    for kind in (slots, trials):
        kind.add_argument("--ray", default="local", help="address of a Ray to join")
    options = parser.parse_args()
    print(f"Ray {ray.__version__}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}", flush=True)
    options.measure(options)


def measure_slots(options: argparse.Namespace) -> None:
    print(f"{'slots':>6} {'trials':>7} {'nodes':>6} {'steady, %':>10} {'whole, %':>9} {'driver CPU, %':>14}")
    for slots in options.slots:
        run = driven(
            options.ray,
            sampler="random",
            trials=slots * options.waves,
            slots=slots,
            seconds=options.seconds,
            stops=False,
        )
        steady, whole = run.utilisation(slots)
        busy = (run.samples[-1].cpu_s - run.samples[0].cpu_s) / (run.samples[-1].at_s - run.samples[0].at_s)
        print(
            f"{slots:>6} {len(run.records):>7} {run.nodes:>6} {100 * steady:>10.1f} {100 * whole:>9.1f} "
            f"{100 * busy:>14.1f}",
            flush=True,
        )


def measure_trials(options: argparse.Namespace) -> None:
    print(f"{'sampler':<9} {'trials':>7} {'CPU, ms a trial':>16} {'all, ms a trial':>16} {'memory, MB':>11}")
    for sampler in options.samplers:
        run = driven(
            options.ray,
            sampler=sampler,
            trials=options.trials,
            slots=options.slots,
            seconds=options.seconds,
            stops=True,
        )
        last = len(run.samples) - 1
        places = sorted({place for place in (200, 1000, 3000, last) if WINDOW // 2 <= place <= last})
        costs = {}
        for place in places:
            first = max(0, min(place + WINDOW // 2, last) - WINDOW)
            before, after = run.samples[first], run.samples[first + WINDOW]
            costs[place] = (after.cpu_s - before.cpu_s) / WINDOW
            print(
                f"{sampler:<9} {place + 1:>7} {1e3 * costs[place]:>16.1f} "
                f"{1e3 * (after.at_s - before.at_s) / WINDOW:>16.1f} {after.memory_mb:>11.0f}"
            )
        print(f"{sampler}: at the end {costs[places[-1]] / costs[places[0]]:.2f} times", flush=True)


@dataclass(frozen=True)
class Sample:
    """The driver, when a trial had ended."""

    at_s: float
    cpu_s: float
    memory_mb: float

    @classmethod
    def now(cls) -> Sample:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(time.monotonic(), time.process_time(), pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


@dataclass
class Run:
    """What became of a search."""

    nodes: int = 0
    samples: list[Sample] = field(default_factory=list)
    """One for each trial that has ended."""
    records: list[TrialRecord] = field(default_factory=list)

    def utilisation(self, slots: int) -> tuple[float, float]:
        """Of the slots, in the steady state and over all."""
        naps = [
            (epoch.metrics["began"], epoch.metrics["began"] + epoch.metrics["epoch_s"])
            for record in self.records
            for epoch in record.history
        ]
        first_naps = [record.history[0].metrics for record in self.records]
        begun = sorted((metrics["began"], metrics["pid"]) for metrics in first_naps)
        processes = sorted({pid: began for began, pid in reversed(begun)}.values())
        all_begun = processes[slots - 1] if len(processes) >= slots else math.inf
        return (
            share_of(naps, all_begun, begun[-1][0], slots),
            share_of(naps, begun[0][0], max(end for _, end in naps), slots),
        )


def share_of(naps: Sequence[tuple[float, float]], start: float, end: float, slots: int) -> float:
    """Of the time of all slots between two moments, what was slept."""
    slept = sum(max(0.0, min(until, end) - max(since, start)) for since, until in naps)
    return slept / (slots * (end - start)) if end > start else math.nan


def driven(address: str, *, sampler: str, trials: int, slots: int, seconds: float, stops: bool) -> Run:
    """A whole search of sleepers."""
    run = Run()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scaling-")))
        run.nodes = stack.enter_context(ray_with(address, slots))
        file = RecordFile(folder / "records.jsonl")
        stack.callback(file.close)
        file.session()
        engine = engine_of(file, sampler, trials, stops, lambda trial: run.samples.append(Sample.now()))
        progress = stack.enter_context(Progress(engine, Console(file=io.StringIO())))
        place = Workplace(None, pd.DataFrame(), str(folder), Storage.of(folder), (), workers=1)
        venue = driver.Venue(
            place,
            Resources(slots, Slot(1.0)),
            most=slots,
            to_come=(),
            told=lambda line: None,
            counted=lambda nodes: None,
            silence_s=600.0,
            stop=StopAll(),
        )
        with mock.patch.object(driver, "run_trial", partial(sleeping_trial, seconds=seconds)):
            driver.run(engine, venue, tick=progress.tick)
        run.records = engine.records
        if not engine.finished:
            raise SystemExit("the search did not come to its end")
    return run


@contextlib.contextmanager
def ray_with(address: str, slots: int) -> Iterator[int]:
    """Ray, with a CPU for each slot; the number of its nodes."""
    with scratch() as folder:
        with mock.patch.dict(os.environ, RAY_OVERRIDE_RESOURCES=json.dumps({"CPU": slots})):
            cluster = connect(address, worker_groups=False, folder=folder)
        try:
            yield len(cluster.nodes)
        finally:
            ray.shutdown()


class GoesOn:
    """A rule that stops nothing."""

    def enter(self, trial: int, passes: float, gain: float) -> None:
        """Nothing to learn."""

    def decide(self, trial: int) -> Decision:
        """On."""
        return Decision.CONTINUE


def engine_of(
    file: RecordFile, sampler: str, trials: int, stops: bool, ended: Callable[[int], None]
) -> Engine:
    """A search of the networks that are trained from scratch."""
    space = load_space("scratch")
    policy = make_policy(space, METRIC, name=sampler, seed=0, max_passes=REPORTS)
    budget = Budget(Accounts(file.records, METRIC, pictures=PICTURES), Allowance(trials=trials))
    return Engine(
        file,
        space,
        policy if stops else Policy(policy.sampler, GoesOn()),
        metric=METRIC,
        budget=budget,
        passes=REPORTS,
        pictures=PICTURES,
        seed=0,
        audit=0.05,
        ended=ended,
    )


def sleeping_trial(config: dict[str, Any], *, place: Workplace, workers: int, seconds: float) -> None:
    """What Tune runs in place of `search.tune.trial.run_trial`."""
    worker = partial(sleep, config["trial"], seconds)
    TorchTrainer(worker, scaling_config=ray.train.ScalingConfig(num_workers=0)).fit()


def sleep(trial: dict[str, Any], seconds: float) -> None:
    """Reports as `trainables.worker.work` does, scores that rise towards one of the trial's own."""
    rng = np.random.default_rng(trial["seed"])
    best, epochs = rng.uniform(0.3, 0.9), trial["epochs"]
    for epoch in range(1, epochs + 1):
        began = time.time()
        time.sleep(seconds / epochs)
        score = float(best * (1 - math.exp(-epoch)) + rng.normal(scale=0.01))
        metrics = {
            "epoch": epoch,
            "passes": epoch * REPORTS / epochs,
            "train_loss": 1 - score,
            "val_loss": 1 - score,
            "val_accuracy": score,
            "lr_scale": 1.0,
            "began": began,
            "pid": os.getpid(),
            "epoch_s": time.time() - began,
        }
        said = {"trial": trial["number"], "epoch": epoch, "passes": metrics["passes"], "metrics": metrics}
        told({"event": "epoch", **said, "node": socket.gethostname(), "device": "cpu"})
    told({"event": "end", "trial": trial["number"], "outcome": "complete"})


def told(message: dict[str, Any]) -> None:
    ray.tune.report({"message": json.dumps(message)})


if __name__ == "__main__":
    main()
