"""What Weights & Biases keeps offline is what the records say. Its server was not asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from search.storage.folder import SearchFolder
from spaces.flat import flatten
from tests.commands import ROOT
from tests.synthetic import EPOCHS, synthetic_search
from tests.tracked import end, events, tell, told_folder
from tests.tracker_readers import in_wandb, wandb_agrees

pytestmark = pytest.mark.slow  # a process of its own: the library decides once a process who is logged in

EVENTS = events(synthetic_search(8))
API_KEY = "0123456789abcdef0123456789abcdef01234567"


def track(folder: SearchFolder, **environment: str) -> str:
    """Runs `search.track --wandb` to its end, as somebody who is not logged in: what it says."""
    home = folder.path.parent / "home"
    home.mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, "-m", "search.track", f"results/{folder.path.name}", "--wandb"],
        cwd=folder.path.parent.parent,
        env={**inherited, "PYTHONPATH": str(ROOT), "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def test_a_group_of_runs_with_all_that_is_recorded(results: Path) -> None:
    folder = told_folder(results / "mine", EVENTS, max_epochs=EPOCHS)
    end(folder)
    said = track(folder)
    assert said == (
        "Weights & Biases: not logged in, so runs are kept; send them by: "
        "wandb sync results/mine/wandb/offline-run-*\n"
    )
    runs, records = in_wandb(folder), folder.records().all()
    assert set(runs) == {"mine", *(f"trial-{entry.number}" for entry in records)}
    assert {part["run"].run_group for parts in runs.values() for part in parts} == {"mine"}
    assert {part["run"].project for parts in runs.values() for part in parts} == {"classifier-search"}
    for entry in records:
        (run,) = runs[f"trial-{entry.number}"]
        wandb_agrees([run], entry)
        asked = {"epochs": EPOCHS, "seed": entry.trial.seed, **flatten(entry.trial.recipe)}
        assert {name: value for name, value in run["config"].items() if name != "_wandb"} == asked
        assert run["summary"]["outcome"] == entry.outcome
        assert run["summary"].get("score") == entry.score(folder.settings().scored_by)
        assert run["run"].job_type == "trial"
        assert run["exit"] == (0 if entry.outcome is not None and entry.outcome.scored else 1)
        assert yaml.safe_load(run["files"]["recipe.yaml"])["recipe"] == entry.trial.recipe
    (search,) = runs["mine"]
    assert (search["run"].job_type, search["exit"]) == ("search", 0)
    assert search["artifacts"] == [
        {"settings.json", "best_config.yaml", "leaderboard.html", "leaderboard.csv"}
    ]
    assert search["summary"]["state"] == "finished"


def test_a_resumed_search_goes_on_in_the_same_runs_and_no_epoch_is_kept_twice(results: Path) -> None:
    folder = told_folder(results / "mine", EVENTS[:20], max_epochs=EPOCHS)
    track(folder)  # its driver was killed
    unended = {f"trial-{entry.number}" for entry in folder.records().all() if entry.outcome is None}
    assert unended
    before = {name: parts[0]["run"].run_id for name, parts in in_wandb(folder).items()}
    tell(folder, EVENTS[20:])
    end(folder)
    track(folder)
    runs = in_wandb(folder)
    for entry in folder.records().all():
        parts = runs[f"trial-{entry.number}"]
        wandb_agrees(parts, entry)
        assert len(parts) == (2 if f"trial-{entry.number}" in unended else 1)
        assert parts[-1]["exit"] == (0 if entry.outcome is not None and entry.outcome.scored else 1)
    for name, parts in runs.items():
        assert len({part["run"].run_id for part in parts}) == 1
        assert before.get(name, parts[0]["run"].run_id) == parts[0]["run"].run_id


def test_what_a_killed_process_left_of_a_run_is_written_anew(results: Path) -> None:
    folder = told_folder(results / "mine", EVENTS[:20], max_epochs=EPOCHS)
    track(folder)
    notes = folder.path / "wandb" / "sent.jsonl"
    notes.unlink()  # it was killed before it closed any run
    tell(folder, EVENTS[20:])
    end(folder)
    track(folder)
    runs = in_wandb(folder)
    for entry in folder.records().all():
        wandb_agrees(runs[f"trial-{entry.number}"], entry)
    assert {len(parts) for parts in runs.values()} == {1}


def test_the_users_own_mode_and_project_are_kept_to_and_no_key_is_written(results: Path) -> None:
    folder = told_folder(results / "mine", EVENTS[:20], max_epochs=EPOCHS)
    end(folder)
    said = track(folder, WANDB_MODE="offline", WANDB_PROJECT="own", WANDB_API_KEY=API_KEY)
    assert said.startswith("Weights & Biases: offline, so runs are kept;")
    assert {part["run"].project for parts in in_wandb(folder).values() for part in parts} == {"own"}
    files = [path for path in results.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if API_KEY.encode() in path.read_bytes()] == []


def test_what_is_kept_for_one_project_stays_when_the_search_is_sent_to_another(results: Path) -> None:
    folder = told_folder(results / "mine", EVENTS[:6], max_epochs=EPOCHS)
    end(folder)
    track(folder)
    track(folder, WANDB_PROJECT="own")
    for parts in in_wandb(folder).values():
        assert [part["run"].project for part in parts] == ["classifier-search", "own"]
        assert len({len(part["history"]) for part in parts}) == 1
