"""The command line of the search benchmark: runs what is not there yet, then prints the comparison."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import multiprocessing
import os
import re
import time
import warnings
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.interface import Objective
from benchmarks.quality.methods import METHODS, SLOW
from benchmarks.quality.objective_files import load_objective
from benchmarks.quality.objectives import BUILT_IN
from benchmarks.quality.peers import PEERS
from benchmarks.quality.regret import yardstick
from benchmarks.quality.simulator import Setting, simulate
from benchmarks.quality.tables import printed
from search.storage.folder import write_text
from spaces.errors import InputError

FIRST_SEED = 100
TRAININGS = 40
"""Whole trainings of random configurations for which the time of a search is enough, unless told."""
POINTS = 100
"""Times at which a search is looked at, evenly spread, the last of them its end."""

Run = dict[str, Any]
"""One search, as --out holds it."""


def main(description: str) -> None:
    parser = _parser(description)
    options = parser.parse_args()
    if options.plot and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install -c benchmarks/constraints.txt -e '.[bench]'")
    if (
        options.workers < 1
        or not options.startup_s >= 0
        or not (options.time_s is None or options.time_s > 0)
    ):
        parser.error("--workers must be at least 1, --startup-s at least 0 and --time-s over 0")
    for name in options.objective:
        if name not in BUILT_IN and not Path(name).is_file():
            parser.error(f"--objective {name}: neither a file nor one of {', '.join(BUILT_IN)}")
        if name not in BUILT_IN:
            try:
                load_objective(Path(name))
            except InputError as fault:
                parser.error(f"--objective {fault}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    runs: list[Run] = json.loads(options.out.read_text()) if options.out.exists() else []
    known = {_key(run) for run in runs}
    wanted = _asked(options)
    asked = [run for run in wanted if _key(run) not in known]
    if len(asked) < len(wanted):
        print(f"{len(wanted) - len(asked)} of {len(wanted)} runs are in {options.out} already.")
    # Searches run side by side, so each on one thread; and SMAC repeats itself only under one hash seed.
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    context = multiprocessing.get_context("spawn")  # peers keep global state, which a fork would copy
    with context.Pool(os.cpu_count()) as pool:
        for number, run in enumerate(pool.imap_unordered(searched, asked), start=1):
            runs.append(run)
            write_text(options.out, json.dumps(runs))
            print(
                f"{number}/{len(asked)} {run['objective']} {run['method']} seed {run['seed']}: "
                f"{run['trials']} trials, {run['epochs']} epochs, {run['real_s']:.1f} s",
                flush=True,
            )
    keys = {_key(run) for run in wanted}
    shown = [run for run in runs if _key(run) in keys]
    print(printed(shown))
    if options.plot:
        from benchmarks.quality.plot import draw  # its library comes with the peers'

        draw(shown, options.plot)
        print(f"\nRegret over time: {options.plot}")


def searched(asked: Run) -> Run:
    """One search, run."""
    # Peers' libraries warn hundreds of times, of nothing that can be mended here.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    started = time.perf_counter()
    objective = objective_named(asked["file"], asked["seed"])
    measured = yardstick(objective)
    time_s = asked["time_s"] or TRAININGS * measured.full_s / asked["workers"]
    setting = Setting(asked["workers"], asked["startup_s"], time_s)
    method = METHODS[asked["method"]](objective, seed=asked["seed"], workers=setting.workers)
    history = simulate(objective, method, setting, seed=asked["seed"])
    incumbent = history.incumbent(time_s * np.arange(1, POINTS + 1) / POINTS)
    return {
        **asked,
        "simulated_s": time_s,
        "yardstick": asdict(measured),
        "best_seen": max((score for score in history.noiseless if np.isfinite(score)), default=None),
        "incumbent": [None if np.isnan(score) else round(float(score), 6) for score in incumbent],
        "trials": history.started,
        "epochs": len(history.times_s),
        "method_s": round(history.method_s, 3),
        "real_s": round(time.perf_counter() - started, 3),
    }


def objective_named(name: str, seed: int) -> Objective:
    """A built-in objective, or the one in a file."""
    return BUILT_IN[name](seed) if name in BUILT_IN else load_objective(Path(name))


def seeds(given: str) -> range:
    """Those that `20` (so many, of those for reporting) or `0-9` stand for.

    Raises:
        argparse.ArgumentTypeError: It stands for none.
    """
    whole = re.fullmatch(r"(\d+)(?:-(\d+))?", given)
    first, last = (whole[1], whole[2]) if whole else ("0", None)
    found = range(int(first), int(last) + 1) if last else range(FIRST_SEED, FIRST_SEED + int(first))
    if not found:
        raise argparse.ArgumentTypeError(f"must be how many, such as 20, or FIRST-LAST, such as 0-9: {given}")
    return found


def _asked(options: argparse.Namespace) -> list[Run]:
    """What shall be run, seed by seed, so that what is there when it is interrupted is in pairs."""
    asked = options.seeds
    content = {name: _content(name) for name in options.objective}
    return [
        {
            "objective": Path(name).stem,
            "file": name,
            "method": method,
            "content": content[name],
            "seed": seed,
            "workers": options.workers,
            "startup_s": options.startup_s,
            "time_s": options.time_s,
        }
        for place, seed in enumerate(asked)
        for name in options.objective
        for method in options.methods
        if method not in SLOW or place < max(1, len(asked) // 2)
    ]


def _content(name: str) -> str:
    """Tells an objective's file from what it was before; nothing for a built-in objective."""
    return "" if name in BUILT_IN else hashlib.sha256(Path(name).read_bytes()).hexdigest()[:16]


def _key(run: Run) -> tuple[Any, ...]:
    names = ("file", "content", "method", "seed", "workers", "startup_s", "time_s")
    return tuple(run.get(name, "") for name in names)  # runs of older files have no content


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objective", nargs="+", default=["finetuning", "curves", "hartmann"])
    parser.add_argument("--methods", nargs="+", default=["ours", *PEERS], choices=list(METHODS))
    parser.add_argument("--seeds", type=seeds, default="20", help="how many, or FIRST-LAST")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--startup-s", type=float, default=2.0)
    parser.add_argument("--time-s", type=float)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draws regret over time")
    parser.add_argument("--out", type=Path, default=Path("results/search_quality.json"))
    return parser
