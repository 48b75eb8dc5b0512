"""How much memory does the cache of decoded pictures take when several trials on a machine read it?

    python benchmarks/cache_memory.py [--trials 4] [--mb 400]        (Linux; about half a minute)

Draws pictures into a temporary folder, decodes them into a cache as a search does, and starts processes that
each do with it what a trial does: open it and read every batch of every part. When all have read all and are
still there, each looks up in /proc what it has: resident memory (Rss), the same with each page divided by
the processes that share it (Pss), and what is its own alone (private). First one process alone, then all.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from trainables.data import PARTS, load, prepare, short_side_px

SIZE_PX = 224
BATCH = 64
MB = 1e6


def draw(folder: Path, size_bytes: float) -> None:
    """Smooth pictures with sides of 4:3 and 3:4 that take so much when they are decoded."""
    rng = np.random.default_rng(0)
    side_px = short_side_px(SIZE_PX)
    shape = (side_px, round(side_px * 4 / 3))
    for number in range(round(size_bytes / (3 * shape[0] * shape[1]))):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        path = folder / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize(shape[:: 1 if number % 3 else -1]).save(path)


def trial(source: Path, split: pd.DataFrame, cache_dir: Path, all_read: Barrier, result: Connection) -> None:
    """Reads everything, waits until all others have, and sends what memory it has."""
    data = load(source, split, size_px=SIZE_PX, cache_dir=cache_dir)
    pictures = data.part(*PARTS)
    order = np.random.default_rng(0).permutation(len(pictures))
    for rows in np.array_split(order, -(-len(order) // BATCH)):
        pictures.batch(rows)[0].max()
    all_read.wait()
    result.send(memory())
    all_read.wait()


def memory() -> dict[str, float]:
    """This process's memory in bytes, and of that the cache's pixels."""
    whole = _sums(Path("/proc/self/smaps_rollup").read_text())
    mappings = Path("/proc/self/smaps").read_text().split("VmFlags:")
    pixels = _sums("".join(mapping for mapping in mappings if "pixels.bin" in mapping))
    return {
        "Rss": whole["Rss"],
        "Pss": whole["Pss"],
        "private": whole["Private_Clean"] + whole["Private_Dirty"],
        "Rss of pixels": pixels["Rss"],
        "Pss of pixels": pixels["Pss"],
    }


def _sums(smaps: str) -> dict[str, float]:
    sums: dict[str, float] = {}
    for line in smaps.splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            sums[name] = sums.get(name, 0.0) + 1024 * int(value.split()[0])
    return sums


def side_by_side(trials: int, *given: Any) -> pd.DataFrame:
    """The memory of so many processes at once, in MB: a row each."""
    context = multiprocessing.get_context("spawn")
    all_read = context.Barrier(trials)
    pipes = [context.Pipe() for _ in range(trials)]
    processes = [context.Process(target=trial, args=(*given, all_read, pipe[1])) for pipe in pipes]
    for process in processes:
        process.start()
    results = [pipe[0].recv() for pipe in pipes]
    for process in processes:
        process.join()
    return pd.DataFrame(results) / MB


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--mb", type=float, default=400, help="size of the decoded pictures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, cache_dir = Path(folder) / "pictures", Path(folder) / "cache"
        draw(source, options.mb * MB)
        split = prepare(source, size_px=SIZE_PX, cache_dir=cache_dir).split
        (pixels,) = cache_dir.glob("*/pixels.bin")
        print(f"{len(split)} pictures, {pixels.stat().st_size / MB:.0f} MB of decoded pixels; memory in MB\n")
        alone = side_by_side(1, source, split, cache_dir)
        print(f"one trial alone\n{alone.round().to_string(index=False)}\n")
        together = side_by_side(options.trials, source, split, cache_dir)
        print(f"{options.trials} trials at once\n{together.round().to_string(index=False)}\n")
    for column in ("Pss", "Pss of pixels"):
        total, multiplied = together[column].sum(), options.trials * alone[column].sum()
        print(
            f"{column}: {total:.0f} MB for all {options.trials}; {options.trials} times one alone would be "
            f"{multiplied:.0f} MB ({total / multiplied:.2f})"
        )


if __name__ == "__main__":
    main()
