"""A retrain kept in its search's storage, so that a machine that is lost takes nothing with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from search import retrain as command
from search.model.keeping import STATES, Keeping
from search.model.training import STATE_SUFFIX
from search.retrain import _opened
from search.storage.folder import METRICS_FILE, SearchFolder
from search.storage.owner import NOTE
from tests.simulated import Clock
from tests.stored import Away, away, begun
from tests.stored import folder as folder
from tests.stored import home as home
from trainables.storage import Storage, StorageError

DIGEST = "0123456789ab"


def keeping(folder: SearchFolder, home: Storage, clock: Clock | None = None) -> tuple[Keeping, list[str]]:
    said: list[str] = []
    return Keeping(folder, home, folder.model, told=said.append, clock=clock or Clock()), said


def state_of(folder: SearchFolder, content: bytes = b"state", out: str = "model") -> Path:
    path = folder.path / f".{out}.{DIGEST}{STATE_SUFFIX}"
    path.write_bytes(content)
    return path


def test_what_has_been_trained_is_there_on_another_machine(
    folder: SearchFolder, home: Storage, tmp_path: Path
) -> None:
    state_of(folder)
    state_of(folder, b"of another model", out="model-trial-3")
    keeping(folder, home)[0].tick()
    assert set(home.files()) == {f"{STATES}/model.{DIGEST}{STATE_SUFFIX}"}

    other = begun(tmp_path / "elsewhere" / "mine")
    keeping(other, home)[0].bring()
    assert (other.path / f".model.{DIGEST}{STATE_SUFFIX}").read_bytes() == b"state"
    state_of(other, b"newer")
    keeping(other, home)[0].bring()
    assert (other.path / f".model.{DIGEST}{STATE_SUFFIX}").read_bytes() == b"newer"


def test_copying_takes_at_most_a_twentieth_of_the_time(
    folder: SearchFolder, home: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, write = Clock(), Away.write

    def slowly(storage: Storage, name: str, content: bytes) -> None:
        clock.now_s += 2.0
        write(storage, name, content)

    monkeypatch.setattr(Away, "write", slowly)
    kept, _ = keeping(folder, home, clock)
    for epoch in range(100):
        state_of(folder, b"%d" % epoch)
        kept.tick()
        clock.now_s += 1.0
    assert len(home.log) == 3  # of 40 s each


def test_the_model_comes_there_with_its_scores_last_and_its_training_goes(
    folder: SearchFolder, home: Away
) -> None:
    kept, said = keeping(folder, home)
    state = state_of(folder)
    kept.tick()
    state.unlink()
    for name in ("a.json", METRICS_FILE, "explained/explained.json", "zebra.webp"):
        (folder.model / name).parent.mkdir(exist_ok=True, parents=True)
        (folder.model / name).write_text(name)
    folder.readings_file.write_text("once\n")
    folder.page_file.write_text("page")
    home.log.clear()
    kept.finish()
    written = [name.removeprefix("mine/") for name in home.log]
    assert written[3] == f"model/{METRICS_FILE}"
    assert written[4:] == ["test_readings.jsonl", "leaderboard.html"]
    assert STATES not in {name.split("/")[0] for name in home.files()}
    assert home.read("model/explained/explained.json") == b"explained/explained.json"
    assert said == []


def test_where_the_model_goes_elsewhere_its_training_is_kept_until_it_is_there(
    folder: SearchFolder, home: Storage
) -> None:
    state_of(folder)
    kept = Keeping(folder, home, folder.model, model=False, told=lambda line: None, clock=Clock())
    kept.tick()
    assert set(home.files()) == {f"{STATES}/model.{DIGEST}{STATE_SUFFIX}"}
    kept.finish()
    assert home.files() == {}


def test_the_page_of_a_search_that_runs_is_left_to_its_driver(folder: SearchFolder, home: Storage) -> None:
    folder.model.mkdir()
    folder.readings_file.write_text("once\n")
    folder.page_file.write_text("page")
    home.write(NOTE, b"{}")
    keeping(folder, home)[0].finish()
    assert set(home.files()) == {NOTE, "test_readings.jsonl"}


def test_a_storage_that_fails_costs_the_retrain_nothing(folder: SearchFolder, home: Away) -> None:
    state_of(folder)
    away(home, True) if Path(home.root).exists() else Path(f"{home.root}.away").touch()
    kept, said = keeping(folder, home)
    kept.tick()
    assert len(said) == 1
    assert "fails: no route to host. What is here is whole all the same." in said[0]


def test_readings_of_the_test_part_elsewhere_count_here(folder: SearchFolder, home: Storage) -> None:
    home.write("test_readings.jsonl", b"one\ntwo\n")
    folder.readings_file.write_text("one\n")
    keeping(folder, home)[0].bring()
    assert folder.readings_file.read_text() == "one\ntwo\n"
    folder.readings_file.write_text("one\ntwo\nthree\n")
    keeping(folder, home)[0].bring()
    assert folder.readings_file.read_text() == "one\ntwo\nthree\n"


def test_a_search_that_is_not_here_is_brought_and_none_keeps_the_model_here(
    folder: SearchFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Storage.of(tmp_path / "store")
    for path in folder.path.iterdir():
        if not path.name.startswith("."):
            (store / "mine").write(path.name, path.read_bytes())
    monkeypatch.chdir(tmp_path)
    brought, home = _opened(Path("new/mine"), str(tmp_path / "store"))
    assert sorted(brought.records().trials) == [0, 1]
    assert home == store / "mine"
    assert _opened(folder.path, None)[1] is None
    assert _opened(folder.path, command.NONE)[1] is None


def test_a_storage_that_cannot_be_used_is_told_before_anything_is_trained(
    folder: SearchFolder, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("")
    with pytest.raises(StorageError, match="With --storage none the model is only here"):
        _opened(folder.path, str(tmp_path / "a file"))
