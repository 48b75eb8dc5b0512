"""A real search beside Ray's OptunaSearch with ASHA: the same pictures, space, training and seconds.

    python benchmarks/real_search.py --data DIR [--time-s 300] [--seeds 0-1]               (26 min)

DIR is simpsons-mnist, or other small pictures, one folder a class. The space is quality/small_nets.yaml. Ours
is `search.run` as it comes, but for the recipes that it would try first (quality/our_search.py): they are
outside of the space. The other side is quality/ray_search.py, with as many trials at a time and threads as
ours takes. One runs after the other, and who is first alternates. The clock starts with the command, and what
is reported after --time-s counts for neither. Ctrl-C ends them, for our own --time keeps time for a retrain
back.

The winner is on both sides the trial with the best last score on the validation part. Its recipe is trained
anew with three other seeds and tested: only then is the test part read. Run again, only what is not in --out
yet is run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from benchmarks.quality.command import seeds
from benchmarks.quality.recorded import SPACE
from search.planning.pictures import ready_pictures
from search.results import winner
from search.run import settings_from
from search.settings.settings import Settings
from search.storage.folder import RESULTS, write_text
from search.trials.records import FILE, read
from search.trials.trials import TrialRecord
from spaces.recipe import Recipe
from spaces.space_files import load_space
from trainables.data import Dataset, load
from trainables.evaluate import evaluate
from trainables.loop import TrainData, train

REPOSITORY = Path(__file__).parents[1]
SIDES = ("ours", "ray")
SHARES = (0.25, 0.5, 1.0)
TEST_SEEDS = (1_000, 1_001, 1_002)

Run = dict[str, Any]
"""One search, as --out holds it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--time-s", type=float, default=300)
    parser.add_argument("--seeds", type=seeds, default="0-1", help="how many, or FIRST-LAST")
    parser.add_argument("--epochs", type=int, default=9, help="full length of a training")
    parser.add_argument("--out", type=Path, default=Path("results/real_search.json"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    runs: list[Run] = json.loads(options.out.read_text()) if options.out.exists() else []
    shown = []
    for place, seed in enumerate(options.seeds):
        for side in SIDES if place % 2 == 0 else reversed(SIDES):
            asked = {
                "side": side,
                "seed": seed,
                "data": str(options.data.resolve()),
                "time_s": options.time_s,
                "epochs": options.epochs,
            }
            run = next((known for known in runs if known.items() >= asked.items()), None)
            if run is None:
                run = asked | searched(asked)
                runs.append(run)
                write_text(options.out, json.dumps(runs))
                print(row(run), flush=True)
            shown.append(run)
    print_comparison(shown)


def searched(asked: Run) -> Run:
    """One search, run, and what it came to."""
    given = {
        "data": asked["data"],
        "space": str(SPACE),
        "trials": 10**6,
        "max_epochs": asked["epochs"],
        "seed": asked["seed"],
        "ray": "local",
        "name": f"real-search-{asked['side']}-{asked['seed']}-{time.strftime('%Y%m%d-%H%M%S')}",
    }
    settings = settings_from(given, resume=False)
    data = pictures(settings)
    folder = RESULTS / settings.name
    log = folder.with_suffix(".log")
    started = time.time()
    until = started + asked["time_s"]
    module = {"ours": "our_search", "ray": "ray_search"}[asked["side"]]
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.quality.{module}", settings.model_dump_json(), str(folder)],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            process.wait(asked["time_s"])
            raise RuntimeError(f"the search ended by itself: {log} says why")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
    records = read(folder / FILE).all()
    trials = at(until, records)
    best = winner(trials, settings.scored_by)
    assert best is not None, f"no trial reported within --time-s; {log} may say why"
    return {
        "folder": str(folder),
        "trials": len(trials),
        "whole": sum(record.epochs_done == record.trial.epochs for record in trials),
        "passes": sum(record.epochs_done for record in trials),
        "course": course(started, until, records, settings),
        "winner": {"trial": best.number, "epochs": best.epochs_done, "recipe": best.trial.recipe},
        "test": tested(best, data),
    }


def pictures(settings: Settings) -> dict[int, Dataset]:
    """The pictures by size, split as our search splits them, and decoded for both sides."""
    sizes_px, cache_dir = load_space(SPACE).sizes_px(), Path(settings.cache_dir)
    source, prepared = ready_pictures(settings, size_px=sizes_px[0], console=Console(quiet=True))
    return {px: load(source, prepared.split, size_px=px, cache_dir=cache_dir) for px in sizes_px}


def at(moment: float, records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The trials of recipes of the space, as they were at a moment."""
    return [
        replace(
            record,
            history=[epoch for epoch in record.history if epoch.time <= moment],
            outcome=record.outcome if (record.ended or math.inf) <= moment else None,
        )
        for record in records
        if record.started <= moment and record.trial.in_space
    ]


def course(
    started: float, until: float, records: list[TrialRecord], settings: Settings
) -> list[tuple[float, float]]:
    """The validation accuracy of the best trial so far, with the second from which on it is that."""
    moments = sorted(epoch.time for record in records for epoch in record.history if epoch.time <= until)
    steps: list[tuple[float, float]] = []
    for moment in moments:
        best = winner(at(moment, records), settings.scored_by)
        score = best.score(settings.scored_by) if best else None
        if score is not None and (not steps or steps[-1][1] != score):
            steps.append((round(moment - started, 1), score))
    return steps


def tested(best: TrialRecord, data: dict[int, Dataset]) -> list[float]:
    """Test accuracies of trainings of a trial's recipe on the training part, in full length."""
    recipe = Recipe.model_validate(best.trial.recipe)
    dataset = data[recipe.geometry.size_px]
    learned_from = TrainData(dataset.part("train"))
    accuracies = []
    for seed in TEST_SEEDS:
        model = train(recipe, learned_from, lambda *told: None, seed=seed, epochs=best.trial.epochs)
        accuracies.append(evaluate(model, recipe, dataset.part("test"))["accuracy"])
    return accuracies


def score_at(run: Run, share: float) -> float:
    """The validation accuracy of the best trial after a share of the time; NaN: none had reported."""
    scores = [score for second, score in run["course"] if second <= share * run["time_s"]]
    return scores[-1] if scores else math.nan


def scores_of(run: Run) -> list[float]:
    """What is compared: validation accuracies after shares of the time, and the mean test accuracy."""
    return [*(score_at(run, share) for share in SHARES), statistics.mean(run["test"])]


def row(run: Run) -> str:
    """A line of the table."""
    scores = " ".join(f"{score:>7.4f}" for score in scores_of(run))
    what = f"{run['winner']['recipe']['model']['name']}, {run['winner']['epochs']} epochs"
    return (
        f"{run['seed']:>4}  {run['side']:<5} {run['trials']:>6} {run['whole']:>5}  {scores} "
        f"± {statistics.stdev(run['test']):.4f}  {what}"
    )


def print_comparison(runs: list[Run]) -> None:
    """Every search, the means of the sides, and what ours is better by."""
    shares = " ".join(f"{f'{share:.0%}':>7}" for share in SHARES)
    print(f"\nseed  side  trials whole  {shares}    test  (± over seeds)  winner when it won")
    for run in runs:
        print(row(run))
    means = {
        side: [statistics.mean(column) for column in zip(*scores, strict=True)]
        for side in SIDES
        if (scores := [scores_of(run) for run in runs if run["side"] == side])
    }
    for side, scores in means.items():
        print(f"mean  {side:<5} {'':>13} {' '.join(f'{score:>7.4f}' for score in scores)}")
    ours, ray = means["ours"], means["ray"]
    gains = " ".join(f"{mine - theirs:>+7.4f}" for mine, theirs in zip(ours, ray, strict=True))
    print(f"ours - ray  {'':>13} {gains}\ntest errors, ours over ray: {(1 - ours[-1]) / (1 - ray[-1]):.2f}")
    for seed in dict.fromkeys(run["seed"] for run in runs):
        mine, theirs = (
            next(run for run in runs if (run["side"], run["seed"]) == (side, seed)) for side in SIDES
        )
        target = score_at(theirs, 1.0)
        reached = next((second for second, score in mine["course"] if score >= target), None)
        said = "never" if reached is None else f"after {reached:.0f} of {mine['time_s']:.0f} s"
        print(f"seed {seed}: ours has the other's final validation accuracy, {target:.4f}, {said}")


if __name__ == "__main__":
    main()
