"""The commands as a user runs them: from a folder of pictures to a model and its predictions."""

from __future__ import annotations

import argparse
import csv
import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search import evaluate, export, leaderboard, predict, preview, retrain, run, track, train
from search import list as listing
from search.console.command import guarded, hint_when_interrupted
from search.final import choose
from search.final import retrain as retrain_model
from search.results import winner_of
from search.storage.folder import FolderError, SearchFolder
from search.trials import records
from search.trials.trials import METRICS, Outcome
from spaces.recipe import Optim
from tests.commands import ROOT, TIMEOUT_S, Desk, run_program
from tests.pictures import truncated_jpeg
from tests.toy_pictures import CPU, toy_pictures

CLASSES = ["class 0", "class 1", "class 2"]
pytestmark = pytest.mark.usefixtures("checked_here")
SPACE = """
description: one small network of ours
base:
  geometry: {size_px: 16}
  optim: {batch_size: 16}
  model: {name: plain_cnn, args: {blocks: 2, dense: 16}}
parameters:
  optim.lr: {log: [1.0e-3, 3.0e-2]}
  model.args.width: {choice: [8, 12]}
  schedule.name: {choice: [cosine, plateau]}
"""
ARGUMENTS = ("--data", "pictures", "--space", "space.yaml", "--ray", "local", "--max-epochs", "3")

Main = Callable[[list[str]], int]


