"""Which state a training goes on from, and what a storage that fails for a moment does to it: nothing."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pytest
import ray
import torch

from search.over_ray import _level, _State
from search.trials.losses import Cause
from search.tune.group import interface_of
from search.tune.lost import deaths_of, loss_by
from search.tune.trial import _failure
from spaces.errors import InputError
from trainables import workplace
from trainables.checkpoint import Checkpoint
from trainables.distributed import require_same
from trainables.runtime import Runtime
from trainables.storage import Storage
from trainables.workplace import PlaceError, Workplace, checkpoint_of

TRIAL = {"number": 3, "recipe": {"a": 1}, "seed": 4, "epochs": 9}


class Flaky(Storage):
    """Fails to be read as often as it is told to."""

    failures = 0.0

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        if type(self).failures > 0:
            type(self).failures -= 1
            raise OSError("the network is away")
        with super().reading(name) as stream:
            yield stream


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    monkeypatch.setattr(workplace, "PAUSE_S", 0.0)
    monkeypatch.setattr(workplace, "PATIENCE_S", 0.05)
    monkeypatch.setattr(Flaky, "failures", 0.0)
    return Workplace(None, pd.DataFrame(), str(tmp_path), Flaky(str(tmp_path)), (), workers=1)


def state(epoch: int = 2, **changes: Any) -> Checkpoint:
    made = Checkpoint({"a": 1}, 4, 9, [{"epoch": epoch}] * epoch, {}, None, {}, {}, {}, {})
    return replace(made, **changes)


def save(place: Workplace, made: Checkpoint) -> None:
    made.save(Path(place.checkpoints.root) / place.state_of(TRIAL))


@pytest.mark.parametrize("name", [None, "model.pt"])
def test_it_is_the_trainings_own_by_its_number_or_the_name_of_the_only_one(
    place: Workplace, name: str | None
) -> None:
    place = replace(place, state=name)
    assert checkpoint_of(place, TRIAL) is None
    save(place, state(2))
    found = checkpoint_of(place, TRIAL)
    assert found
    assert found.epoch == 2
    save(place, state(seed=5))
    assert checkpoint_of(place, TRIAL) is None
    (Path(place.checkpoints.root) / place.state_of(TRIAL)).write_bytes(b"damaged")
    assert checkpoint_of(place, TRIAL) is None


def test_a_storage_that_cannot_be_read_holds_no_trial_up_and_is_never_taken_for_empty_by_a_retrain(
    place: Workplace,
) -> None:
    save(place, state(2))
    Flaky.failures = math.inf
    assert checkpoint_of(place, TRIAL) is None
    Flaky.failures = 3
    place = replace(place, state="model.pt")
    save(place, state(2))
    found = checkpoint_of(place, TRIAL)
    assert found
    assert found.epoch == 2
    Flaky.failures = math.inf
    with pytest.raises(OSError, match="the network is away"):
        checkpoint_of(place, TRIAL)


@pytest.mark.parametrize(("here", "there"), [(0, 0), (2, 0), (0, 2), (1, 2), (2, 1), (2, 2)])
def test_the_state_that_is_further_is_the_one_on_both_sides(
    place: Workplace, tmp_path: Path, here: int, there: int
) -> None:
    sides = _State(Storage.of(tmp_path / "here"), "a.pt"), _State(Flaky(str(tmp_path / "there")), "b.pt")
    for side, epoch in zip(sides, (here, there), strict=True):
        if epoch:
            state(epoch).save(Path(side.folder.root) / side.name)
    Flaky.failures = 1
    with pytest.raises(OSError, match="the network is away"):
        _level(*sides)  # nothing is written over what cannot be read
    assert _level(*sides) == max(here, there)
    assert [side.epochs for side in sides] == [max(here, there)] * 2


def test_workers_that_found_different_states_do_not_train_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(found: list[torch.Tensor], own: torch.Tensor) -> None:
        for rank, one in enumerate(found):
            one.copy_(own + rank * apart)

    monkeypatch.setattr("torch.distributed.all_gather", gather)
    two, apart = Runtime(device="cpu", world_size=2), 0
    require_same("the last state", 6, two)
    apart = -6
    with pytest.raises(OSError, match="the last state is not the same for all workers: 6, 0"):
        require_same("the last state", 6, two)
    require_same("the last state", 6, Runtime(device="cpu"))


def test_a_worker_that_died_is_told_from_one_that_raised() -> None:
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError

    raised = UserExceptionWithTraceback(ValueError("no"), "a traceback")
    died = WorkerHealthCheckFailedError("a check failed", ray.exceptions.ActorUnavailableError("gone", None))
    assert deaths_of(ray.train.WorkerGroupError("", {0: raised})) == []
    group = ray.train.WorkerGroupError("", {0: raised, 1: died})
    assert deaths_of(group) == [died.health_check_failure]
    assert loss_by(group).cause is Cause.NODE  # as it cannot be reached


def test_the_interface_that_has_an_address_is_found() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("192.0.2.222") is None


def test_a_process_stays_until_its_machine_has_what_it_lacked(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    lacking = iter([InputError("48 pictures are gone"), OSError("the disk is full"), None])

    def opened(place: Workplace, size_px: int) -> None:
        if fault := next(lacking):
            raise fault

    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr(workplace, "_open_once", opened)
    workplace.stay_until_mended(place, 16)
    assert slept == [10, 20, 40]
    assert next(lacking, "all asked") == "all asked"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (PlaceError("48 pictures are gone"), {"event": "lost", "words": "48 pictures are gone"}),
        (torch.OutOfMemoryError("CUDA out of memory"), {"outcome": "out_of_memory"}),
        (AssertionError(), {"outcome": "failed", "error": "AssertionError: "}),
    ],
    ids=["nothing to work with", "no memory", "no words"],
)
def test_what_a_worker_of_a_group_raised_is_told_as_it_would_be_of_one_alone(
    fault: Exception, said: dict[str, str]
) -> None:
    message = _failure(3, ray.train.WorkerGroupError("all that is known", {1: fault}))
    assert said.items() <= message.items()
    assert message["trial"] == 3
    assert "all that is known" in message.get("details", message.get("traceback"))
