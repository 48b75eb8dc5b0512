"""One recipe trained alone: what it leaves, how it goes on after a cut-off, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from safetensors.torch import load_file, save_file

from search import alone, leaderboard, predict, retrain, run, train
from search import list as listing
from search.settings.settings import Settings
from search.storage.folder import SearchFolder, State
from search.storage.readings import note_reading
from search.trials.records import Records
from search.trials.trials import Outcome
from spaces.recipe_files import load_trial_config
from tests.commands import Desk, run_program
from tests.test_commands import CLASSES, toy_folder
from tests.toy_pictures import CPU

RECIPE = """
epochs: 3
split: {train: 0.7, validation: 0.15, test: 0.15}
recipe:
  model: {name: plain_cnn, args: {width: 8, blocks: 2, dense: 16}}
  geometry: {size_px: 16}
  optim: {lr: 1e-2, batch_size: 16}
  freeze: {epoch: 1}
  keep: KEEP
"""
QUIET = Console(quiet=True)
pytestmark = pytest.mark.usefixtures("checked_here")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and recipes."""
    root = tmp_path_factory.mktemp("shop")
    toy_folder(root / "pictures", 120)
    (root / "own.yaml").write_text(RECIPE.replace("KEEP", "last"))
    (root / "best.yaml").write_text(RECIPE.replace("KEEP", "best").replace("epochs: 3", "epochs: 6"))
    (root / "wild.yaml").write_text(RECIPE.replace("KEEP", "last").replace("1e-2", "1e30"))
    (root / "binary.yaml").write_text(RECIPE.replace("KEEP", "last\n  loss: {name: sigmoid}"))
    return root


