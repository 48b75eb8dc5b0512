"""A finished search that is resumed with nothing left to do: told so, without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search import run
from search.results import write_results
from search.settings.settings import Settings
from search.settled import is_settled
from search.storage.folder import SearchFolder, State
from search.storage.scratch import LOCK, PREFIX
from search.trials.trials import Outcome
from search.tune import connection
from tests.simulated import Workers, engine, finish, search_folder, space

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def finished(path: Path, workers: Workers | None = None, **asked: Any) -> SearchFolder:
    """A finished search of six trials."""
    folder = search_folder(path, **{"trials": 6, "rematch": 0, **asked})
    driven = finish(engine(folder.records_file, space(path.parent), trials=6), workers)
    write_results(folder, State.FINISHED, sampler=driven._sampler, ended_by=driven.ended_by)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchFolder:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    return finished(Path("results/mine"))


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("Ray was asked for")

    monkeypatch.setattr(connection, "Connection", refuse)


def with_changes(folder: SearchFolder, **changes: Any) -> Settings:
    return Settings.model_validate({**folder.settings().model_dump(), **changes})


@pytest.mark.usefixtures("no_ray")
def test_a_resume_says_what_ended_the_search_and_how_to_add_trials(
    folder: SearchFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("leaderboard.html", "leaderboard.csv", "best_config.yaml"):
        (folder.path / name).unlink()
    assert run.main(["--name", "mine", "--resume"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("results/mine is finished: 6 trials in ")
    assert ", ended by --trials (6 trials). Nothing is left to do.\n" in said
    assert "\nSearch on:  python -m search.run --name mine --resume --trials 12\n" in said
    assert said.endswith("Leaderboard:  results/mine/leaderboard.html\n")
    assert "Winner: trial " in said
    for name in ("leaderboard.html", "leaderboard.csv", "best_config.yaml"):
        assert (folder.path / name).exists()
    assert folder.state is State.FINISHED
    assert folder.ended_by == "trials"


@pytest.mark.usefixtures("no_ray")
def test_what_a_driver_has_left_that_was_killed_at_its_very_end_goes(
    folder: SearchFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / LOCK).touch()
    half = folder.path / ".leaderboard.html.1.partial"
    half.touch()
    assert run.main(["--name", "mine", "--resume"]) == 0
    assert not left.exists()
    assert not half.exists()


@pytest.mark.usefixtures("no_ray")
def test_a_dry_run_says_the_same_and_writes_nothing(
    folder: SearchFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.page_file.unlink()
    assert run.main(["--name", "mine", "--resume", "--dry-run", "--ray", "local"]) == 0
    assert "Nothing is left to do." in capsys.readouterr().out
    assert not folder.page_file.exists()


@pytest.mark.usefixtures("no_ray")
def test_a_search_without_a_score_has_come_to_nothing(
    folder: SearchFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(Path("results/none"), Workers(crash=lambda made, number: Outcome.FAILED))
    assert run.main(["--name", "none", "--resume"]) == 1
    said = capsys.readouterr().out
    assert "Nothing is left to do." in said
    assert "Winner" not in said


def test_where_it_runs_is_no_more_to_do(folder: SearchFolder) -> None:
    for changes in [{"trials": 6}, {"ray": "local"}, {"concurrency": 1}, {"cache_gb": 7.0}]:
        assert is_settled(folder, with_changes(folder, **changes)), changes


def test_what_is_asked_for_beyond_what_it_has_goes_on(folder: SearchFolder) -> None:
    for changes in [
        {"trials": 7},
        {"trials": None, "time": "4h"},
        {"time": "4h"},
        {"rematch": 2},
        {"rematch_seeds": 5},
        {"prefer": "latency"},
        {"max_params": 10**9},
        {"mlflow": True},
        {"data": "others"},
        {"space": "other.yaml"},
    ]:
        assert not is_settled(folder, with_changes(folder, **changes)), changes


def test_a_time_is_the_same_in_other_units(folder: SearchFolder) -> None:
    timed = finished(Path("results/timed"), time="1h")
    assert is_settled(timed, with_changes(timed, time="60m"))
    assert not is_settled(timed, with_changes(timed, time="61m"))


def test_a_search_that_lacks_its_rematch_or_its_study_or_was_interrupted_goes_on(
    folder: SearchFolder,
) -> None:
    played = finished(Path("results/played"), rematch=2)
    assert not is_settled(played, played.settings())
    played.write_json(played.rematch_file, {})
    assert is_settled(played, played.settings())
    played.study_file.unlink()
    assert not is_settled(played, played.settings())
    assert is_settled(folder, folder.settings())
    write_results(folder, State.INTERRUPTED)
    assert not is_settled(folder, folder.settings())


@pytest.mark.usefixtures("no_ray")
def test_what_cannot_be_resumed_is_told_before_anything_is_read(
    folder: SearchFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, said in [
        (["--seed", "9"], "seed was 0 and is 9"),
        (["--trials", "5"], "--trials allows 5 trials, and results/mine has used 6 trials already"),
        (["--data", "nowhere"], "nowhere: no such folder or file"),
        (["--space", "skratch"], "must be the name of a built-in space"),
    ]:
        assert run.main(["--name", "mine", "--resume", *given]) == 2
        shown = capsys.readouterr()
        assert said in shown.err
        assert shown.out == ""
    with folder.held():
        assert run.main(["--name", "mine", "--resume", "--trials", "9"]) == 2
    assert "another process is running this search" in capsys.readouterr().err
