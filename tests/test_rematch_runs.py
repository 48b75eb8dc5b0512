"""Which runs a rematch has, in which order, and how it goes on after it was cut off."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from search.policy.asha import Decision
from search.rematch.runs import ORIGIN, Rematch, contenders, runs_due, runs_of
from search.trials.losses import Cause, Loss
from search.trials.records import RecordFile, read
from search.trials.trials import METRICS, Outcome, TrialRecord
from tests.simulated import epoch, record, trial

ACCURACY = METRICS["val_accuracy"]
LENGTHS = {7: 9, 2: 6, 5: 9}
BEST = [record(trial(number, epochs=length), [0.9] * length) for number, length in LENGTHS.items()]


def rematch(path: Path, best: Sequence[TrialRecord] = BEST, **given: Any) -> Rematch:
    file = RecordFile(path, clock=count(1.0).__next__)
    return Rematch(file, best, **{"seeds": 3, "seed": 0, **given})


def played(match: Rematch, runs: int = 1000) -> list[int]:
    """Runs them one by one to their ends: the contenders, in order."""
    order = []
    while len(order) < runs and (run := match.ask()):
        for number in range(1, run.epochs + 1):
            assert match.report(epoch(run.number, number)) is Decision.CONTINUE
        match.end(run.number, Outcome.COMPLETE)
        order.append(int(run.source))
    return order


def test_every_contender_gets_a_run_of_full_length_with_a_seed_of_its_own_before_any_gets_a_second(
    tmp_path: Path,
) -> None:
    match = rematch(tmp_path / "rematch.jsonl")
    assert not match.finished
    assert played(match) == [7, 2, 5] * 3
    assert match.finished
    assert match.ask() is None
    runs = [run.trial for run in match.records]
    assert [run.number for run in runs] == list(range(9))
    assert len({run.seed for run in runs} | {one.trial.seed for one in BEST}) == 9 + 3
    for run in runs:
        assert (run.origin, run.params) == (ORIGIN, {})
        assert run.recipe == next(one.trial.recipe for one in BEST if str(one.number) == run.source)
        assert run.epochs == LENGTHS[int(run.source)]
    again = rematch(tmp_path / "again.jsonl")
    played(again)
    assert [run.trial.seed for run in again.records] == [run.seed for run in runs]
    other = rematch(tmp_path / "other.jsonl", seed=1)
    played(other)
    assert not {run.trial.seed for run in other.records} & {run.seed for run in runs}


@pytest.mark.parametrize("before", range(9))
def test_a_rematch_that_was_cut_off_goes_on_with_what_ran_and_repeats_nothing(
    tmp_path: Path, before: int
) -> None:
    path = tmp_path / "rematch.jsonl"
    match = rematch(path)
    played(match, before)
    cut_off = match.ask()
    assert cut_off is not None
    match.report(epoch(cut_off.number, 1))
    again = rematch(path)
    assert not again.finished
    assert again.ask() == cut_off
    assert again.report(epoch(cut_off.number, 1)) is Decision.CONTINUE  # told once more, and known already
    assert [found.epoch for found in again.records[cut_off.number].history] == [1]
    for number in range(2, cut_off.epochs + 1):
        again.report(epoch(cut_off.number, number))
    again.end(cut_off.number, Outcome.COMPLETE)
    played(again)
    assert again.finished
    assert [len(runs_of(again.records, one.number)) for one in BEST] == [3, 3, 3]
    ends = [json.loads(line) for line in path.read_text().splitlines() if '"end"' in line]
    assert sorted(event["trial"] for event in ends) == list(range(9))


def test_other_contenders_get_their_runs_and_those_that_stay_keep_theirs(tmp_path: Path) -> None:
    """The search went on, and a better trial came."""
    path = tmp_path / "rematch.jsonl"
    played(rematch(path))
    new = record(trial(11), [0.95] * 9)
    match = rematch(path, [new, *BEST[:2]])
    assert [contender.number for contender, _ in match.lacking()] == [11] * 3
    assert played(match) == [11] * 3
    assert match.finished
    assert len(match.records) == 12
    assert len(match.due) == 9


def test_a_run_that_diverges_or_fails_is_not_repeated(tmp_path: Path) -> None:
    ended = []
    match = rematch(tmp_path / "rematch.jsonl", BEST[:1], seeds=2, ended=ended.append)
    first, second = match.ask(), match.ask()
    assert first
    assert second
    assert match.report(epoch(first.number, 1, val_loss=math.nan)) is Decision.STOP
    assert match.report(epoch(first.number, 2)) is Decision.STOP
    match.lost(second.number, Loss(Cause.NODE, "its machine was lost"))
    assert match.ask() == second
    match.end(second.number, Outcome.FAILED, "no memory", "Traceback")
    match.end(second.number, Outcome.COMPLETE)
    assert match.finished
    assert [run.outcome for run in match.records] == [Outcome.DIVERGED, Outcome.FAILED]
    assert [run.retries for run in match.records] == [0, 1]
    assert ended == [0, 1]
    assert match.ask() is None


def test_contenders_are_the_best_that_have_a_score() -> None:
    records = [
        record(trial(0), [0.5]),
        record(trial(1), [0.8]),
        record(trial(2), [math.nan], Outcome.DIVERGED),
        record(trial(3), [], Outcome.FAILED),
        record(trial(4), [0.9], Outcome.STOPPED),
    ]
    assert [one.number for one in contenders(records, ACCURACY, 2)] == [4, 1]
    assert [one.number for one in contenders(records, ACCURACY, 9)] == [4, 1, 0]
    assert contenders(records, ACCURACY, 0) == []


@pytest.mark.parametrize(
    ("room", "size"),
    [(9, (3, 3)), (8, (3, 2)), (6, (3, 2)), (5, (2, 2)), (4, (2, 2)), (3, None), (0, None)],
)
def test_where_time_is_short_there_are_fewer_seeds_and_then_fewer_contenders(
    tmp_path: Path, room: int, size: tuple[int, int] | None
) -> None:
    file = RecordFile(tmp_path / "rematch.jsonl")
    found = Rematch.largest(file, BEST, seeds=3, has_room=lambda runs: len(runs) <= room, seed=0)
    assert (found and (len(found.contenders), found.seeds)) == size
    if found:
        assert list(found.contenders) == BEST[: len(found.contenders)]


def test_runs_that_a_former_session_began_and_there_is_no_time_for_are_not_due(tmp_path: Path) -> None:
    path = tmp_path / "rematch.jsonl"
    match = rematch(path)
    match._file.session(contenders=[7, 2, 5], seeds=3)
    played(match, 7)
    match.ask()
    match.ask()
    assert [run.number for run in runs_due(read(path))] == list(range(9))
    match._file.session(contenders=[7, 2], seeds=2)
    assert [(run.number, run.trial.source) for run in runs_due(read(path))] == [
        (0, "7"),
        (1, "2"),
        (3, "7"),
        (4, "2"),
    ]
    match._file.session()  # as older versions wrote it
    assert len(runs_due(read(path))) == 9


def test_runs_that_there_are_already_need_no_room(tmp_path: Path) -> None:
    path = tmp_path / "rematch.jsonl"
    played(rematch(path))
    found = Rematch.largest(RecordFile(path), BEST, seeds=3, has_room=lambda runs: not runs, seed=0)
    assert found is not None
    assert found.finished
    nobody = Rematch.largest(RecordFile(path), [], seeds=3, has_room=lambda runs: True, seed=0)
    assert nobody is not None
    assert nobody.finished
