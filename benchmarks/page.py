"""How large is the page of a large search, how long does it take to build, and to open in a browser?

    python benchmarks/page.py [--trials 16 1000 10000] [--epochs 25] [--opens 3]        (about three minutes)

A search of the space `scratch` that never ran: random recipes, each with a curve of as many epochs, on
four nodes of two GPUs; every seventh trial failed with a traceback. *Read* is its `records.jsonl`, *built*
the folder's page and tables from what was read. The file is opened in headless Chromium of 1280 x 900
pixels: *table* is when the table can be read, sorted and filtered, *figures* when those in view are drawn,
too: the page is ready then; *all* is when all figures are, drawn while the page can be used. They are the
best of so many openings, each in a new page. In brackets are processor seconds, of the building process or
of the page's main thread: on a busy machine they say more.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts are run from anywhere, and are not installed

from benchmarks.quality.random_params import random_params
from search.report.facts import SearchView
from search.report.page import write_leaderboard
from search.trials.records import read
from search.trials.trials import METRICS, Epoch, Outcome, Trial, TrialRecord
from spaces.space import Space
from spaces.space_files import load_space

START_S = 1_800_000_000.0
EPOCH_S = 20.0
SLOTS = [(f"node-{node}", f"cuda:{gpu}") for node in range(4) for gpu in range(2)]
TRACEBACK = "Traceback (most recent call last):\n" + "\n".join(
    f'  File "train.py", line {i}' for i in range(20)
)
IN_VIEW = """[...document.querySelectorAll('.chart')].filter(chart => {
    const {top, bottom} = chart.getBoundingClientRect();
    return bottom > 0 && top < innerHeight && !chart.closest('[hidden]');
}).every(chart => chart.dataset.drawn)"""
ALL = """[...document.querySelectorAll('.chart')]
    .every(chart => chart.dataset.drawn || chart.closest('[hidden]'))"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[16, 1000, 10000])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--opens", type=int, default=3)
    options = parser.parse_args()
    print("| trials | MB | read, s | built, s | table, s | figures, s | all, s |\n" + 7 * "|---" + "|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for trials in options.trials:
            view = search(trials, options.epochs)
            store(view.records, Path(folder) / "records.jsonl")
            records, reading = timed(read, Path(folder) / "records.jsonl")
            view = replace(view, records=records.all())
            page, building = timed(write_leaderboard, Path(folder), view)
            opened = [open_page(chromium, page) for _ in range(options.opens)]
            seconds = [f"{wall:.1f} ({cpu:.1f})" for wall, cpu in map(min, zip(*opened, strict=True))]
            cells = [f"{trials:,}", f"{page.stat().st_size / 1e6:.1f}", reading, building, *seconds]
            print(f"| {' | '.join(cells)} |", flush=True)
        chromium.close()


T = TypeVar("T")


def timed(work: Callable[..., T], *given: object) -> tuple[T, str]:
    """What comes of it, and its seconds, those of the processor in brackets."""
    started, before = time.perf_counter(), time.process_time()
    done = work(*given)
    return done, f"{time.perf_counter() - started:.1f} ({time.process_time() - before:.1f})"


def store(records: list[TrialRecord], path: Path) -> None:
    """Records as a search writes them."""
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            events = [{"event": "trial", "trial": asdict(record.trial), "time": record.started}]
            events += [{"event": "epoch", **asdict(epoch)} for epoch in record.history]
            end = {"trial": record.number, "outcome": record.outcome, "error": record.error}
            events += [{"event": "end", **end, "traceback": record.traceback, "time": record.ended}]
            file.writelines(json.dumps(event) + "\n" for event in events)


def search(trials: int, epochs: int) -> SearchView:
    """A finished search of random recipes."""
    rng, space = np.random.default_rng(0), load_space("scratch")
    records = [trial(number, epochs, space, rng) for number in range(trials)]
    return SearchView(
        name="benchmark",
        metric=METRICS["val_accuracy"],
        records=records,
        settings={
            "data": "pictures",
            "space": "scratch",
            "trials": trials,
            "max_epochs": epochs,
            "reduction": 3,
        },
        state="finished",
        elapsed_s=max(record.ended or 0.0 for record in records) - START_S,
        data={"counts": {f"class {i:02}": {"train": 700, "validation": 100, "test": 200} for i in range(50)}},
    )


def trial(number: int, epochs: int, space: Space, rng: np.random.Generator) -> TrialRecord:
    """One trial with an ordinary curve; every seventh fails after its last epoch."""
    params = random_params(space, rng)
    recipe = space.recipe(params, epochs=epochs).to_dict()
    node, device = SLOTS[number % len(SLOTS)]
    started = START_S + number // len(SLOTS) * (epochs + 0.5) * EPOCH_S
    record = TrialRecord(Trial(number, recipe, params, number, epochs), started)
    end, pace = rng.uniform(0.3, 0.95), rng.uniform(2, 8)
    for epoch in range(1, epochs + 1):
        accuracy = float(np.clip(end * (1 - math.exp(-epoch / pace)) + rng.normal(0, 0.01), 0.01, 0.99))
        metrics = {"train_accuracy": accuracy + 0.01, "val_accuracy": accuracy, "val_macro_f1": accuracy}
        metrics |= {"train_loss": -math.log(accuracy), "val_loss": 0.1 - math.log(accuracy)}
        metrics |= {
            "epoch_s": EPOCH_S,
            "train_s": EPOCH_S,
            "data_wait_s": float(rng.uniform(0, 2)),
            "lr_scale": 1.0,
        }
        record.history.append(Epoch(number, epoch, epoch, metrics, node, device, started + epoch * EPOCH_S))
    record.outcome, record.ended = Outcome.COMPLETE, started + epochs * EPOCH_S
    if number % 7 == 6:
        record.outcome, record.error = Outcome.FAILED, f"RuntimeError: number {number}"
        record.traceback = f"{TRACEBACK}\n{record.error}"
    return record


def open_page(chromium: Browser, path: Path) -> list[tuple[float, float]]:
    """Seconds, and processor seconds of the page, until the table, the figures in view, and all figures."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def cpu() -> float:
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    started = time.perf_counter()
    page.goto(path.as_uri(), wait_until="commit", timeout=300_000)
    found = []
    for condition in ("document.querySelector('tr.trial') !== null", IN_VIEW, ALL):
        wait(page, condition)
        found.append((time.perf_counter() - started, cpu()))
    page.close()
    return found


def wait(page: Page, condition: str) -> None:
    while not page.evaluate(condition):
        time.sleep(0.02)


if __name__ == "__main__":
    main()
