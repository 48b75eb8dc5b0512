"""What a search leaves behind: derived from the records, and complete or without a manifest."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path

import pytest

from search import leaderboard, results
from search.engine.engine import Engine
from search.results import config_of, winner, write_results
from search.storage.folder import SearchFolder, State
from search.trials.trials import METRICS, Outcome
from spaces.recipe_files import load_trial_config
from spaces.space import Space
from tests.simulated import Workers, engine, finish, record, search_folder, space, trial

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

ACCURACY = METRICS["val_accuracy"]


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    folder = search_folder(tmp_path / "results" / "mine", trials=6)
    return folder


def done(folder: SearchFolder, searched: Space, workers: Workers | None = None) -> Engine:
    return finish(engine(folder.records_file, searched, trials=6), workers)


def crashing() -> Workers:
    return Workers(crash=lambda made, number: Outcome.FAILED)


def test_a_finished_search_leaves_page_table_study_winner_and_manifest(
    folder: SearchFolder, searched: Space
) -> None:
    driven = done(folder, searched)
    best = write_results(folder, State.FINISHED, sampler=driven._sampler)
    assert best is not None
    assert {path.name for path in folder.path.iterdir()} == {
        *("settings.json", "data.json", "records.jsonl"),
        *(
            "leaderboard.html",
            "leaderboard.csv",
            "leaderboard.parquet",
            "study.db",
            "best_config.yaml",
            "manifest.json",
        ),
    }
    manifest = folder.read_json(folder.manifest_file)
    assert manifest["state"] == "finished"
    assert manifest["trials"] == 6
    assert (manifest["best_trial"], manifest["best_score"]) == (best.number, best.score(ACCURACY))
    with (folder.path / "leaderboard.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert int(rows[0]["trial"]) == best.number
    assert len(rows) == 6


def test_the_winners_config_is_what_a_retrain_takes(folder: SearchFolder, searched: Space) -> None:
    best = write_results(folder, State.FINISHED, sampler=done(folder, searched)._sampler)
    assert best is not None
    assert load_trial_config(folder.best_file) == config_of(best)
    opening = folder.best_file.read_text(encoding="utf-8").splitlines()[:2]
    score = best.score(ACCURACY)
    assert opening[0] == (
        f"# The best trial of search mine: trial {best.number}, validation accuracy {score:.4f} after "
        f"{best.epochs_done} of 9 epochs."
    )
    assert opening[1].endswith(f"python -m search.retrain {folder.path}")


def test_the_manifest_comes_last(
    folder: SearchFolder, searched: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = done(folder, searched)

    def fail(*_: object) -> None:
        assert not folder.manifest_file.exists()
        raise OSError("no space left on device")

    for name in ("write_page", "write_study"):
        with monkeypatch.context() as patched:
            patched.setattr(results, name, fail)
            with pytest.raises(OSError, match="no space left"):
                write_results(folder, State.FINISHED, sampler=driven._sampler)
            assert not folder.manifest_file.exists()
    write_results(folder, State.FINISHED, sampler=driven._sampler)
    assert folder.manifest_file.exists()


def test_a_search_without_a_score_has_no_winner(folder: SearchFolder, searched: Space) -> None:
    driven = done(folder, searched, crashing())
    assert write_results(folder, State.FINISHED, sampler=driven._sampler) is None
    assert not folder.best_file.exists()
    assert (folder.path / "leaderboard.html").exists()
    manifest = folder.read_json(folder.manifest_file)
    assert (manifest["best_trial"], manifest["best_score"]) == (None, None)


def test_a_search_that_was_stopped_before_its_first_trial_leaves_a_page(
    folder: SearchFolder, searched: Space
) -> None:
    driven = engine(folder.records_file, searched, trials=6)
    assert write_results(folder, State.INTERRUPTED, sampler=driven._sampler) is None
    assert (folder.path / "leaderboard.html").exists()


def test_the_study_of_an_interrupted_search_shows_what_still_ran(
    folder: SearchFolder, searched: Space
) -> None:
    driven = engine(folder.records_file, searched, trials=6)
    driven.ask()
    driven.ask()
    driven.end(0, Outcome.FAILED, "no")
    write_results(folder, State.INTERRUPTED, sampler=driven._sampler)
    with sqlite3.connect(folder.study_file) as database:
        states = database.execute("select state from trials order by number").fetchall()
    assert states == [("FAIL",), ("RUNNING",)]


def test_the_page_can_be_built_again_from_the_records_at_any_time(
    folder: SearchFolder, searched: Space, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(folder, State.FINISHED, sampler=done(folder, searched)._sampler)
    pages = [folder.path / name for name in ("leaderboard.html", "leaderboard.csv")]
    before = [page.read_bytes() for page in pages]
    for page in pages:
        page.unlink()
    assert leaderboard.main([str(folder.path)]) == 0
    assert capsys.readouterr().out == f"Leaderboard:  {pages[0]}\n"
    assert [page.read_bytes() for page in pages] == before


def test_the_page_can_be_built_while_the_search_runs(
    folder: SearchFolder, searched: Space, capsys: pytest.CaptureFixture[str]
) -> None:
    driven = engine(folder.records_file, searched, trials=6)
    driven.ask()
    with folder.held():
        assert leaderboard.main([str(folder.path)]) == 0
    table = (folder.path / "leaderboard.csv").read_text(encoding="utf-8")
    assert "running" in table
    assert not folder.manifest_file.exists()


def test_a_leaderboard_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leaderboard.main([str(tmp_path / "none")]) == 2
    assert "is not a search's folder" in capsys.readouterr().err


def test_a_leaderboard_of_damaged_records_is_refused_with_the_line(
    folder: SearchFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.records_file.write_text("hello\n")
    assert leaderboard.main([str(folder.path)]) == 2
    assert "records.jsonl, line 1" in capsys.readouterr().err


def test_the_winner_is_the_best_by_its_last_score_or_none() -> None:
    stopped, complete = record(trial(0), [0.6], Outcome.STOPPED), record(trial(1), [0.9, 0.5])
    diverged = record(trial(2), [0.99], Outcome.DIVERGED)
    assert winner([stopped, complete, diverged], ACCURACY) is stopped
    assert winner([diverged, record(trial(3), [], Outcome.FAILED)], ACCURACY) is None
    assert winner([], ACCURACY) is None


def test_results_are_plain_json(folder: SearchFolder, searched: Space) -> None:
    write_results(folder, State.FINISHED, sampler=done(folder, searched, crashing())._sampler)
    json.loads(folder.manifest_file.read_text(), parse_constant=lambda name: pytest.fail(name))
