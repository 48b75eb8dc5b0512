"""What MLflow's own client finds in its store is what the records say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run as Stored
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from search.storage.folder import State
from search.tracking.follow import follow
from search.tracking.runs import plain_names
from tests.synthetic import EPOCHS, synthetic_search
from tests.tracked import end, events, tell, told_folder
from tests.tracker_readers import in_mlflow, mlflow_agrees, mlflow_client

pytestmark = pytest.mark.slow  # the library takes seconds to import, and a new store as long

EVENTS = events(synthetic_search())
EXPERIMENT = "classifier-search"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All searches here share a store, as in a results folder."""
    made = tmp_path_factory.mktemp("results")
    (made / "mlflow").mkdir()
    mlflow_client(made).search_experiments()  # makes the store
    return made


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def text(run: Stored, name: str) -> str:
    content: str = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{name}")
    return content


def test_a_run_for_the_search_one_below_it_for_each_trial_with_all_that_is_recorded(results: Path) -> None:
    folder = told_folder(results / "whole", EVENTS, max_epochs=EPOCHS)
    end(folder)
    assert follow(folder, "mlflow", print)
    runs = in_mlflow(results, "whole")
    records = folder.records().all()
    assert set(runs) == {"search", *(f"trial-{entry.number}" for entry in records)}
    for entry in records:
        run = runs[f"trial-{entry.number}"]
        mlflow_agrees(results, run, entry)
        assert run.data.params["optim.lr"] == str(entry.trial.recipe["optim"]["lr"])
        assert run.data.params["model.pretrained"] == "false"
        assert run.data.params["schedule.name"] == entry.trial.recipe["schedule"]["name"]
        assert run.data.params["seed"] == str(entry.trial.seed)
        assert run.data.tags["outcome"] == entry.outcome
        assert run.data.metrics.get("score") == entry.score(folder.settings().scored_by)
        assert (run.info.status == "FINISHED") == (entry.outcome is not None and entry.outcome.scored)
        assert run.info.start_time == round(entry.started * 1000)
        assert run.info.end_time == round((entry.ended or 0) * 1000)
        assert yaml.safe_load(text(run, "recipe.yaml"))["recipe"] == entry.trial.recipe


def test_the_searchs_run_has_settings_its_best_scores_and_its_files(results: Path) -> None:
    folder = told_folder(results / "parent", EVENTS, max_epochs=EPOCHS, metric="val_loss")
    end(folder)
    follow(folder, "mlflow", print)
    parent = in_mlflow(results, "parent")["search"]
    assert (parent.data.params["metric"], parent.data.params["max_epochs"]) == ("val_loss", str(EPOCHS))
    records, metric = folder.records().all(), folder.settings().scored_by
    scores = [score for entry in records if (score := entry.score(metric)) is not None]
    history = mlflow_client(results).get_metric_history(parent.info.run_id, "best_score")
    assert len(history) == len(scores)
    assert min(history, key=lambda point: -point.step).value == min(scores)
    assert (parent.data.tags["state"], parent.data.tags["trials"]) == ("finished", "16")
    assert text(parent, "leaderboard.html") == "<p>größer</p>"
    assert text(parent, "best_config.yaml") == "epochs: 9\n"
    assert json.loads(text(parent, "settings.json"))["settings"]["name"] == "parent"


def test_a_resumed_search_goes_on_with_its_runs_and_has_every_point_once(results: Path) -> None:
    folder = told_folder(results / "resumed", EVENTS[:45], max_epochs=EPOCHS)
    follow(folder, "mlflow", print)  # its driver was killed
    before = in_mlflow(results, "resumed")
    unended = {f"trial-{entry.number}" for entry in folder.records().all() if entry.outcome is None}
    assert unended
    assert {name for name, run in before.items() if run.info.status == "KILLED"} == {"search", *unended}
    tell(folder, EVENTS[45:])
    end(folder)
    follow(folder, "mlflow", print)
    follow(folder, "mlflow", print)
    after = in_mlflow(results, "resumed")
    assert {name: run.info.run_id for name, run in before.items()}.items() <= {
        name: run.info.run_id for name, run in after.items()
    }.items()
    assert len(after) == 17
    assert {run.info.status for run in after.values()} == {"FINISHED", "FAILED"}
    for entry in folder.records().all():
        mlflow_agrees(results, after[f"trial-{entry.number}"], entry)
    history = mlflow_client(results).get_metric_history(after["search"].info.run_id, "best_score")
    assert len({point.step for point in history}) == len(history)


def test_long_trials_go_in_several_requests(results: Path) -> None:
    """More than 1,000 numbers at once are refused by MLflow."""
    (entry,) = synthetic_search(1)
    last = entry.history[-1]
    entry.history += [
        type(last)(0, number, float(number), last.metrics, "", "", last.time + number)
        for number in range(EPOCHS + 1, 181)
    ]
    entry.ended = last.time + 200
    folder = told_folder(results / "long", events([entry]), max_epochs=180)
    end(folder)
    assert follow(folder, "mlflow", print)
    mlflow_agrees(results, in_mlflow(results, "long")["trial-0"], entry)


def test_a_server_and_experiment_of_ones_own_are_used_where_the_environment_names_them(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow puts the files of such a store
    shutil.copy(results / "mlflow" / "mlflow.db", "own.db")  # a new one takes seconds
    address = "sqlite:///own.db"
    folder = told_folder(tmp_path / "elsewhere", EVENTS[:10])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of my own")
    said: list[str] = []
    assert follow(folder, "mlflow", said.append)
    assert said == ["MLflow: in the MLflow that MLFLOW_TRACKING_URI names, experiment of my own"]
    experiment = MlflowClient(address).get_experiment_by_name("of my own")
    assert experiment is not None
    assert "elsewhere" in {
        run.info.run_name for run in MlflowClient(address).search_runs([experiment.experiment_id])
    }
    assert not (tmp_path / "mlflow").exists()


def test_a_server_that_is_gone_is_said_without_its_password(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:sehr-geheim@127.0.0.1:9")
    folder = told_folder(results / "gone", EVENTS[:10])
    end(folder, State.INTERRUPTED)
    said: list[str] = []
    assert not follow(folder, "mlflow", said.append)
    assert len(said) == 1
    assert said[0].startswith("MLflow cannot be written to (MlflowException: API request to http://***@127.0")
    assert "geheim" not in said[0]


def test_mlflow_takes_the_names_that_trackers_are_given() -> None:
    hostile = ["größe", "a@1", "a\nb", "x" * 400, "..", "/", "a//b", "<script>", "", " "]
    for name in plain_names(dict.fromkeys(hostile)):
        _validate_param_name(name)
        _validate_metric_name(name)
