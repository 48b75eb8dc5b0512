"""Two heads of one search: the second waits for a sign of the first, and never do both write."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from search.storage import owner as module
from search.storage.owner import GONE_S, NOTE, Owner, owned
from tests.stored import Away, away
from trainables.storage import Storage, StorageError


@pytest.fixture
def home(tmp_path: Path) -> Storage:
    return Away(str(tmp_path / "store")) / "mine"


@pytest.fixture(autouse=True)
def _no_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 3600.0)


class Second:
    """The second head: what it says, how long it waits, and what happens meanwhile."""

    def __init__(self, home: Storage, meanwhile: Callable[[int], None] = lambda second: None) -> None:
        self.said: list[str] = []
        self.waited = 0
        self._meanwhile = meanwhile
        self.owner = Owner(home, self.said.append, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.waited += 1
        self._meanwhile(self.waited)


def test_a_search_that_nobody_drives_is_claimed_at_once_and_let_go(home: Storage) -> None:
    second = Second(home)
    second.owner.claim()
    assert (second.waited, second.said) == (0, [])
    note = json.loads(home.read(NOTE))
    assert note["host"] == socket.gethostname()
    second.owner.release()
    assert home.files() == {}


def test_a_head_that_died_is_taken_over_from_after_a_while(home: Storage) -> None:
    first = Owner(home, print)
    first.beat()
    second = Second(home)
    second.owner.claim()
    assert second.waited == GONE_S
    assert "has driven this search and left no word" in second.said[0]
    assert (first.is_ours(), second.owner.is_ours()) == (False, True)
    second.owner.release()


def test_a_head_that_lives_is_not_taken_over_from(home: Storage) -> None:
    first = Owner(home, print)
    first.beat()
    second = Second(home, lambda second: first.beat() if second == 4 else None)
    with pytest.raises(StorageError, match=r"\(process \d+\) runs this search"):
        second.owner.claim()
    assert second.waited == 4
    assert first.is_ours()


def test_a_head_that_ends_meanwhile_lets_the_next_one_in(home: Storage) -> None:
    first = Owner(home, print)
    first.beat()
    second = Second(home, lambda second: first.release() if second == 2 else None)
    second.owner.claim()
    assert second.waited == 2
    second.owner.release()


def test_who_was_taken_over_from_deletes_nothing(home: Storage) -> None:
    first = Owner(home, print)
    first.beat()
    other = Owner(home, print)
    other.beat()
    first.release()
    assert other.is_ours()
    assert NOTE in home.files()


def test_a_note_that_has_gone_is_written_again(home: Storage) -> None:
    owner = Owner(home, print)
    owner.beat()
    home.delete(NOTE)
    assert owner.is_ours()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"token": 1}'])
def test_a_damaged_note_is_of_nobody_who_lives(home: Storage, content: bytes) -> None:
    home.write(NOTE, content)
    second = Second(home)
    second.owner.claim()
    assert second.owner.is_ours()
    second.owner.release()


def test_the_beat_goes_on_through_a_storage_that_fails(home: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    with owned(home, print) as owner:
        wait_for_a_beat(home)
        away(home, True)
        time.sleep(0.1)  # some beats fail
        away(home, False)
        wait_for_a_beat(home)
        assert owner.is_ours()
    assert home.files() == {}


def test_a_storage_that_cannot_be_used_is_told(home: Away) -> None:
    Path(home.root).mkdir()
    away(home, True)
    with pytest.raises(StorageError, match="no route to host"), owned(home, print):
        pass


def wait_for_a_beat(home: Storage) -> None:
    def beats() -> int:
        return json.loads((Path(home.root) / "mine" / NOTE).read_text())["beats"]

    before, deadline = beats(), time.monotonic() + 20
    while beats() == before:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
