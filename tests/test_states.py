"""Which states of trials are kept."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from search.storage.folder import CHECKPOINTS
from search.storage.states import States, take_along
from search.trials.trials import METRICS, Outcome, TrialRecord, ranked
from tests.simulated import record, trial
from tests.stored import begun
from trainables.checkpoint import checkpoint_name
from trainables.storage import Storage

ACCURACY = METRICS["val_accuracy"]


@pytest.fixture
def home(tmp_path: Path) -> Storage:
    return Storage.of(tmp_path / "mine")


def ended(number: int, score: float | None) -> TrialRecord:
    return record(trial(number), [] if score is None else [score], Outcome.STOPPED)


def there(home: Storage) -> set[int]:
    return {int(name[len("trial-") : -len(".pt")]) for name in (home / CHECKPOINTS).files()}


def begin(home: Storage, *numbers: int) -> None:
    for number in numbers:
        (home / CHECKPOINTS).write(checkpoint_name(number), b"state")


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_of_trials_that_have_ended_the_best_keep_their_state(home: Storage, keep: int) -> None:
    states, records = States([], ACCURACY, keep, home.delete), []
    scores = [0.5, 0.9, None, 0.7, 0.7, 0.95, 0.1, None, 0.8]
    for number, score in enumerate(scores):
        begin(home, number)
        records.append(ended(number, score))
        states.ended(records[-1])
        scored = [one for one in ranked(records, ACCURACY) if one.score(ACCURACY) is not None]
        assert there(home) == {one.number for one in scored[:keep]}


def test_a_state_of_a_trial_that_runs_or_was_cut_off_stays(home: Storage) -> None:
    begin(home, 0, 1, 2)
    cut_off = record(trial(0), [0.1], None)
    states = States([cut_off, ended(1, 0.5)], ACCURACY, 1, home.delete)
    states.ended(ended(2, 0.4))
    assert there(home) == {0, 1}


def test_a_resume_goes_on_with_the_best_of_before(home: Storage) -> None:
    numbers = list(range(30))
    random.Random(0).shuffle(numbers)
    records = [ended(number, score) for number, score in enumerate(numbers)]
    begin(home, *range(30))
    once = States([], ACCURACY, 4, home.delete)
    for one in records[:20]:
        once.ended(one)
    again = States(records[:20], ACCURACY, 4, home.delete)
    for one in records[20:]:
        again.ended(one)
    assert there(home) == {one.number for one in ranked(records, ACCURACY)[:4]}


def test_a_search_that_gets_a_storage_later_takes_its_states_and_answers_there(
    home: Storage, tmp_path: Path
) -> None:
    folder = begun(tmp_path / "results" / "mine")
    local = Storage.of(folder.path)
    answers, states = (
        ("rematch/run-0.npz", "rematch/run-1.npz"),
        ("checkpoints/a.pt", "rematch/checkpoints/b.pt"),
    )
    for name in (*answers, *states):
        local.write(name, name.encode())
    home.write(answers[0], b"answered there")
    take_along(folder, home)
    assert home.files().keys() == {*answers, *states}
    assert home.read(answers[0]) == b"answered there"
    assert home.read(states[1]) == states[1].encode()
    assert {name for name in local.files() if "/" in name} == set(answers)
    take_along(folder, home)


def test_at_the_end_nothing_else_is_left(home: Storage) -> None:
    states = States([ended(3, 0.5)], ACCURACY, 1, home.delete)
    begin(home, 1, 3, 7)  # 1 and 7: written once more by processes that were being stopped
    (home / CHECKPOINTS).write(".trial-00004.pt.12-ab.partial", b"half")
    states.finish(home)
    assert there(home) == {3}
    States([], ACCURACY, 0, home.delete).finish(home)
    assert not (Path(home.root) / CHECKPOINTS).exists()
