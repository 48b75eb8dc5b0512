"""The records file: what is written is read back, whatever moment the writer or the reader stops at."""

from __future__ import annotations

import json
import math
import os
import threading
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from search.trials import records
from search.trials.losses import Cause, Loss
from search.trials.records import NoRecordError, RecordFile, Records, RecordsError
from search.trials.trials import Epoch, Outcome, Trial
from tests.simulated import epoch, trial


def small(number: int, **params: Any) -> Trial:
    """A trial that takes few bytes."""
    return Trial(number, {"model": {"name": "plain_cnn"}}, params, seed=number, epochs=9)


PARAMS = {"optim.lr": 0.1 + 0.2, "ema.decay": None, "schedule.name": "cosine"}


def a_search(path: Path, start: float = 1.0) -> RecordFile:
    """Two trials: one ends well, one is lost once, and then fails."""
    file = RecordFile(path, clock=count(start).__next__)
    file.session()
    file.trial(small(0, **PARAMS))
    file.epoch(epoch(0, 1, 1 / 3))
    file.trial(small(1))
    file.epoch(epoch(1, 1, math.nan))
    file.retry(1, Loss(Cause.PROCESS, "its process died"))
    file.epoch(epoch(0, 2, 2 / 3))
    file.end(0, Outcome.COMPLETE)
    file.end(1, Outcome.FAILED, "ValueError: größer als 1", 'Traceback:\n  "x"\n\u2028 end')
    return file


def plain(found: Records) -> str:
    """All that the records say, as text: NaN equals NaN there."""
    return repr((found.trials, found.sessions, found.order))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = a_search(tmp_path / "records.jsonl")
    found = records.read(file.path)
    assert plain(found) == plain(file.records)
    first, second = found.all()
    assert first.trial == small(0, **PARAMS)
    assert [entry.metrics["val_accuracy"] for entry in first.history] == [1 / 3, 2 / 3]
    assert (first.outcome, first.started, first.ended) == (Outcome.COMPLETE, 2.0, 8.0)
    assert (second.outcome, second.retries) == (Outcome.FAILED, 1)
    assert second.error == "ValueError: größer als 1"
    assert second.traceback == 'Traceback:\n  "x"\n\u2028 end'
    assert [(entry.trial, entry.epoch) for entry in found.order] == [(0, 1), (1, 1), (0, 2)]


def test_nan_and_infinity_survive(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "records.jsonl")
    file.trial(trial(0))
    file.epoch(epoch(0, 1, math.nan, val_loss=math.inf, train_loss=-math.inf))
    metrics = records.read(file.path).trials[0].history[0].metrics
    assert math.isnan(metrics["val_accuracy"])
    assert metrics["val_loss"] == math.inf
    assert metrics["train_loss"] == -math.inf


def test_an_epoch_carries_the_time_at_which_the_driver_received_it(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "records.jsonl", clock=count(50.0).__next__)
    file.trial(trial(0))
    file.epoch(Epoch(0, 1, 1.0, {}, node="a", device="cuda:0", time=3.0))
    assert records.read(file.path).trials[0].history == [Epoch(0, 1, 1.0, {}, "a", "cuda:0", 51.0)]


def test_a_text_that_no_encoding_can_hold_ends_no_search(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "records.jsonl")
    file.trial(trial(0))
    file.end(0, Outcome.FAILED, "cannot open pictures/\udcff.png", None)
    assert records.read(file.path).trials[0].error == "cannot open pictures/?.png"
    assert plain(records.read(file.path)) == plain(file.records)


def test_what_was_recorded_already_is_ignored(tmp_path: Path) -> None:
    file = a_search(tmp_path / "records.jsonl")
    before, size = plain(file.records), file.path.stat().st_size
    file.epoch(epoch(0, 1, 0.9))
    file.epoch(epoch(0, 2, 0.9))
    assert (plain(file.records), file.path.stat().st_size) == (before, size)


def test_lines_that_came_twice_count_once(tmp_path: Path) -> None:
    path = a_search(tmp_path / "records.jsonl").path
    lines = path.read_bytes().splitlines(keepends=True)
    (tmp_path / "twice.jsonl").write_bytes(b"".join([*lines, *lines[1:5], *lines[6:]]))
    once, twice = records.read(path), records.read(tmp_path / "twice.jsonl")
    assert repr((twice.trials, twice.order)) == repr((once.trials, once.order))


def test_there_are_no_records_before_there_is_a_file(tmp_path: Path) -> None:
    assert records.read(tmp_path / "none.jsonl").all() == []