def toy_folder(root: Path, count: int) -> Path:
    """Pictures that a small network soon tells apart, a folder a class, and some that are none."""
    toys = toy_pictures(count, seed=1)
    for number, (pixels, label) in enumerate(zip(toys.pixels, toys.labels, strict=True)):
        path = root / toys.classes[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (root / CLASSES[0] / "broken.jpg").write_bytes(truncated_jpeg())
    (root / CLASSES[0] / "notes.txt").write_text("not a picture")
    return root


def run_apart(desk: Desk, module: str, *arguments: str) -> tuple[int, str, str]:
    """Runs a command: exit status, and what it wrote to standard output and to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=desk.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    return done.returncode, done.stdout, done.stderr


# Without a search.


@pytest.mark.parametrize("module", [run, train, preview, retrain, predict, evaluate, export, track])
def test_every_option_has_a_help_text(module: Any) -> None:
    parser: argparse.ArgumentParser = module.parser()
    assert parser.description
    for action in parser._actions:
        assert action.help, action.option_strings


@pytest.mark.parametrize(
    "main",
    [
        module.main
        for module in (run, train, preview, retrain, predict, evaluate, export, leaderboard, listing, track)
    ],
)
def test_help_fits_a_terminal_and_names_the_command(
    main: Main, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: python -m search.")
    assert max(map(len, text.splitlines())) <= 110


BEFORE_AND_WITHIN = """
import signal, sys
sys.argv[0] = "-m"  # as `python -m` has it while it imports the command's package
sys.orig_argv[1:] = ["-m", "search.run", "--data", "pictures"]
import search
print(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)
from search.console.command import guarded
print(guarded(lambda: signal.raise_signal(signal.SIGINT)))
"""


def test_ctrl_c_prints_no_traceback_while_a_command_is_being_imported_nor_later() -> None:
    found = run_program(BEFORE_AND_WITHIN)
    assert (found.stdout, found.stderr) == ("True\n130\n", "interrupted\n")


def test_a_program_that_uses_this_package_keeps_its_own_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    says = "import signal, search; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    (tmp_path / "other" / "__init__.py").write_text(says)
    (tmp_path / "other" / "module.py").touch()
    found = subprocess.run(
        [sys.executable, "-m", "other.module", "search.run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (found.stdout, found.stderr) == ("True\n", "")


def test_a_full_disk_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "results/mine/leaderboard.html")

    assert guarded(command) == 2
    assert capsys.readouterr().err == (
        "error: results/mine/leaderboard.html cannot be written: No space left on device. Make room, and try "
        "again.\n"
    )


def test_ctrl_c_says_how_to_go_on_where_there_is_something_to_go_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SearchFolder(tmp_path)

    def command() -> int:
        with hint_when_interrupted(folder, "go on with it: do so"):
            raise KeyboardInterrupt

    assert guarded(command) == 130
    assert capsys.readouterr().err == "interrupted\n"
    folder.records_file.touch()
    assert guarded(command) == 130
    assert capsys.readouterr().err == "interrupted; go on with it: do so\n"


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with pictures and a space."""
    toy_folder(tmp_path / "pictures", 90)
    (tmp_path / "space.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLASSIFIER_SEARCH_CACHE", "cache")
    return tmp_path


def test_a_dry_run_prints_the_plan_and_starts_nothing(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([*ARGUMENTS, "--trials", "7", "--name", "dry", "--dry-run"]) == 0
    out, error = capsys.readouterr()
    assert error == ""
    for said in ("dry", "one folder a class", "(3 classes)", "plain_cnn", "1 file that cannot be decoded"):
        assert said in out
    assert "up to 3 epochs each, suggested by forecast, ranked by val_accuracy, seed 0" in " ".join(
        out.split()
    )
    assert "7 trials" in out
    assert "It starts Ray on this machine: 1 node, " in out
    assert re.search(r"^\d+ trials? at a time, each with 1 worker of \d+ CPUs?", out, re.MULTILINE)
    assert out.endswith("The plan is sound; nothing was started (--dry-run).\n")
    assert not (toys / "results").exists()


def test_the_plan_shows_names_with_brackets_as_they_are(
    toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (toys / "pictures").rename(toys / "[bold]pictures")
    assert run.main(["--data", "[bold]pictures", *ARGUMENTS[2:], "--dry-run"]) == 0
    assert "[bold]pictures" in capsys.readouterr().out


FAULTY_SPACE = SPACE.replace("optim.lr:", "optim.lrr:").replace("[8, 12]", "[]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "nowhere"], ["nowhere: no such folder or file", "Accepted are:"]),
        (["--data", "empty"], ["no labelled pictures in", "it is empty"]),
        (["--classes", "class 0,clas 1"], ["no such class", "near: class 1"]),
        (["--min-per-class", "1000"], ["--min-per-class"]),
        (["--space", "faulty.yaml"], ["2 faults", "optim.lrr", "optim.lr or", "model.args.width"]),
        (["--space", "skratch"], ["must be the name of a built-in space", "scratch"]),
        (["--space", "nowhere.yaml"], ["nowhere.yaml", "cannot be read"]),
        (["--import", "no_such_module"], ["no_such_module"]),
    ],
)
def test_what_cannot_be_searched_is_one_clear_error_and_leaves_no_folder(
    toys: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: list[str]
) -> None:
    (toys / "empty").mkdir()
    (toys / "faulty.yaml").write_text(FAULTY_SPACE)
    assert run.main([*ARGUMENTS, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("error: ") == 1
    assert "Traceback" not in error
    for words in said:
        assert words in error
    assert not (toys / "results").exists()


# One search for all that follows.


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A working folder with a finished search of six trials, and its winner retrained."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    toy_folder(desk.folder / "pictures", 150)
    desk.space(SPACE)
    status, output = desk.run("search.run", *ARGUMENTS, "--trials", "6", "--name", "toy")
    assert status == 0, output
    (desk.folder / "said.txt").write_text(output)
    status, output = desk.run("search.retrain", "results/toy")
    assert status == 0, output
    (desk.folder / "said-retrain.txt").write_text(output)
    return desk


@pytest.fixture
def search(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> SearchFolder:
    """The search's folder, with its desk as the working folder."""
    monkeypatch.chdir(desk.folder)
    monkeypatch.setenv("CLASSIFIER_SEARCH_CACHE", "cache")
    return SearchFolder(Path("results/toy"))


def metrics_of(model: Path) -> dict[str, Any]:
    return json.loads((model / "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_search_leaves_the_files_that_the_readme_of_the_results_describes(search: SearchFolder) -> None:
    paths = [path for path in search.path.iterdir() if not path.name.startswith((".", "model"))]
    names = {f"{path.name}/" if path.is_dir() else path.name for path in paths}
    assert names >= {
        *("settings.json", "environment.json", "data.json", "space.yaml", "split.csv", "records.jsonl"),
        *(
            "leaderboard.html",
            "leaderboard.csv",
            "leaderboard.parquet",
            "best_config.yaml",
            "study.db",
            "manifest.json",
        ),
    }
    described = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(names) if f"`{name}`" not in described] == []
    assert len(list(search.checkpoints.iterdir())) == 1  # of the best trial


@pytest.mark.slow
def test_a_search_says_what_it_does_in_a_few_lines(desk: Desk, search: SearchFolder) -> None:
    said = (desk.folder / "said.txt").read_text()
    assert "Ray: started Ray on this machine" in said
    assert len(re.findall(r"^trial +\d+  ", said, re.MULTILINE)) == 6
    best = winner_of(search)
    assert best is not None
    score = best.score(METRICS["val_accuracy"])
    assert f"Winner: trial {best.number}, validation accuracy {score:.4f} in the search" in said
    assert "Rematch: the best 3 trials (" in said
    assert f"trial {best.number:>3} wins: accuracy " in said
    assert "Train it for real:  python -m search.retrain results/toy" in said
    assert "Leaderboard:  results/toy/leaderboard.html" in said
    assert "\x1b" not in said
    # Six trials, nine runs; what Ray has to say is elsewhere. A slow search says more often how far it is.
    progress = re.compile(r"\d+ of \d+ trials done|rematch: \d+ of \d+ runs done")
    assert sum(not progress.match(line) for line in said.splitlines()) < 49


@pytest.mark.slow
def test_pictures_are_decoded_once_for_all_trials(desk: Desk) -> None:
    caches = [path for path in (desk.folder / "cache").iterdir() if (path / "pixels.bin").exists()]
    assert len(caches) == 1


@pytest.mark.slow
def test_the_leaderboard_built_again_is_the_same(search: SearchFolder) -> None:
    pages = [search.path / name for name in ("leaderboard.html", "leaderboard.csv")]
    before = [page.read_bytes() for page in pages]
    for page in pages:
        page.unlink()
    assert leaderboard.main(["results/toy"]) == 0
    assert [page.read_bytes() for page in pages] == before


@pytest.mark.slow
def test_a_retrained_winner_has_its_scores_beside_it(desk: Desk, search: SearchFolder) -> None:
    found = metrics_of(search.path / "model")
    best = winner_of(search)
    assert best is not None
    test = found["test"]
    assert set(test) == {
        *("accuracy", "macro_f1", "log_loss", "n", "confusion_matrix", "classes"),
        *("top_k", "per_class", "ece", "reliability", "called_unknown"),
        *("accuracy_95", "macro_f1_95"),
    }
    split = list(csv.DictReader(io.StringIO(search.split_file.read_text())))
    confusion = np.array(test["confusion_matrix"])
    assert test["n"] == confusion.sum() == sum(row["part"] == "test" for row in split)
    assert test["accuracy"] == pytest.approx(confusion.trace() / confusion.sum())
    assert test["classes"] == CLASSES
    assert test["accuracy"] > 0.8  # the pictures are easy: at chance level nothing above would mean much
    assert found["trained_on"]["parts"] == ["train", "validation", "selection"]
    assert found["trained_on"]["pictures"] == sum(row["part"] != "test" for row in split)
    assert found["trained_on"]["epochs"] == 3
    assert (found["search"], found["trial"], found["seed"]) == ("toy", best.number, best.trial.seed)
    assert found["recipe"] == best.trial.recipe
    assert found["test_readings"] == 1
    said = (desk.folder / "said-retrain.txt").read_text()
    assert f"accuracy {test['accuracy']:.4f}" in said
    assert "(read 1 time so far)" in said
    assert "been read" in search.page_file.read_text(encoding="utf-8")
    assert list(search.path.glob(".model*")) == []


@pytest.mark.slow
def test_other_retrains_count_as_further_readings_of_the_test_part(search: SearchFolder) -> None:
    assert retrain.main(["results/toy", "--trial", "0", "--device", "cpu", "--out", "kept/deep/zero"]) == 0
    assert metrics_of(Path("kept/deep/zero"))["trial"] == 0
    assert metrics_of(Path("kept/deep/zero"))["test_readings"] == 2
    assert retrain.main(["results/toy", "--config", "default", "--epochs", "1", "--device", "cpu"]) == 0
    found = metrics_of(search.path / "model-default")
    assert (found["trial"], found["search_score"], found["test_readings"]) == (None, None, 3)
    assert found["trained_on"]["epochs"] == 1
    assert metrics_of(search.path / "model")["test_readings"] == 1


@pytest.mark.slow
def test_a_retrain_never_overwrites_a_model(search: SearchFolder, capsys: pytest.CaptureFixture[str]) -> None:
    before = (search.path / "model" / "metrics.json").read_bytes()
    readings = search.readings_file.read_bytes()
    assert retrain.main(["results/toy", "--device", "cpu"]) == 2
    assert "results/toy/model exists already" in capsys.readouterr().err
    assert (search.path / "model" / "metrics.json").read_bytes() == before
    assert search.readings_file.read_bytes() == readings


@pytest.mark.slow
def test_the_same_retrain_gives_the_same_model(search: SearchFolder) -> None:
    assert retrain.main(["results/toy", "--device", "cpu", "--out", "again"]) == 0
    first, second = metrics_of(search.path / "model"), metrics_of(Path("again"))
    assert second["test"]["confusion_matrix"] == first["test"]["confusion_matrix"]
    assert second["test"]["log_loss"] == pytest.approx(first["test"]["log_loss"], rel=1e-4)


@pytest.mark.slow
def test_a_retrain_that_was_cut_off_goes_on_from_its_last_epoch(
    search: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice, heard = choose(search, trial=1), []  # type: ignore[var-annotated]

    def hear(metrics: dict[str, float]) -> None:
        heard.append(int(metrics["epoch"]))

    def interrupt(metrics: dict[str, float]) -> None:
        if metrics["epoch"] == 3:
            raise KeyboardInterrupt
        hear(metrics)

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    with pytest.raises(KeyboardInterrupt):
        retrain_model(search, choice, out=Path("cut"), runtime=CPU, heard=interrupt)
    with monkeypatch.context() as patched:
        patched.setattr("search.model.training.export_checked", fail)
        with pytest.raises(OSError, match="no space left"):
            retrain_model(search, choice, out=Path("cut"), runtime=CPU, heard=hear)
    assert not Path("cut").exists()
    retrain_model(search, choice, out=Path("cut"), runtime=CPU, heard=hear)
    assert heard == [1, 2, 3]

    retrain_model(search, choice, out=Path("whole"), runtime=CPU)
    assert metrics_of(Path("cut"))["test"] == metrics_of(Path("whole"))["test"]
    assert list(Path.cwd().glob(".cut*")) == []


@pytest.mark.slow
def test_a_retrain_that_diverges_leaves_nothing(search: SearchFolder) -> None:
    choice = choose(search, trial=1)
    wild = choice.config.recipe.model_copy(update={"optim": Optim(lr=1e30, batch_size=16)})
    choice = replace(choice, config=choice.config.model_copy(update={"recipe": wild, "lr_scales": None}))
    before = search.readings_file.read_bytes()
    with pytest.raises(FolderError, match="the training diverged"):
        retrain_model(search, choice, out=Path("wild"), runtime=CPU)
    assert list(Path.cwd().glob("*wild*")) == list(Path.cwd().glob(".wild*")) == []
    assert search.readings_file.read_bytes() == before


@pytest.fixture
def looked_at(search: SearchFolder, tmp_path: Path) -> Path:
    """Three pictures, one of each class, and one that cannot be read."""
    folder = tmp_path / "[red]pictures[-]"
    folder.mkdir()
    for name in CLASSES:
        shutil.copy(min(Path("pictures", name).glob("*.png")), folder / f"{name}.png")
    (folder / "broken.jpg").write_bytes(truncated_jpeg())
    return folder


@pytest.mark.slow
def test_predictions_as_json_have_the_documented_form(desk: Desk, looked_at: Path) -> None:
    status, out, error = run_apart(desk, "search.predict", "results/toy/model", str(looked_at), "--json")
    assert status == 1  # one of them is broken
    answers = json.loads(out)
    assert [answer["path"] for answer in answers] == [str(looked_at / f"{name}.png") for name in CLASSES]
    for name, answer in zip(CLASSES, answers, strict=True):
        assert set(answer) == {"path", "class", "probability", "unknown", "top"}
        assert answer["class"] == name
        assert {"class": answer["class"], "probability": answer["probability"]} == answer["top"][0]
        assert sorted(best["class"] for best in answer["top"]) == CLASSES
        found = [best["probability"] for best in answer["top"]]
        assert found == sorted(found, reverse=True)
        assert sum(found) == pytest.approx(1, abs=1e-4)
    assert error.startswith(f"{looked_at / 'broken.jpg'}: ")
    assert error.count("\n") == 1


@pytest.mark.slow
def test_predictions_as_csv_and_as_a_table_say_the_same(
    search: SearchFolder, looked_at: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(looked_at / f"{CLASSES[2]}.png")
    assert predict.main(["results/toy/model", str(looked_at), "--top", "2", "--csv", "--device", "cpu"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0]) == ["path", "class", "probability", "class_2", "probability_2", "unknown"]
    assert (rows[2]["path"], rows[2]["class"]) == (picture, CLASSES[2])

    assert predict.main(["results/toy/model", str(looked_at), "--top", "2", "--device", "cpu"]) == 1
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["picture", "class", "probability", "next", "best"]
    assert len(lines) == 3
    probabilities = [f"{float(rows[2][name]):.3f}" for name in ("probability", "probability_2")]
    cells = [picture, CLASSES[2], probabilities[0], f"{rows[2]['class_2']} {probabilities[1]}"]
    assert lines[2].split() == " ".join(cells).split()


@pytest.mark.slow
def test_what_cannot_be_predicted_is_refused(
    search: SearchFolder, looked_at: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main(["results/toy/model", str(looked_at / "broken.jpg"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == []
    for model, picture, said in [
        ("results/toy/model", "nowhere.png", "nowhere.png: no such file or folder"),
        ("results/toy/model", "results/toy/rematch", "no pictures in this folder"),
        ("results/toy", "pictures", "is not an exported classifier"),
    ]:
        assert predict.main([model, picture]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_evaluating_the_test_part_again_gives_the_numbers_of_the_retrain(
    desk: Desk, search: SearchFolder, tmp_path: Path
) -> None:
    for row in csv.DictReader(io.StringIO(search.split_file.read_text())):
        if row["part"] == "test":
            there = tmp_path / "held out" / row["file"]
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("pictures", row["file"]), there)
    (tmp_path / "held out" / CLASSES[1] / "broken.jpg").write_bytes(truncated_jpeg())
    status, out, error = run_apart(
        desk, "search.evaluate", "results/toy/model", "--data", str(tmp_path / "held out"), "--json"
    )
    assert (status, error) == (0, "")
    found, expected = json.loads(out), metrics_of(search.path / "model")["test"]
    assert set(found) == {"model", "data", "part", "only", "learnt_from", "test", "skipped"}
    assert set(found["test"]) == set(expected)
    for name in ("confusion_matrix", "classes", "n"):
        assert found["test"][name] == expected[name]
    for name in ("accuracy", "macro_f1", "log_loss"):
        assert found["test"][name] == pytest.approx(expected[name], rel=1e-4)
    assert [file for file, _ in found["skipped"]] == [f"{CLASSES[1]}/broken.jpg"]


@pytest.mark.slow
def test_evaluating_classes_that_the_model_does_not_know_is_refused(
    search: SearchFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_folder(tmp_path / "pictures", 30)
    (tmp_path / "pictures" / CLASSES[0]).rename(tmp_path / "pictures" / "zebra")
    assert evaluate.main(["results/toy/model", "--data", str(tmp_path / "pictures")]) == 2
    error = capsys.readouterr().err
    assert "does not know: zebra. It knows: class 0, class 1, class 2" in error
    assert "To leave them out: --classes 'class 1,class 2'" in error


@pytest.mark.slow
def test_a_model_of_some_classes_is_evaluated_on_those_that_are_asked_for(
    search: SearchFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_folder(tmp_path / "pictures", 30)
    (tmp_path / "pictures" / CLASSES[0]).rename(tmp_path / "pictures" / "zebra")
    count = len(list(tmp_path.glob("pictures/class */*.png")))
    arguments = ["results/toy/model", "--data", str(tmp_path / "pictures"), "--classes", "class 1,class 2"]
    assert evaluate.main(arguments) == 0
    assert capsys.readouterr().out.startswith(f"{count} pictures (all) of class 1, class 2 only, 0 skipped")
    assert evaluate.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["n"] == count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--resume", "--trials", "5"],
            "and results/toy has used 6 trials already. Raise it",
        ),
        (["--resume", "--time", "1s"], "--time allows 1.0 s, and results/toy has used"),
        (["--resume", "--seed", "9"], "seed was 0 and is 9"),
        (["--resume", "--space", "other.yaml"], "the search space differs"),
        (["--resume", "--data", "others"], "the pictures differ"),
        (["--resume", "--trials", "5", "--dry-run"], "--trials allows 5 trials, and results/toy"),
        ([], "exists already. Go on with that search by adding --resume"),
    ],
)
def test_a_search_that_would_not_be_the_same_is_not_gone_on_with(
    search: SearchFolder, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    Path("other.yaml").write_text(SPACE.replace("3.0e-2", "2.0e-2"))
    if not Path("others").exists():
        shutil.copytree("pictures", "others")
        next(Path("others", CLASSES[0]).glob("*.png")).unlink()
    before = {path: path.read_bytes() for path in search.path.iterdir() if path.is_file()}
    assert run.main(["--name", "toy", *arguments]) == 2
    out, error = capsys.readouterr()
    assert "ranked by" not in out  # no plan of what will not be
    assert said in error
    assert error.count("error: ") == 1
    after = {path: path.read_bytes() for path in search.path.iterdir() if path.is_file()}
    assert after == before


@pytest.mark.slow
def test_a_finished_search_takes_more_trials(desk: Desk, search: SearchFolder, tmp_path: Path) -> None:
    # In a copy: the search itself is looked at by others.
    shutil.copytree(search.path, "results/more")
    before = search.records()
    status, output = desk.run("search.run", "--name", "more", "--resume", "--trials", "8")
    assert status == 0, output
    after = records.read(desk.folder / "results" / "more" / records.FILE)
    assert sorted(after.trials) == list(range(8))
    for number, entry in before.trials.items():
        assert after.trials[number] == entry
    assert all(entry.outcome in (Outcome.COMPLETE, Outcome.STOPPED) for entry in after.all())
    assert SearchFolder(Path("results/more")).read_json(Path("results/more/manifest.json"))["trials"] == 8
    status, output = desk.run("search.list")
    assert re.search(r"^more +finished +8/8 ", output, re.MULTILINE)
    assert re.search(r"^toy +finished +6/6 ", output, re.MULTILINE)
