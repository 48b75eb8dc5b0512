"""What does a trial cost beside its training? Ours, and Ray's documented form, on the same trivial trials.

    python benchmarks/trial_overhead.py [--trials 30] [--ray-trials 6]        (about 4 minutes)

Every trial trains the same small network for the same epochs on the same pictures in one process of one
thread, reports each epoch and saves a checkpoint with it; trials differ in their learning rate only, and
run one after the other. A trial's overhead is the time from the end of the trial before it to its own end,
less the training and validation time that its epochs report: it holds starting processes, imports, opening
the pictures, making the network, saving, reporting, deciding, and choosing the next trial.

Ray's form is the one of its user guide "Hyperparameter Tuning with Ray Tune": a Tune function that calls
`TorchTrainer(num_workers=1).fit()` with `TuneReportCallback`, everything else by its defaults. Ours is a
whole search by `search.experiment.start`: sampler, scheduler, records, progress, worker in a reused actor.
Each side has a Ray of its own. The first trial of our one actor starts a process as all of Ray's do, and
is shown apart; of Ray's form every trial counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
import ray.train.torch
import ray.tune
import torch
import yaml
from PIL import Image
from ray.tune.integration.ray_train import TuneReportCallback
from rich.console import Console

from search import experiment
from search.planning.plan import Plan, make_plan
from search.settings.settings import Settings
from search.storage.folder import SearchFolder
from search.trials.lengths import length_epochs
from search.trials.trials import Outcome
from spaces.recipe import Recipe
from trainables.checkpoint import Checkpoint
from trainables.data import load, read_split, write_split
from trainables.loop import TrainData, train
from trainables.runtime import Runtime

PASSES = 1
# An epoch is a third of a pass: the only pass has no rung inside, and no trial of ours ends before Ray's.
RECIPE: dict[str, Any] = {
    "model": {"name": "plain_cnn", "args": {"width": 16, "blocks": 3, "dense": 32}},
    "geometry": {"size_px": 32},
    "optim": {"batch_size": 32},
    "steps_per_epoch": 6,
}
LR = (1e-3, 1e-2)


@dataclass(frozen=True)
class Trials:
    """One side's trials, in the order in which they ran."""

    began: float
    """Seconds; when the first one was decided on."""
    ends: list[float]
    work_s: list[float]
    """Training and validation time of each."""

    @property
    def overheads_s(self) -> list[float]:
        """Time that each trial took beside its work."""
        spans = [end - before for before, end in pairwise([self.began, *self.ends])]
        return [span - work for span, work in zip(spans, self.work_s, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=30, help="of ours, after the first of the actor")
    parser.add_argument("--ray-trials", type=int, default=6)
    options = parser.parse_args()
    print(f"Ray {ray.__version__}, torch {torch.__version__}, {os.cpu_count()} CPUs", flush=True)
    with tempfile.TemporaryDirectory(prefix="trial-overhead-") as name:
        folder = Path(name)
        plan = trivial_plan(folder, trials=options.trials + 1)
        theirs = rays_form(folder, plan, options.ray_trials)
        ours = our_search(folder, plan)
    first, *later = ours.overheads_s
    print(f"{'':<24} {'trials':>6} {'work, s':>8} {'overhead, s a trial':>34}")
    print(f"{'':<24} {'':>6} {'a trial':>8} {'mean':>10} {'median':>11} {'worst':>11}")
    row("Ray's documented form", theirs.work_s, theirs.overheads_s)
    row("ours, first of an actor", ours.work_s[:1], [first])
    row("ours", ours.work_s[1:], later)
    ratio = statistics.mean(theirs.overheads_s) / statistics.mean(later)
    print(f"a trial of Ray's form costs {ratio:.0f} times ours (means)")


def row(name: str, work_s: list[float], overheads_s: list[float]) -> None:
    mean, median = statistics.mean(overheads_s), statistics.median(overheads_s)
    print(
        f"{name:<24} {len(overheads_s):>6} {statistics.mean(work_s):>8.2f} "
        f"{mean:>10.3f} {median:>11.3f} {max(overheads_s):>11.3f}"
    )


def trivial_plan(folder: Path, *, trials: int) -> Plan:
    """A search of noise pictures over the learning rate alone."""
    rng = np.random.default_rng(0)
    for label in ("left", "right"):
        (folder / "pictures" / label).mkdir(parents=True)
        for number in range(400):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / label / f"{number}.png")
    space = {"description": "trivial trials", "base": RECIPE, "parameters": {"optim.lr": {"log": list(LR)}}}
    (folder / "space.yaml").write_text(yaml.safe_dump(space))
    settings = Settings(
        name="ours",
        data=str(folder / "pictures"),
        space=str(folder / "space.yaml"),
        trials=trials,
        max_epochs=PASSES,
        concurrency=1,
        cpus_per_trial=1,
        gpus_per_trial=0,
        ray="local",
        cache_dir=str(folder / "cache"),
    )
    return make_plan(settings, Console(quiet=True))