def test_at_whatever_byte_a_driver_was_killed_the_whole_lines_count_and_the_next_is_clean(
    tmp_path: Path,
) -> None:
    content = a_search(tmp_path / "records.jsonl").path.read_bytes()
    cut, whole = tmp_path / "cut.jsonl", tmp_path / "whole.jsonl"
    for offset in range(len(content) + 1):
        cut.write_bytes(content[:offset])
        whole.write_bytes(content[: content[:offset].rfind(b"\n") + 1])
        assert plain(records.read(cut)) == plain(records.read(whole))

        file = RecordFile(cut, clock=lambda: 99.0)
        file.session()
        file.close()
        assert cut.read_bytes() == whole.read_bytes() + b'{"event": "session", "time": 99.0}\n'


def test_a_reader_drops_a_torn_line_and_leaves_the_file_alone(tmp_path: Path) -> None:
    path = a_search(tmp_path / "records.jsonl").path
    torn = path.read_bytes() + b'{"event": "tri'
    path.write_bytes(torn)
    assert len(records.read(path).trials) == 2
    assert path.read_bytes() == torn


FOREIGN = {
    "no JSON": b"hello",
    "not an object": b"[1, 2]",
    "an empty line": b"",
    "bytes": b"\xff\xfe\x00",
    "an unknown event": b'{"event": "party", "time": 1.0, "trial": 0}',
    "no time": b'{"event": "session"}',
    "a time beyond all numbers": b'{"event": "session", "time": 1' + b"0" * 400 + b"}",
    "a trial that is not there": b'{"event": "retry", "time": 1.0, "trial": 77}',
    "an unknown outcome": b'{"event": "end", "time": 1.0, "trial": 1, "outcome": "splendid"}',
    "a trial without a recipe": b'{"event": "trial", "time": 1.0, "trial": {"number": 4}}',
    "an epoch without passes": b'{"event": "epoch", "time": 1.0, "trial": 0, "epoch": 3}',
    "nested without end": b"[" * 100_000,
}


@pytest.mark.parametrize("line", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_line_is_named_by_its_number(tmp_path: Path, line: bytes) -> None:
    path = a_search(tmp_path / "records.jsonl").path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:5], line + b"\n", *lines[5:]]))
    with pytest.raises(RecordsError, match=r"records\.jsonl, line 6: .* Restore the file from a copy"):
        records.read(path)
    with pytest.raises(RecordsError, match="line 6"):
        RecordFile(path)
    assert line in path.read_bytes()  # refused, and nothing thrown away


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_search(tmp_path / "records.jsonl")
    before = file.path.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, line: write(fd, line[:10]))
    with pytest.raises(NoRecordError, match="No space left on device"):
        file.session()
    monkeypatch.undo()
    assert file.path.read_bytes() == before
    file.session()
    assert len(records.read(file.path).sessions) == 2


def test_the_records_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "records.jsonl")
    file.trial(trial(0, epochs=400))
    ready, seen = threading.Event(), []

    def write() -> None:
        ready.wait()
        for number in range(1, 401):
            file.epoch(epoch(0, number, 0.5))

    writer = threading.Thread(target=write)
    writer.start()
    ready.set()
    while writer.is_alive():
        seen.append(records.read(file.path).trials[0].epochs_done)
    writer.join()
    assert seen == sorted(seen)
    assert records.read(file.path).trials[0].epochs_done == 400


def test_elapsed_time_is_that_of_the_sessions_and_not_of_the_pauses(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    a_search(path, start=100.0).close()  # nine events, a second each
    second = RecordFile(path, clock=iter([1000.0, 1003.0, 1002.0]).__next__)
    second.session()
    second.trial(trial(2))
    second.epoch(epoch(2, 1))  # the clock went back a little
    found = records.read(path)
    assert found.sessions == [(100.0, 108.0), (1000.0, 1003.0)]
    assert found.elapsed_s == 8.0 + 3.0
    assert plain(found) == plain(second.records)


def test_each_event_is_one_line_of_json(tmp_path: Path) -> None:
    lines = a_search(tmp_path / "records.jsonl").path.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    kinds = [json.loads(line)["event"] for line in lines]
    assert kinds == ["session", "trial", "epoch", "trial", "epoch", "retry", "epoch", "end", "end"]


def test_a_trial_is_the_same_after_a_round_trip(tmp_path: Path) -> None:
    given = trial(3, params={"model.name": "plain_cnn", "freeze.epoch": 0.25, "a": 7})
    file = RecordFile(tmp_path / "records.jsonl")
    file.trial(given)
    found = records.read(file.path).trials[3].trial
    assert isinstance(found, Trial)
    assert found == given
    assert [type(value) for value in found.params.values()] == [str, float, int]
