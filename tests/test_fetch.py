"""A search's folder brought from its storage: which of the two is newer, and what is brought."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from search import fetch as module
from search import list as listing
from search.fetch import bring_answers, fetch, require_unused, searches_in
from search.storage.folder import FolderError, SearchFolder
from search.storage.owner import Owner, drivers
from tests.stored import begun, go_on
from trainables.storage import Storage, StorageError


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return begun(tmp_path / "results" / "mine")


@pytest.fixture
def home(tmp_path: Path, folder: SearchFolder) -> Storage:
    """Has what the folder has now."""
    store = tmp_path / "store"
    shutil.copytree(folder.path, store / "mine")
    return Storage.of(store) / "mine"


def stored(home: Storage) -> SearchFolder:
    return SearchFolder(Path(str(home)))


def trials(folder: SearchFolder) -> list[int]:
    return sorted(folder.records().trials)


def test_a_new_head_has_all_that_there_is(folder: SearchFolder, home: Storage, tmp_path: Path) -> None:
    home.write("rematch/run-0.npz", b"answers")
    home.write("model/metrics.json", b"{}")
    new = SearchFolder(tmp_path / "new" / "mine")
    assert fetch(new, home) == f"{new.path} is as {home}."
    assert trials(new) == [0, 1]
    assert new.settings() == folder.settings()
    assert (new.rematch / "run-0.npz").read_bytes() == b"answers"
    assert (new.model / "metrics.json").exists()


def test_states_notes_and_names_that_lead_elsewhere_stay_there(home: Storage, tmp_path: Path) -> None:
    for name in (
        "checkpoints/trial-00001.pt",
        "rematch/checkpoints/trial-00000.pt",
        "driver.json",
        ".a.partial",
    ):
        home.write(name, b"of no use")
    new = SearchFolder(tmp_path / "new" / "mine")
    fetch(new, home)
    found = {path.relative_to(new.path).as_posix() for path in new.path.rglob("*") if path.is_file()}
    assert found <= {".driver.lock", "data.json", "records.jsonl", "settings.json"}
    assert not module._wanted("../../etc/passwd")
    assert not module._wanted("/etc/passwd")
    assert module._wanted("rematch/run-1.npz")


def test_a_folder_that_is_behind_is_brought_level(folder: SearchFolder, home: Storage) -> None:
    go_on(stored(home), 2)
    folder.write_json(folder.manifest_file, {"state": "interrupted"})  # it has gone on since
    fetch(folder, home)
    assert trials(folder) == [0, 1, 2]
    assert not folder.manifest_file.exists()


def test_a_folder_that_is_ahead_stays_and_gets_what_it_lacks(folder: SearchFolder, home: Storage) -> None:
    home.write("rematch/run-0.npz", b"answers")
    home.write("manifest.json", b'{"state": "finished"}')
    go_on(folder, 2)
    folder.page_file.write_text("newer")
    home.write("leaderboard.html", b"older")
    assert "is ahead of" in fetch(folder, home)
    assert trials(folder) == [0, 1, 2]
    assert folder.page_file.read_text() == "newer"
    assert (folder.rematch / "run-0.npz").exists()
    assert not folder.manifest_file.exists()


def test_a_line_that_a_dying_driver_tore_counts_for_nothing(folder: SearchFolder, home: Storage) -> None:
    with folder.records_file.open("ab") as file:
        file.write(b'{"event": "epo')
    go_on(stored(home), 2)
    fetch(folder, home)
    assert trials(folder) == [0, 1, 2]


@pytest.mark.parametrize("name", ["records.jsonl", "rematch.jsonl"])
def test_both_gone_on_by_themselves_is_refused_and_changes_nothing(
    folder: SearchFolder, home: Storage, name: str
) -> None:
    go_on(folder, 2)
    with (Path(str(home)) / name).open("ab") as file:
        file.write(b'{"event": "session", "time": 1.0}\n')
    before = {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    with pytest.raises(FolderError, match="have both gone on with this search, each by itself"):
        fetch(folder, home)
    after = {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    assert before == {name: content for name, content in after.items() if name != ".driver.lock"}


def test_a_folder_that_is_being_driven_is_left_alone(folder: SearchFolder, home: Storage) -> None:
    with folder.held(), pytest.raises(FolderError, match="another process is running this search"):
        fetch(SearchFolder(folder.path), home)


def test_a_search_that_is_not_there_is_told_with_those_that_are(home: Storage, tmp_path: Path) -> None:
    other = Storage(home.root) / "other"
    with pytest.raises(StorageError, match=r"other is not a search's folder\. The searches there: mine\."):
        fetch(SearchFolder(tmp_path / "results" / "other"), other)
    assert not (tmp_path / "results" / "other").exists()
    assert list(searches_in(Storage(home.root))) == ["mine"]


def test_a_search_that_gets_a_storage_later_takes_its_folder_there(
    folder: SearchFolder, tmp_path: Path
) -> None:
    assert "has nothing of this search yet" in fetch(folder, Storage.of(tmp_path / "empty") / "mine")


def test_a_new_search_does_not_write_over_another(home: Storage, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a search already"):
        require_unused(home)
    require_unused(Storage(home.root) / "another")


def test_the_folder_of_results_is_no_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="searches are there already"):
        require_unused(Storage.of(Path("results")) / "mine")


def test_readings_of_the_test_part_that_were_noted_here_stay(folder: SearchFolder, home: Storage) -> None:
    folder.readings_file.write_text("one\ntwo\n")
    home.write(folder.readings_file.name, b"one\n")
    fetch(folder, home)
    assert folder.readings_file.read_text() == "one\ntwo\n"
    home.write(folder.readings_file.name, b"one\ntwo\nthree\n")
    fetch(folder, home)
    assert folder.readings_file.read_text() == "one\ntwo\nthree\n"


def test_searches_are_listed_from_afar(
    home: Storage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "drivers", lambda homes: {home: "some-host"})
    other = Storage(home.root) / "done"
    for name in home.files():
        other.write(name, home.read(name))
    other.write("manifest.json", b'{"state": "finished"}')
    damaged = Storage(home.root) / "damaged"
    damaged.write("settings.json", b"{")
    (Storage(home.root) / "..odd").write("settings.json", b"{}")
    assert listing.main(["--storage", home.root]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert set(lines) == {"mine", "done", "damaged"}
    assert "running on some-host" in lines["mine"]
    assert "finished" in lines["done"]
    assert "cannot be read" in lines["damaged"]


def test_who_drives_is_told_by_a_note_that_changes(home: Storage) -> None:
    lives, died = Owner(home, print), Owner(Storage(home.root) / "died", print)
    lives.beat()
    died.beat()
    homes = [home, Storage(home.root) / "died", Storage(home.root) / "nobody's"]
    assert drivers(homes, sleep=lambda seconds: lives.beat()) == {home: socket.gethostname()}


def test_answers_that_are_here_are_not_brought_again(folder: SearchFolder, home: Storage) -> None:
    home.write("rematch/run-0.npz", b"answers")
    home.write("rematch/run-1.npz", b"more")
    home.write("rematch/checkpoints/trial-00003.pt", b"state")
    folder.rematch.mkdir()
    (folder.rematch / "run-0.npz").write_bytes(b"here")
    bring_answers(folder, home)
    found = {path.name: path.read_bytes() for path in folder.rematch.iterdir()}
    assert found == {"run-0.npz": b"here", "run-1.npz": b"more"}