def our_search(folder: Path, plan: Plan) -> Trials:
    """The search, timed by its own records."""
    records = SearchFolder(experiment.start(plan, results=folder / "results").folder).records().all()
    failed = [record for record in records if record.outcome is not Outcome.COMPLETE]
    if failed:
        raise SystemExit(f"trial {failed[0].number} of ours: {failed[0].outcome}, {failed[0].error}")
    return Trials(
        records[0].started,
        [record.ended for record in records if record.ended],
        [record.seconds for record in records],
    )


class Clock(ray.tune.Callback):
    """Notes when Ray's trials end, and their work."""

    def __init__(self) -> None:
        self.began = 0.0
        self.ends: list[float] = []
        self.work_s: dict[str, float] = {}

    def setup(self, **info: Any) -> None:
        self.began = time.time()

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        self.work_s[trial.trial_id] = self.work_s.get(trial.trial_id, 0.0) + result["epoch_s"]

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.ends.append(time.time())


def rays_form(folder: Path, plan: Plan, trials: int) -> Trials:
    """The same trials as Ray's user guide runs them."""
    write_split(plan.prepared.split, folder / "split.csv")
    recipe = Recipe.model_validate(RECIPE)
    clock = Clock()
    ray.init(
        address="local",
        log_to_driver=False,
        runtime_env={"worker_process_setup_hook": know_own_cluster},
    )
    try:
        results = ray.tune.Tuner(
            train_driver_fn,
            param_space={
                "storage": str(folder / "ray"),
                "train_loop_config": {
                    "lr": ray.tune.loguniform(*LR),
                    "folder": str(folder),
                    "epochs": length_epochs(recipe, passes=PASSES, pictures=plan.training_pictures),
                },
            },
            tune_config=ray.tune.TuneConfig(num_samples=trials, max_concurrent_trials=1),
            run_config=ray.tune.RunConfig(storage_path=str(folder / "ray"), callbacks=[clock], verbose=0),
        ).fit()
    finally:
        ray.shutdown()
    if results.errors:
        raise SystemExit(f"a trial of Ray's form failed: {results.errors[0]}")
    return Trials(clock.began, clock.ends, list(clock.work_s.values()))


def know_own_cluster() -> None:
    """Runs in every process of Ray's: tells Ray Train which Ray it runs on.

    Where another Ray is about on the machine it cannot tell by itself, and each trial ends with 12 seconds
    of waiting for an answer: no fault of the form that is measured here.
    """
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address


def train_driver_fn(config: dict[str, Any]) -> None:
    """Tune's function: starts a Ray Train run."""
    ray.train.torch.TorchTrainer(
        train_fn_per_worker,
        train_loop_config=config["train_loop_config"],
        scaling_config=ray.train.ScalingConfig(num_workers=1),
        run_config=ray.train.RunConfig(
            name=f"train-trial_id={ray.tune.get_context().get_trial_id()}",
            storage_path=config["storage"],
            callbacks=[TuneReportCallback()],
        ),
    ).fit()


def train_fn_per_worker(config: dict[str, Any]) -> None:
    """Train's function: our own loop, in Ray's worker."""
    folder = Path(config["folder"])
    recipe = Recipe.model_validate({**RECIPE, "optim": {**RECIPE["optim"], "lr": config["lr"]}})
    data = load(
        folder / "pictures",
        read_split(folder / "split.csv"),
        size_px=recipe.geometry.size_px,
        cache_dir=folder / "cache",
    )

    def report(metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        with tempfile.TemporaryDirectory() as directory:
            checkpoint.save(Path(directory) / "checkpoint.pt")
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(directory))

    parts = TrainData(data.part("train"), data.part("validation"))
    train(recipe, parts, report, runtime=Runtime(threads=1), epochs=config["epochs"])


if __name__ == "__main__":
    main()
