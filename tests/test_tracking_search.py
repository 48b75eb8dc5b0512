"""A real search under Ray, shown in all three trackers while it runs, and after a resume."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from search.storage.folder import SearchFolder
from tests.commands import Desk
from tests.faulty import SLOW
from tests.tracker_readers import (
    in_mlflow,
    in_tensorboard,
    in_wandb,
    mlflow_agrees,
    tensorboard_agrees,
    wandb_agrees,
)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server and no login."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


def test_all_three_have_what_the_records_have_after_an_interruption_and_after_the_resume(desk: Desk) -> None:
    asked = ("--space", desk.space(SLOW), "--trials", "4", "--max-epochs", "4", "--name", "mine")
    trackers = ("--tensorboard", "--mlflow", "--wandb")
    process = desk.start("search.run", *desk.search_arguments(*asked, *trackers))
    desk.wait(process, lambda: len(desk.records("mine").order) >= 3)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 130, output
    assert "TensorBoard: tensorboard --logdir results/mine/tensorboard" in output
    assert "MLflow: mlflow server --backend-store-uri sqlite:///results/mlflow/mlflow.db" in output
    assert "wandb sync results/mine/wandb/offline-run-*" in output
    results = desk.folder / "results"
    folder = SearchFolder(results / "mine")
    assert_level(folder)
    stored = in_mlflow(results, "mine")
    assert stored["search"].info.status == "KILLED"

    status, output = desk.run("search.run", "--name", "mine", "--resume")  # the trackers stay as they were
    assert status == 0, output
    assert "could not be sent" not in output
    assert_level(folder)
    again = in_mlflow(results, "mine")
    assert {name: run.info.run_id for name, run in stored.items()}.items() <= {
        name: run.info.run_id for name, run in again.items()
    }.items()
    assert {run.info.status for run in again.values()} == {"FINISHED"}
    assert len(again) == 5
    manifest = folder.read_json(folder.manifest_file)
    assert again["search"].data.tags["winner"] == str(manifest["best_trial"])
    assert again["search"].data.metrics["best_score"] == manifest["best_score"]
    assert in_wandb(folder)["mine"][-1]["summary"]["winner_score"] == manifest["best_score"]


def assert_level(folder: SearchFolder) -> None:
    """Each tracker has a run for each trial, with every epoch once."""
    records = folder.records().all()
    trials = {f"trial-{entry.number}" for entry in records}
    boards, stored, kept = (
        in_tensorboard(folder),
        in_mlflow(folder.path.parent, folder.path.name),
        in_wandb(folder),
    )
    assert set(boards.Runs()) == set(stored) == {"search", *trials}
    assert set(kept) == {folder.path.name, *trials}
    for entry in records:
        run = f"trial-{entry.number}"
        tensorboard_agrees(boards, entry)
        mlflow_agrees(folder.path.parent, stored[run], entry)
        wandb_agrees(kept[run], entry)
        assert stored[run].data.params["optim.lr"] == str(entry.trial.recipe["optim"]["lr"])
        assert kept[run][-1]["config"]["optim.lr"] == entry.trial.recipe["optim"]["lr"]


def test_a_server_that_is_gone_ends_no_search_and_its_password_is_nowhere(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:sehr-geheim@127.0.0.1:9")
    asked = ("--space", desk.space(SLOW), "--trials", "2", "--max-epochs", "2", "--name", "mine")
    status, output = desk.search(*asked, "--mlflow")
    assert status == 0, output
    assert output.count("MLflow cannot be written to") == 1
    assert "What could not be sent can be sent later: python -m search.track results/mine --mlflow" in output
    assert len(desk.records("mine").trials) == 2
    assert "Train it for real:  python -m search.retrain results/mine" in output
    assert "geheim" not in output
    written = [path for path in (desk.folder / "results").rglob("*") if path.is_file()]
    assert [path for path in written if b"geheim" in path.read_bytes()] == []

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    status, output = desk.run("search.track", "results/mine", "--mlflow")
    assert status == 0, output
    stored = in_mlflow(desk.folder / "results", "mine")
    for number, entry in desk.records("mine").trials.items():
        mlflow_agrees(desk.folder / "results", stored[f"trial-{number}"], entry)