@pytest.fixture
def at_work(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of a test's own, with the pictures and recipes of all."""
    for path in shop.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLASSIFIER_SEARCH_CACHE", str(shop / "cache"))
    return tmp_path


def settings(name: str, **changes: Any) -> Settings:
    asked = {"name": name, "data": "pictures", "space": None, "trials": 1, "max_epochs": 3}
    return Settings(**{**asked, "cache_dir": os.environ["CLASSIFIER_SEARCH_CACHE"], **changes})


def started(name: str, recipe: str = "own.yaml", **options: Any) -> SearchFolder:
    """Trains a recipe to its end, or to wherever `heard` ends it."""
    config = alone.load_config(recipe)
    found = alone.start(settings(name), config, recipe, console=QUIET, runtime=CPU, **options)
    return SearchFolder(found.folder)


def metrics_of(folder: SearchFolder) -> dict[str, Any]:
    return json.loads((folder.model / "metrics.json").read_text(encoding="utf-8"))


def losses(records: Records) -> list[float]:
    return [epoch.metrics["val_loss"] for epoch in records.trials[0].history]


def stop_after(epochs: int) -> Any:
    """Ctrl-C while the line of this epoch is printed."""

    def heard(metrics: dict[str, float]) -> None:
        if metrics["epoch"] == epochs:
            raise KeyboardInterrupt

    return heard


def test_a_recipe_trained_alone_leaves_the_folder_of_a_search_of_one_trial(
    at_work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["own.yaml", "--data", "pictures", "--name", "mine", "--seed", "5", "--device", "cpu"]
    assert train.main(arguments) == 0
    said = capsys.readouterr().out
    assert [f"epoch   {number} of 3  train loss " in said for number in (1, 2, 3)] == [True] * 3
    folder = SearchFolder.open(Path("results/mine"))
    assert folder.state is State.FINISHED
    (record,) = folder.records().all()
    assert (record.trial.origin, record.trial.source, record.outcome) == (
        *("given", "own.yaml"),
        Outcome.COMPLETE,
    )
    assert (record.trial.seed, record.trial.epochs, record.epochs_done) == (5, 3, 3)
    found, metric = metrics_of(folder), folder.settings().scored_by
    assert found["search_score"] == {"val_accuracy": record.score(metric)}
    assert (found["search"], found["trial"], found["seed"], found["test_readings"]) == ("mine", 0, 5, 1)
    assert f"accuracy {found['test']['accuracy']:.4f}" in said

    shares = Counter(row["part"] for row in csv.DictReader(folder.split_file.open()))
    assert shares == {"train": 84, "validation": 18, "test": 18}  # the file's own
    assert found["test"]["n"] == 18
    assert found["trained_on"]["parts"] == ["train"]
    assert (found["trained_on"]["pictures"], found["trained_on"]["epochs"]) == (84, 3)

    # All that reads a search reads it.
    assert listing.main([]) == 0
    listed = capsys.readouterr().out
    assert "mine    finished  1/1     3 " in listed
    assert listed.splitlines()[1].rstrip().endswith("pictures  recipe own.yaml")
    assert leaderboard.main(["results/mine"]) == 0
    with (folder.path / "leaderboard.csv").open() as file:
        assert next(csv.DictReader(file))["origin"] == "own.yaml"
    best = load_trial_config(folder.best_file)
    assert best.recipe.to_dict() == record.trial.recipe
    assert best.split is not None  # trained again from this file, it has the same pictures
    assert best.split.train == 0.7
    assert predict.main(["results/mine/model", f"pictures/{CLASSES[1]}", "--device", "cpu"]) == 0
    assert retrain.main(["results/mine", "--device", "cpu"]) == 0
    again = json.loads(Path("results/mine/model-trial-0/metrics.json").read_text())
    assert again["trained_on"]["parts"] == ["train", "validation", "selection"]
    assert (again["test_readings"], again["trained_on"]["pictures"]) == (2, 102)
    assert "has been read 2 times so far" in folder.page_file.read_text(encoding="utf-8")


def test_a_training_that_was_interrupted_goes_on_to_the_numbers_of_a_whole_one(at_work: Path) -> None:
    folder = started("cut", heard=stop_after(2))
    assert folder.state is State.INTERRUPTED
    assert not folder.model.exists()
    assert folder.page_file.exists()
    assert folder.best_file.exists()
    assert folder.records().trials[0].outcome is None

    heard: list[float] = []
    finished = alone.resume(
        folder, console=QUIET, runtime=CPU, heard=lambda metrics: heard.append(metrics["epoch"])
    )
    assert (finished.state, folder.state) == (State.FINISHED, State.FINISHED)
    assert heard == [2, 3]
    whole = started("whole")
    assert losses(folder.records()) == losses(whole.records())
    assert metrics_of(folder)["test"] == metrics_of(whole)["test"]
    assert list(folder.path.glob("*checkpoint*")) == []


def test_a_model_that_could_not_be_written_is_written_by_a_resume_without_training_again(
    at_work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("search.model.training.export_checked", fail)
        with pytest.raises(OSError, match="no space left"):
            started("full")
    folder = SearchFolder.open(Path("results/full"))
    assert folder.state is State.CUT_OFF
    heard: list[dict[str, float]] = []
    alone.resume(folder, console=QUIET, runtime=CPU, heard=heard.append)
    assert (heard, folder.state) == ([], State.FINISHED)
    assert metrics_of(folder)["trained_on"]["epochs"] == 3
    assert metrics_of(folder)["test_readings"] == 1  # it is read when there is something to keep


def test_a_finished_training_stays_as_it_is_and_says_where_things_are(
    at_work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = started("done")
    note_reading(folder, "another model", 0.5)
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    assert train.main(["--name", "done", "--resume", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("results/done is already finished: nothing was trained or tested again.\n")
    assert "(read 2 times so far)" in said  # not as often as when the model was written
    assert "Model:  results/done/model\n" in said
    assert "Leaderboard:  results/done/leaderboard.html\n" in said
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def test_a_training_that_diverges_is_recorded_and_leaves_no_model(
    at_work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["wild.yaml", "--data", "pictures", "--name", "wild", "--device", "cpu"]) == 1
    assert "The training diverged" in capsys.readouterr().out
    folder = SearchFolder.open(Path("results/wild"))
    assert folder.state is State.FINISHED
    assert folder.records().trials[0].outcome is Outcome.DIVERGED
    assert not folder.model.exists()
    assert not folder.readings_file.exists()
    assert train.main(["--name", "wild", "--resume", "--device", "cpu"]) == 1


def test_a_retrain_refuses_other_weights_than_its_search_started_from(
    at_work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = started("first").model / "model.safetensors"
    text = Path("own.yaml").read_text()
    Path("again.yaml").write_text(text.replace("name: plain_cnn", f"name: plain_cnn, weights: {file}"))
    started("again", "again.yaml")
    save_file({name: tensor + 1 for name, tensor in load_file(file).items()}, file)
    assert retrain.main(["results/again", "--device", "cpu"]) == 2
    assert "does not hold the weights any more" in capsys.readouterr().err
    assert not Path("results/again/model-trial-0").exists()


def test_a_retrain_of_what_was_interrupted_says_so(at_work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started("cut", heard=stop_after(2))
    assert retrain.main(["results/cut", "--epochs", "1", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith(
        "Note: this training is interrupted after 2 of 3 epochs. Go on with it:  "
        "python -m search.train --name cut --resume\n"
    )


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("{name: resnet18, args: {output_stride: 3}}", "'resnet18' with output_stride=3 at 16 px cannot be"),
        ("{name: small_resnet, weights: nowhere.pt}", "nowhere.pt"),
        ("{name: densenet121}", "'densenet121' cannot take pictures of 16 px"),
    ],
)
def test_a_network_that_cannot_be_trained_is_told_before_a_picture_is_decoded(
    at_work: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    network: str,
    said: str,
) -> None:
    def decoded(*_: object, **__: object) -> None:
        raise AssertionError("pictures were decoded")

    monkeypatch.setattr(alone, "ready_pictures", decoded)
    Path("odd.yaml").write_text(f"model: {network}\ngeometry: {{size_px: 16}}\n")
    assert train.main(["odd.yaml", "--data", "pictures", "--device", "cpu"]) == 2
    assert said in capsys.readouterr().err


def test_what_is_left_out_of_the_pictures_is_told(at_work: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    alone.start(
        settings("told"), alone.load_config("own.yaml", epochs=1), "own.yaml", console=console, runtime=CPU
    )
    assert "Left out: class 0/broken.jpg, which cannot be decoded." in console.file.getvalue()


def test_names_are_checked_before_torch_is_imported(at_work: Path) -> None:
    program = (
        "import sys; from search import train; "
        "print([train.main(arguments) for arguments in (['defauld'], ['own.yaml', '--data', 'nowhere'], "
        "['own.yaml', '--data', 'pictures', '--classes', 'class 0,clas 1'], ['own.yaml', '--epochs', '0'])], "
        "'torch' in sys.modules)"
    )
    found = run_program(program)
    assert found.stdout == "[2, 2, 2, 2] False\n", found.stderr


def test_the_best_weights_are_exported_with_their_own_score(at_work: Path) -> None:
    folder = started("best", "best.yaml")
    (record,) = folder.records().all()
    kept = min(record.history, key=lambda epoch: epoch.metrics["val_loss"])
    found = metrics_of(folder)
    assert found["trained_on"]["epochs"] == kept.epoch
    assert found["trained_on"]["train_loss"] == kept.metrics["train_loss"]
    assert found["search_score"] == {"val_accuracy": kept.metrics["val_accuracy"]}
    assert len(load_trial_config(folder.best_file).lr_scales or ()) == kept.epoch


def test_another_length_moves_the_freeze_epoch_and_what_a_file_does_not_say_has_a_default(
    at_work: Path,
) -> None:
    longer = alone.load_config("own.yaml", epochs=9, seed=4)
    assert (longer.epochs, longer.recipe.freeze.epoch, longer.seed) == (9, 3, 4)
    assert alone.load_config("default").epochs == alone.EPOCHS
    assert alone.load_config("default").split is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "a RECIPE is missing: a file, or one of binary_cnn, cifar_resnet18, default,"),
        (["defauld"], "must be the name of a built-in recipe, or a file. Did you mean default?"),
        (["own.yaml", "--epochs", "0"], "--epochs must be at least 1; received 0"),
        (["own.yaml", "--seed", "-1"], "--seed -1: must be at least 0"),
        (["own.yaml", "--name", "a/b"], "--name 'a/b': must be a folder's name"),
        (["own.yaml", "--data", "nowhere"], "nowhere: no such folder or file"),
        (["own.yaml", "--device", "toaster"], "--device toaster cannot be used here"),
        (["binary.yaml", "--data", "pictures"], "sigmoid has one output, for two classes, and there are 3"),
        (["--resume"], "--resume goes on as it was asked for: give the --name"),
        (["own.yaml", "--name", "x", "--resume"], "--resume goes on as it was asked for"),
        (["--name", "x", "--resume"], "results/x is not a search's folder"),
    ],
)
def test_what_cannot_be_trained_is_one_clear_error_and_leaves_no_folder(
    at_work: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert train.main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("error: ") == 1
    assert not Path("results").exists()


def test_a_search_and_a_training_are_not_gone_on_with_by_each_others_command(
    at_work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = started("mine")
    assert run.main(["--name", "mine", "--resume"]) == 2
    assert "Go on with it by python -m search.train --name mine --resume" in capsys.readouterr().err
    folder.write_json(
        folder.settings_file, {"settings": {**settings("mine").model_dump(mode="json"), "space": "demo"}}
    )
    assert train.main(["--name", "mine", "--resume"]) == 2
    assert "python -m search.run --name mine --resume" in capsys.readouterr().err
    assert train.main(["own.yaml", "--name", "mine"]) == 2
    assert "results/mine exists already" in capsys.readouterr().err


SLOW = """
epochs: 6
recipe:
  model: {name: odd_net, args: {delay_s: 0.2}}
  geometry: {size_px: 16}
  optim: {batch_size: 24}
"""


@pytest.mark.slow
def test_ctrl_c_leaves_a_folder_that_can_be_looked_at_and_gone_on_with(desk: Desk) -> None:
    (desk.folder / "slow.yaml").write_text(SLOW)
    arguments = ("slow.yaml", "--data", "pictures", "--import", "odd_networks", "--name", "slow")
    process = desk.start("search.train", *arguments)
    desk.wait(process, lambda: len(desk.records("slow").order) >= 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole process group
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Go on with it:  python -m search.train --name slow --resume" in output
    assert "Traceback" not in output
    folder = desk.folder / "results" / "slow"
    assert (folder / "leaderboard.html").exists()
    assert json.loads((folder / "manifest.json").read_text())["state"] == "interrupted"

    status, output = desk.run("search.train", "--name", "slow", "--resume")
    assert status == 0, output
    assert desk.records("slow").trials[0].outcome is Outcome.COMPLETE
    assert (folder / "model" / "metrics.json").exists()
