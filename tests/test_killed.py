"""A driver that is killed again and again, in short: `benchmarks/killed.py` does it a hundred times."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.test_benchmarks import script


@pytest.mark.slow
def test_a_search_whose_driver_is_killed_again_and_again_is_the_undisturbed_one_at_its_end() -> None:
    killed = script("killed")
    folder = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))  # the names of Ray's sockets are short
    try:
        desk = killed.Desk(folder, trials=8)
        desk.prepare()
        story = killed.torment(desk, 3, random.Random(1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert story.kills == 3
    assert story.epochs_compared >= 8


def test_a_record_that_is_lost_doubled_or_changed_is_found(tmp_path: Path) -> None:
    killed = script("killed")
    desk = killed.Desk(tmp_path, trials=1)
    lines = [
        '{"event": "trial", "trial": {"number": 0}}',
        '{"event": "epoch", "trial": 0, "epoch": 1, "metrics": {"val_loss": 0.5, "epoch_s": 1.0}}',
        '{"event": "end", "trial": 0, "outcome": "complete"}',
    ]

    def write(name: str, lines: list[str]) -> None:
        (desk.path(name)).mkdir(parents=True, exist_ok=True)
        (desk.path(name) / "records.jsonl").write_text("".join(f"{line}\n" for line in lines))
        (desk.path(name) / "manifest.json").write_text('{"state": "finished", "trials": 1}')

    write("undisturbed", lines)
    write("whole", [line.replace("1.0", "2.0") for line in lines])
    story = killed.Story()
    killed.compare(desk, "whole", story)
    assert story.epochs_compared == 1
    for broken, words in (
        ([*lines, lines[1]], "epoch (0, 1) is there twice"),
        (lines[:2], "not every trial has ended"),
        ([line.replace("0.5", "0.6") for line in lines], "other scores"),
        ([line.replace('"number": 0', '"number": 0, "seed": 1') for line in lines], "other recipes"),
    ):
        write("broken", broken)
        with pytest.raises(killed.Harm, match=re.escape(words)):
            killed.compare(desk, "broken", story)
