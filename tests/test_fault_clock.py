"""A search during which the wall clock is set, forth and back: real Ray, `clock.c` in all its processes."""

from __future__ import annotations

import json
import shutil
import sys
import time

import pytest

from search.report.facts.timeline import stints
from search.results import view
from search.storage.folder import SearchFolder, State
from search.storage.owner import NOTE, drivers
from search.trials.trials import Outcome
from tests.aftermath import assert_each_trial_is_recorded_once, assert_nothing_is_left, events
from tests.clock import HOUR_S, clock
from tests.commands import Desk
from tests.faulty import SLOW
from trainables.storage import Storage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the clock is set by way of Linux's LD_PRELOAD"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: apt-get install gcc libc6-dev"),
]


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S], ids=["forth", "back"])
def test_a_search_does_not_notice_that_the_wall_clock_is_set(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, by_s: int
) -> None:
    moment, home = desk.folder / "moment", Storage.of(desk.folder / "store") / "jump"
    asked = desk.search_arguments(
        *("--space", desk.space(SLOW.replace("0.15", "0.4")), "--storage", "store", "--name", "jump"),
        # In one process: set back, the clock keeps Ray from starting others (docs/architecture.md).
        *("--trials", "3", "--max-epochs", "24", "--audit", "0", "--concurrency", "1"),
        *("--time", "20m", "--timeout-min", "5"),
    )
    with monkeypatch.context() as patched:
        patched.setenv("LD_PRELOAD", str(clock(desk.folder, moment, by_s)))
        patched.setenv("RAY_LD_PRELOAD_ON_WORKERS", "1")
        started = time.monotonic()
        process = desk.start("search.run", *asked)
    desk.wait(process, lambda: len(desk.records("jump").order) >= 2)
    moment.touch()
    assert desk.records("jump").all()[0].outcome is None  # in the middle of a trial
    assert drivers([home])  # for who looks from elsewhere, the search goes on
    output, _ = process.communicate(timeout=180)
    took_s = time.monotonic() - started
    assert process.returncode == 0, output

    folder = SearchFolder(desk.folder / "results" / "jump")
    manifest = json.loads(folder.manifest_file.read_text())
    assert (manifest["state"], manifest["ended_by"]) == ("finished", "trials")
    assert manifest["written"] - time.time() == pytest.approx(by_s, abs=60)  # it has jumped
    assert_each_trial_is_recorded_once(folder.path, 3)
    assert_nothing_is_left(folder.path, session=process.pid)
    assert not home.exists(NOTE)
    for record in folder.records().all():
        assert record.outcome in (Outcome.COMPLETE, Outcome.STOPPED)
        assert record.retries == 0

    # No time that is told, and no length, has the hour in it.
    times = [event["time"] for event in events(folder.path)]
    assert times == sorted(times)
    shown = view(folder, State.FINISHED)
    assert 0 < shown.elapsed_s < took_s
    for stint in stints(shown):
        assert 0 <= stint.start_s < stint.end_s <= shown.elapsed_s
        assert 0 < stint.busy_s < shown.elapsed_s
