"""What becomes of trials that were lost: they are handed out again, counted, or given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.engine.engine import Engine
from search.trials.losses import MOST_IN_VAIN, MOST_RESTARTS, Cause, Loss
from search.trials.records import steady_clock
from search.trials.trials import Outcome
from spaces.space import Space
from tests.simulated import engine, epoch, space

GONE = Loss(Cause.NODE, "its machine was lost")
DIED = Loss(Cause.PROCESS, "its process died", "Killed")
NO_DATA = Loss(Cause.PLACE, "48 pictures are gone")


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def lost(driven: Engine, trial: int, loss: Loss, times: int) -> None:
    """Loses a trial again and again, each time it is handed out."""
    for _ in range(times):
        driven.lost(trial, loss)
        if driven.records[trial].outcome is None:
            again = driven.ask()
            assert again
            assert again.number == trial


def test_a_trial_that_loses_its_machine_goes_on_however_often(path: Path, searched: Space) -> None:
    driven = engine(path, searched)
    driven.ask()
    lost(driven, 0, GONE, times=20)
    assert (driven.records[0].outcome, driven.records[0].retries) == (None, 20)
    assert driven.records[0].may_restart(Cause.PROCESS)


def test_a_trial_whose_process_dies_again_and_again_has_failed(path: Path, searched: Space) -> None:
    driven = engine(path, searched)
    driven.ask()
    lost(driven, 0, DIED, MOST_RESTARTS)
    lost(driven, 0, GONE, times=2)
    driven = engine(path, searched)  # a resume counts on
    again = driven.ask()
    assert again
    assert again.number == 0
    driven.lost(0, DIED)
    record = driven.records[0]
    assert record.outcome is Outcome.FAILED
    assert record.error == "lost 4 times, the last time because its process died"
    assert record.traceback == "Killed"
    following = driven.ask()
    assert following
    assert following.number == 1


def test_a_trial_that_is_lost_after_its_end_is_not_handed_out_again(path: Path, searched: Space) -> None:
    driven = engine(path, searched, trials=1)
    driven.ask()
    driven.end(0, Outcome.TIMED_OUT, "no report")
    content = path.read_bytes()
    driven.lost(0, DIED)
    assert driven.ask() is None
    assert path.read_bytes() == content


def test_where_trial_after_trial_finds_nothing_to_work_with_no_more_begin_and_none_has_failed(
    path: Path, searched: Space
) -> None:
    driven = engine(path, searched)
    driven.ask()
    driven.ask()
    driven.ask()
    driven.report(epoch(2, 1))
    for trial in range(MOST_IN_VAIN - 1):
        driven.lost(trial, NO_DATA)
    assert driven.ask()
    driven.lost(0, NO_DATA)
    assert driven.ask() is None
    assert not driven.finished
    assert [record.outcome for record in driven.records] == [None] * 3
    # Another one, on another machine, comes on: there is sense in trying.
    driven.report(epoch(2, 2))
    assert driven.ask()

    resumed = engine(path, searched)
    again = [resumed.ask() for _ in range(3)]
    assert sorted(trial.number for trial in again if trial) == [0, 1, 2]


def test_the_clock_of_records_is_not_set_while_it_runs_nor_back_between_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = {"time": 1000.0, "monotonic": 5.0}
    monkeypatch.setattr("time.time", lambda: moments["time"])
    monkeypatch.setattr("time.monotonic", lambda: moments["monotonic"])
    clock = steady_clock()
    assert clock() == 1000.0
    moments["monotonic"] += 10
    moments["time"] += 3610  # it jumps by an hour
    assert clock() == 1010.0
    moments["time"] -= 7200
    assert clock() == 1010.0
    later = steady_clock(1010.0)
    moments["monotonic"] += 1
    assert later() == 1011.0
