"""A search's folder kept level with its storage: what is copied when, and what happens when that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from search.fetch import fetch
from search.storage import mirror as module
from search.storage.folder import SearchFolder
from search.storage.mirror import EVERY_S, SELDOM_S, Mirror
from search.storage.owner import NOTE, Owner
from tests.simulated import Clock
from tests.stored import LOG, Away, away, go_on
from tests.stored import folder as folder
from tests.stored import home as home
from trainables.storage import Storage, StorageError


class Watched:
    """A mirror without its thread, by a clock of its own, and all that it says."""

    def __init__(self, folder: SearchFolder, home: Storage) -> None:
        self.said: list[str] = []
        self.clock, self.stops = Clock(), 0
        self.owner = Owner(home, self.said.append)
        self.owner.beat()
        self.mirror = Mirror(
            folder, home, self.owner, told=self.said.append, superseded=self._stop, clock=self.clock
        )

    def _stop(self) -> None:
        self.stops += 1

    def level(self, after_s: float = EVERY_S) -> bool:
        self.clock.now_s += after_s
        return self.mirror.level()


@pytest.fixture
def watched(folder: SearchFolder, home: Storage) -> Watched:
    return Watched(folder, home)


def same(folder: SearchFolder, home: Storage) -> bool:
    here = {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    there = {name: home.read(name) for name in home.files() if "/" not in name and name != NOTE}
    return {name: content for name, content in here.items() if not name.startswith(".")} == there


def test_the_records_come_after_what_is_needed_to_read_them_and_the_manifest_last(
    folder: SearchFolder, home: Away, watched: Watched
) -> None:
    folder.split_file.write_text("split")
    folder.page_file.write_text("page")
    folder.write_json(folder.manifest_file, {"state": "finished"})
    home.log.clear()
    assert watched.level()
    assert same(folder, home)
    written = [name.removeprefix("mine/") for name in home.log]
    assert written[-2:] == ["records.jsonl", "manifest.json"]
    assert set(written) >= {"settings.json", "data.json", "split.csv", "leaderboard.html"}


def test_what_has_not_changed_is_not_copied_again(folder: SearchFolder, home: Away, watched: Watched) -> None:
    watched.level()
    home.log.clear()
    watched.level()
    assert home.log == []
    go_on(folder, 2)
    watched.level()
    assert home.log == ["mine/records.jsonl"]


def test_a_file_is_copied_every_few_seconds_at_most_and_what_is_derived_seldom(
    folder: SearchFolder, home: Away, watched: Watched
) -> None:
    folder.page_file.write_text("page")
    watched.level()
    home.log.clear()
    for step in range(60):
        go_on(folder, 2 + step)
        folder.page_file.write_text("page" * step)
        watched.level(after_s=1.0)
    assert home.log.count("mine/records.jsonl") == 60 // EVERY_S
    assert home.log.count("mine/leaderboard.html") == 60 // SELDOM_S


def test_models_hidden_files_and_what_trackers_keep_stay_here(
    folder: SearchFolder, home: Storage, watched: Watched
) -> None:
    for name in ("model/model.safetensors", "tensorboard/events", ".driver.lock", ".page.partial"):
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_text("not needed to go on")
    folder.readings_file.write_text("who has read it writes it there")
    watched.level()
    assert set(home.files()) == {NOTE, "data.json", "records.jsonl", "settings.json"}


def test_a_search_that_has_tried_nothing_leaves_nothing(folder: SearchFolder, home: Storage) -> None:
    folder.records_file.unlink()
    watched = Watched(folder, home)
    assert watched.level()
    assert set(home.files()) == {NOTE}


def test_what_a_killed_driver_had_begun_to_write_goes(
    folder: SearchFolder, home: Storage, watched: Watched
) -> None:
    for name in (".records.jsonl.7-ab.partial", "rematch/.run-0.npz.7-ab.partial"):
        home.write(name, b"half")
    home.write("checkpoints/.trial-00001.pt.9-ab.partial", b"perhaps being written")
    watched.level()
    assert [name for name in home.files() if name.endswith(".partial")] == [
        "checkpoints/.trial-00001.pt.9-ab.partial"
    ]


def test_what_went_when_the_search_went_on_goes_there_too(
    folder: SearchFolder, home: Storage, watched: Watched
) -> None:
    folder.write_json(folder.manifest_file, {"state": "finished"})
    folder.write_json(folder.rematch_file, {})
    watched.level()
    assert {"manifest.json", "rematch.json"} <= set(home.files())
    again = Watched(folder, home)  # the next session of the driver
    folder.manifest_file.unlink()
    folder.rematch_file.unlink()
    again.level()
    assert same(folder, home)


def test_a_state_goes_only_when_the_records_there_say_that_it_is_not_needed(
    folder: SearchFolder, home: Storage, watched: Watched
) -> None:
    home.write("checkpoints/trial-00002.pt", b"state")
    watched.level()
    go_on(folder, 2)
    watched.mirror.delete("checkpoints/trial-00002.pt")
    watched.level(after_s=1.0)  # too early for the records
    assert home.exists("checkpoints/trial-00002.pt")
    watched.level()
    assert not home.exists("checkpoints/trial-00002.pt")
    assert same(folder, home)


def test_a_storage_that_is_away_for_a_while_is_told_twice_and_lacks_nothing_afterwards(
    folder: SearchFolder, home: Away, watched: Watched
) -> None:
    watched.level()
    away(home, True)
    for number in (2, 3, 4):
        go_on(folder, number)
        watched.mirror.delete(f"checkpoints/trial-{number:05d}.pt")
        assert not watched.level()
    assert len(watched.said) == 1
    assert "fails: no route to host. The search goes on" in watched.said[0]
    away(home, False)
    assert watched.level()
    assert watched.said[1:] == [f"The storage {home} works again."]
    assert same(folder, home)


def test_what_could_not_be_copied_at_the_end_is_named(
    folder: SearchFolder, home: Away, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    ticking = iter(range(10**6))
    monkeypatch.setattr(watched.mirror, "_clock", lambda: 10.0 * next(ticking))
    watched.level()
    with watched.mirror:
        away(home, True)
        go_on(folder, 2)
        watched.mirror.delete("checkpoints/trial-00002.pt")
    assert watched.said[-1].startswith(f"Not level in {home}: records.jsonl, checkpoints/trial-00002.pt.")


def test_the_thread_copies_while_the_block_goes_on_and_all_that_is_left_at_its_end(
    folder: SearchFolder, home: Storage, watched: Watched
) -> None:
    watched.mirror._clock = Clock()
    with watched.mirror:
        wait_for(lambda: "records.jsonl" in home.files())
        go_on(folder, 2, 3)
        folder.write_json(folder.manifest_file, {"state": "finished"})
    assert same(folder, home)
    assert watched.said == []


def test_a_driver_that_has_been_superseded_stops_and_writes_nothing(
    folder: SearchFolder, home: Away, watched: Watched
) -> None:
    watched.level()
    before = home.read("records.jsonl")
    Owner(home, print).beat()  # another machine's
    go_on(folder, 2)
    with watched.mirror:
        wait_for(lambda: watched.stops == 1)
    assert home.read("records.jsonl") == before
    assert [line for line in watched.said if "Another process drives this search now" in line]
    assert len(watched.said) == 1
    assert watched.stops == 1


@pytest.mark.parametrize("files", range(7))
def test_at_every_moment_a_new_head_finds_a_whole_search_or_none(
    folder: SearchFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    folder.split_file.write_text("split")
    folder.write_json(folder.manifest_file, {"state": "finished"})
    home = Away(str(tmp_path / "store")) / "mine"
    watched = Watched(folder, home)
    room = len(LOG[home.root]) + files
    monkeypatch.setattr(Away, "_check", lambda storage: storage.require_room(room))
    assert watched.level() == (files >= 5)  # so many files there are
    there = Storage(home.root) / "mine"
    new = SearchFolder(tmp_path / "head" / "mine")
    if not there.exists("records.jsonl"):
        assert files < 4
        with pytest.raises(StorageError, match="is not a search's folder"):
            fetch(new, there)
        return
    fetch(new, there)
    assert sorted(new.records().trials) == [0, 1]
    assert (new.settings(), new.split_file.read_text()) == (folder.settings(), "split")
    assert new.manifest_file.exists() == (files >= 5)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
