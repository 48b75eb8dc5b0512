"""`make fuzz`: many inputs for each reader, in shards, so that a run can be ended and go on.

Each shard is a run of hypothesis from a seed of its own, in a process of its own: a reader that takes the
process with it is at fault, too. What is done stands in `build/fuzz.jsonl`, after which the same command goes
on. An input that was a fault is kept in the corpus, which every run begins with, `make test`'s too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.damage import damaged
from tests.fuzz_readers import READERS
from tests.fuzzing import Ground, Input, Reader, corpus, keep

NOTES = Path("build/fuzz.jsonl")
SHARD = 5_000
MOST_FAULTS = 5
"""Shards of a reader; then it has to be mended first."""
_LAST = "last.json"
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Files are written for each input: faster where no disk is."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_long", description=__doc__)
    parser.add_argument("readers", metavar="READER", nargs="*", help="all, if none is named")
    parser.add_argument("--inputs", metavar="N", type=int, default=100_000, help="for each reader of text")
    parser.add_argument("--binary", metavar="N", type=int, default=10_000, help="for each reader of bytes")
    parser.add_argument(
        "--report", action="store_true", help="prints what is done as a table, and does nothing"
    )
    given_ = parser.parse_args(arguments)
    torch.set_num_threads(1)  # those who are forked would wait for threads that they do not have
    readers = [reader for reader in READERS if not given_.readers or reader.name in given_.readers]
    notes = _read_notes()
    if given_.report:
        _report(notes)
        return 0
    wanted = {reader.name: given_.binary if reader.binary else given_.inputs for reader in readers}
    for number in range(-(-max(wanted.values()) // SHARD)):  # all readers in turn
        for reader in readers:
            inputs = min(SHARD, wanted[reader.name] - number * SHARD)
            mine = [note for note in notes if note["reader"] == reader.name]
            done = any(note["shard"] == number for note in mine)
            if inputs <= 0 or done or sum(note["fault"] is not None for note in mine) >= MOST_FAULTS:
                continue
            note = _in_a_process(reader, number, inputs)
            notes.append(note)
            NOTES.parent.mkdir(exist_ok=True)
            with NOTES.open("a") as file:
                file.write(json.dumps(note) + "\n")
            said = f"{note['inputs']} inputs in {note['cpu_s']:.0f} s" + (
                f"; {note['fault']}" if note["fault"] else ""
            )
            print(f"{reader.name} {number}: {said}", flush=True)
    return int(any(note["fault"] for note in notes))


def _read_notes() -> list[dict[str, Any]]:
    return [json.loads(line) for line in NOTES.read_text().splitlines()] if NOTES.exists() else []


def _report(notes: list[dict[str, Any]]) -> None:
    print("| reader | inputs | taken | refused | ms of CPU an input | faults |\n|---|---|---|---|---|---|")
    for reader in READERS:
        mine = [note for note in notes if note["reader"] == reader.name]
        sums = {
            key: sum(note.get(key, 0) for note in mine) for key in ("inputs", "taken", "refused", "cpu_s")
        }
        faults = sum(note["fault"] is not None for note in mine)
        each_ms = 1000 * sums["cpu_s"] / max(1, sums["inputs"])
        kind = "bytes" if reader.binary else "text"
        print(
            f"| {reader.name} ({kind}) | {sums['inputs']:,} | {sums['taken']:,} | {sums['refused']:,} | "
            f"{each_ms:.1f} | {faults} |"
        )


def _in_a_process(reader: Reader, number: int, inputs: int) -> dict[str, Any]:
    context = multiprocessing.get_context("fork")  # what has been imported is there
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_MEMORY, ignore_cleanup_errors=True) as root:
        mine, its = context.Pipe(duplex=False)
        process = context.Process(target=_shard, args=(reader, number, inputs, Path(root), its))
        process.start()
        its.close()
        try:
            note: dict[str, Any] = mine.recv()
        except EOFError:
            process.join()
            last = Path(root, _LAST)
            file, content = json.loads(last.read_text()) if last.exists() else (next(iter(reader.files)), "")
            kept = keep(reader, (file, bytes.fromhex(content)))
            fault = f"the process ended with status {process.exitcode}; the last input is kept as {kept}"
            note = {"reader": reader.name, "shard": number, "inputs": 0, "cpu_s": 0.0, "fault": fault}
        process.join()
        return note


def _shard(reader: Reader, number: int, inputs: int, root: Path, answer: Any) -> None:
    """Asks a reader about so many inputs, and sends how many it took, and what went wrong."""
    sys.stderr = open(root / "stderr", "w")  # noqa: SIM115  (libraries say much about damaged files)
    ground, done, before = Ground(root / "ground", reader), Counter[str](), time.process_time()
    failed: list[Input] = []

    def ask(tried: Input) -> None:
        Path(root, _LAST).write_text(json.dumps([tried[0], tried[1].hex()]))
        try:
            done["taken" if ground.ask(tried) else "refused"] += 1
        except BaseException:
            failed.append(tried)
            raise

    @seed(number)
    @settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(st.randoms(use_true_random=True))  # a tenth of the time; inputs are not made smaller
    def ask_drawn(random: Random) -> None:
        ask(damaged(random, ground))

    fault = None
    try:
        for tried in corpus(reader):
            ask(tried)
        done.clear()
        ask_drawn()
    except Exception as raised:
        kept = f", kept as {keep(reader, failed[-1])}" if failed else ""
        fault = f"{type(raised).__name__}: {str(raised)[:500]}{kept}"
    cpu_s = time.process_time() - before
    answer.send(
        {
            "reader": reader.name,
            "shard": number,
            **done,
            "inputs": sum(done.values()),
            "cpu_s": cpu_s,
            "fault": fault,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
