"""How often the states of a training are saved, and that a storage which fails costs it nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

import pytest

from tests.simulated import Clock
from trainables.checkpoint import Checkpoint
from trainables.saving import Saver
from trainables.storage import Storage


def state(epoch: int) -> Checkpoint:
    return Checkpoint({}, 0, 9, [{"epoch": epoch}] * epoch, {}, None, {}, {}, {}, {})


class Slow(Storage):
    """Takes two seconds for a file; fails while it is `away`."""

    clock = Clock()
    away = False

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        type(self).clock.now_s += 2.0
        if type(self).away:
            raise OSError("no route to host")
        with super().writing(name) as stream:
            yield stream


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr(Slow, "clock", Clock())
    monkeypatch.setattr(Slow, "away", False)
    return Slow(str(tmp_path))


def saved(storage: Storage) -> int:
    return Checkpoint.read(BytesIO(storage.read("a.pt")), "a.pt").epoch


def test_saving_takes_at_most_a_twentieth_of_the_time(storage: Storage) -> None:
    saver, found = Saver(storage, "a.pt", clock=Slow.clock), []
    for epoch in range(1, 201):
        Slow.clock.now_s += 1.0
        before = Slow.clock.now_s
        saver.offer(state(epoch))
        if Slow.clock.now_s > before:
            found.append(epoch)
    assert found[:3] == [1, 41, 81]  # 2 s for each, of 40 s between them
    assert saved(storage) == found[-1]


def test_the_last_state_is_saved_in_any_case(storage: Storage) -> None:
    saver = Saver(storage, "a.pt", clock=Slow.clock)
    for epoch in (1, 2, 3):
        saver.offer(state(epoch))
    assert saved(storage) == 1
    saver.flush()
    assert saved(storage) == 3
    now_s = Slow.clock.now_s
    saver.flush()
    assert Slow.clock.now_s == now_s  # it is there already


def test_a_storage_that_fails_is_tried_again_with_a_later_state(storage: Storage) -> None:
    Slow.away = True
    saver = Saver(storage, "a.pt", clock=Slow.clock)
    saver.offer(state(1))
    saver.flush()
    assert storage.files() == {}
    Slow.away = False
    saver.offer(state(2))  # too early
    assert storage.files() == {}
    Slow.clock.now_s += 41
    saver.offer(state(3))
    assert saved(storage) == 3


def test_where_the_last_state_is_all_that_it_is_for_that_it_is_not_saved_is_told(storage: Storage) -> None:
    Slow.away = True
    saver = Saver(storage, "a.pt", clock=Slow.clock)
    saver.offer(state(1))
    with pytest.raises(OSError, match="no route to host"):
        saver.require_saved()
    Slow.away = False
    saver.require_saved()
    assert saved(storage) == 1
