"""A search whose machine's clock is set while it runs."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from tests.aftermath import assert_each_trial_is_recorded_once, assert_nothing_is_left, events
from tests.commands import Desk
from tests.faulty import SLOW

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.slow
@pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime (apt install faketime)")
def test_a_clock_that_jumps_by_an_hour_forth_and_back_changes_no_duration(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset = desk.folder / "offset"
    offset.write_text("+0")
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARY))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    asked = ("--trials", "3", "--max-epochs", "4", "--time", "30m", "--timeout-min", "5", "--name", "jumps")
    process = desk.start("search.run", *desk.search_arguments("--space", desk.space(SLOW), *asked))
    for epochs, jump in ((2, "+1h"), (5, "-1h")):
        desk.wait(process, lambda epochs=epochs: len(desk.records("jumps").order) >= epochs)
        new = desk.folder / "new"
        new.write_text(jump)
        os.replace(new, offset)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "by --trials (3 trials)" in output  # not by --time
    folder = desk.folder / "results" / "jumps"
    assert_each_trial_is_recorded_once(folder, 3)
    assert_nothing_is_left(folder, session=process.pid)
    times = [event["time"] for event in events(folder)]
    assert all(0 <= later - earlier < 600 for earlier, later in pairwise(times))
    assert desk.records("jumps").elapsed_s < 1800
