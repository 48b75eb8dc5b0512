"""What a search is asked for, and who may use its folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from search import list as listing
from search import run
from search.console.command import NOBODY_READS
from search.run import settings_from
from search.settings.settings import Settings
from search.storage.folder import FolderError, SearchFolder, State, searches, write_text
from search.trials.records import RecordFile
from search.trials.trials import Outcome
from tests.commands import ROOT
from tests.simulated import epoch, search_folder, trial

HOLDER = """
import sys
from pathlib import Path
from search.storage.folder import SearchFolder
with SearchFolder(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty results folder, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    return Path("results")


def files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def hold(folder: SearchFolder) -> subprocess.Popen[str]:
    """Another process that drives the search."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder.path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


# What was asked for.


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--trials", "0", "must be at least 1"),
        ("--epochs-total", "0", "must be at least 1"),
        ("--time", "4", "such as 90s, 30m, 1h30m or 2d"),
        ("--time", "0s", "such as 90s, 30m, 1h30m or 2d"),
        ("--gpu-hours", "0", "must be over 0"),
        ("--cost", "-1", "must be over 0"),
        ("--price", "1", "--cost AMOUNT and --price PER-NODE-HOUR must be given together"),
        ("--patience", "0", "must be at least 1"),
        ("--max-epochs", "-3", "must be at least 1"),
        ("--min-per-class", "0", "must be at least 1"),
        ("--reduction", "1", "must be at least 2"),
        ("--seed", "-1", "must be at least 0"),
        ("--concurrency", "0", "must be at least 1"),
        ("--workers-per-trial", "0", "must be at least 1"),
        ("--cpus-per-trial", "0", "must be over 0"),
        ("--cpus-per-trial", "nan", "must be finite"),
        ("--gpus-per-trial", "-1", "must be at least 0"),
        ("--timeout-min", "0", "must be over 0"),
        ("--timeout-min", "inf", "must be finite"),
        ("--name", "../elsewhere", "must be a folder's name: letters, digits, _, - and ."),
        ("--name", "", "must be a folder's name"),
        ("--name", ".hidden", "must be a folder's name"),
        ("--name", "two words", "must be a folder's name"),
        ("--name", "[red]", "must be a folder's name"),
        ("--classes", " , ", "must name at least two classes"),
        ("--classes", "anna", "anna: must name at least two classes, with commas between them: A,B"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_option_and_the_rule(
    results: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, rule: str
) -> None:
    assert run.main([option, value]) == 2
    out, error = capsys.readouterr()
    assert error.startswith(f"error: {option} ")
    assert rule in error
    assert error.count("\n") == 1
    assert out == ""
    assert files(results) == {}


def test_all_values_out_of_range_are_named_at_once(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--trials", "0", "--seed", "-1"]) == 2
    error = capsys.readouterr().err
    assert "--trials 0:" in error
    assert "--seed -1:" in error


def test_who_stops_reading_what_is_printed_sees_no_traceback(results: Path) -> None:
    program = (
        "import sys; from search.console.command import guarded; sys.exit(guarded(lambda: print('x') or 0))"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == NOBODY_READS


def test_a_cost_that_is_out_of_range_is_not_said_to_be_missing(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--cost", "-1", "--price", "2"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --cost -1.0:")
    assert "together" not in error


def test_a_metric_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValidationError, match="must be one of val_accuracy, val_macro_f1, val_loss"):
        Settings(name="a", space="demo", cache_dir="c", metric="beauty")


def test_without_options_the_demo_is_searched_under_a_name_of_its_own(results: Path) -> None:
    settings = settings_from({}, resume=False)
    assert (settings.data, settings.space) == (None, "demo")
    assert settings.name.startswith("demo-20")
    assert (settings.allowance.trials, settings.max_epochs, settings.metric) == (16, 12, "val_accuracy")


def test_pictures_are_searched_with_the_scratch_space(results: Path) -> None:
    assert settings_from({"data": "some/pictures"}, resume=False).space == "scratch"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("my pictures", "my-pictures-"),
        ("a/[b]; rm -rf.csv", "b-rm--rf.csv-"),
        ("/", "pictures-"),
        ("é", "é-"),
        ("simpsons/train", "simpsons-"),
        ("flowers/Images/", "flowers-"),
        ("/train", "pictures-"),
    ],
)
def test_a_search_is_named_after_its_pictures_in_letters_that_a_shell_takes(
    results: Path, data: str, name: str
) -> None:
    found = settings_from({"data": data}, resume=False).name
    assert found.startswith(f"{name}20")


def test_the_cache_does_not_depend_on_the_working_folder(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trials run in folders of their own.
    monkeypatch.setenv("CLASSIFIER_SEARCH_CACHE", "cache")
    assert settings_from({}, resume=False).cache_dir == str(Path("cache").resolve())
    assert settings_from({"cache_dir": "other"}, resume=False).cache_dir == str(Path("other").resolve())


def test_classes_are_split_at_commas() -> None:
    settings = settings_from({"classes": " bart , lisa,,maggie"}, resume=False)
    assert settings.classes == ("bart", "lisa", "maggie")


def test_a_resumed_search_keeps_what_is_not_given_anew(results: Path) -> None:
    search_folder(results / "mine", trials=4, seed=7, data="pictures", classes=("a", "b"), timeout_min=2.5)
    settings = settings_from({"name": "mine", "trials": 9}, resume=True)
    assert (settings.trials, settings.seed, settings.data, settings.timeout_min) == (9, 7, "pictures", 2.5)
    assert settings.classes == ("a", "b")


# The name.


def test_a_name_that_is_taken_is_refused_and_nothing_changes(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search_folder(results / "mine")
    before = files(results)
    assert run.main(["--name", "mine", "--trials", "3"]) == 2
    error = capsys.readouterr().err
    assert "results/mine exists already. Go on with that search by adding --resume" in error
    assert files(results) == before


def test_a_folder_can_be_made_once(tmp_path: Path) -> None:
    SearchFolder.create(tmp_path / "deep" / "mine")
    with pytest.raises(FolderError, match="nothing was changed"):
        SearchFolder.create(tmp_path / "deep" / "mine")


def test_a_folder_in_which_a_driver_died_before_there_was_anything_to_resume_is_taken_over(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine"

    def die(folder: SearchFolder) -> None:
        folder.split_file.write_text("half")
        shutil.copytree(path, tmp_path / "died")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), SearchFolder.created(path) as folder:
        die(folder)
    assert not path.exists()
    with SearchFolder.created(tmp_path / "died") as folder:
        assert folder.path == tmp_path / "died"
        with pytest.raises(FolderError, match="another process is running this search"):
            SearchFolder.created(tmp_path / "died").__enter__()
        folder.write_json(folder.settings_file, {})
        folder.records_file.touch()
    with pytest.raises(FolderError, match="nothing was changed"):
        SearchFolder.create(tmp_path / "died")


def test_what_a_killed_driver_has_half_written_is_swept(tmp_path: Path) -> None:
    folder = SearchFolder.create(tmp_path / "mine")
    (folder.path / ".manifest.json.123.partial").write_text("{")
    (folder.path / ".model.123.partial").mkdir()  # of a retrain, which may run
    folder.sweep()
    assert [path.name for path in folder.path.iterdir()] == [".model.123.partial"]


def test_a_folder_that_cannot_be_made_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(FolderError, match="mine cannot be made: Not a directory"):
        SearchFolder.create(tmp_path / "results" / "mine")


def test_resume_needs_a_name(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--resume"]) == 2
    assert "--resume needs the --name of a search; python -m search.list" in capsys.readouterr().err


def test_an_unknown_search_is_refused_with_those_that_exist(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search_folder(results / "one")
    search_folder(results / "two")
    (results / "not-a-search").mkdir()
    assert run.main(["--resume", "--name", "three"]) == 2
    error = capsys.readouterr().err
    assert "results/three is not a search's folder. Searches in results: one, two." in error
    assert not (results / "three").exists()


def test_where_there_are_no_searches_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"Searches in .*: none"):
        SearchFolder.open(tmp_path / "results" / "mine")


# Who drives it, and its state.


def test_a_running_search_is_locked_for_other_processes(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "mine")
    process = hold(folder)
    try:
        assert folder.state is State.RUNNING
        with pytest.raises(FolderError, match="another process is running this search"), folder.held():
            pass
    finally:
        process.communicate("")
    assert folder.state is State.CUT_OFF
    with folder.held():
        assert SearchFolder(folder.path).state is State.RUNNING


def test_a_killed_driver_leaves_a_search_that_is_cut_off_and_free(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "mine")
    process = hold(folder)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert folder.state is State.CUT_OFF
    with folder.held():
        pass


@pytest.mark.parametrize("state", [State.FINISHED, State.INTERRUPTED])
def test_a_manifest_says_how_a_search_ended(tmp_path: Path, state: State) -> None:
    folder = search_folder(tmp_path / "mine")
    folder.write_json(folder.manifest_file, {"state": str(state)})
    assert folder.state is state


def test_asking_for_the_state_does_not_get_in_the_way_of_a_driver(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "mine")
    with SearchFolder(folder.path).held():
        for _ in range(20):
            assert folder.state is State.RUNNING
    with folder.held():
        pass


# Its files.


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "manifest.json"
    write_text(path, "before")

    def fail(self: Path, target: Path) -> Path:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_text(path, "after")
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}", '{"settings": 3}', '{"settings": {"name": "a"}}'])
def test_damaged_settings_are_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    folder = search_folder(tmp_path / "mine")
    folder.settings_file.write_text(content)
    with pytest.raises(FolderError, match=r"settings\.json"):
        folder.settings()


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"state": "splendid"}'])
def test_a_damaged_manifest_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    folder = search_folder(tmp_path / "mine")
    folder.manifest_file.write_text(content)
    with pytest.raises(FolderError, match=r"manifest\.json"):
        _ = folder.state


# search.list.


def recorded(folder: SearchFolder) -> None:
    """Two trials, one of them ended."""
    file = RecordFile(folder.records_file)
    file.session()
    for number in range(2):
        file.trial(trial(number))
        file.epoch(epoch(number, 1, 0.25 + number / 2))
    file.end(1, Outcome.COMPLETE)
    file.close()


def test_the_list_shows_every_search_with_its_state(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(search_folder(results / "a-cut-off-search-with-quite-a-long-name", data="x" * 80, trials=5))
    for name, trials in (("done", 2), ("early", 5)):
        finished = search_folder(results / name, trials=trials)
        recorded(finished)
        finished.write_json(finished.manifest_file, {"state": "finished"})
    assert listing.main([]) == 0
    header, first, second, third = capsys.readouterr().out.splitlines()
    assert header.split() == [
        "search",
        "state",
        "trials",
        "epochs",
        "best",
        "pictures",
        "space",
        "or",
        "recipe",
    ]
    # Nothing is cut where the output is piped.
    assert first.split() == [
        *("a-cut-off-search-with-quite-a-long-name", "cut", "off", "1/5", "2"),
        *("0.7500", "(val_accuracy)", "x" * 80, "demo"),
    ]
    assert second.split()[:4] == ["done", "finished", "1/2", "2"]
    assert " ".join(third.split()).startswith("early finished 1/5 (no further recipe) 2 0.7500")


def test_the_list_goes_on_past_damaged_folders(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("bad-manifest", "bad-records", "bad-settings", "no-settings-in-it", "whole"):
        recorded(search_folder(results / name))
    (results / "bad-manifest" / "manifest.json").write_text("{}")
    (results / "bad-records" / "records.jsonl").write_text("hello\n")
    (results / "bad-settings" / "settings.json").write_text("[]")
    (results / "no-settings-in-it" / "settings.json").write_text("{}")
    (results / "README.md").write_text("not a search")
    (results / "empty").mkdir()
    assert listing.main([]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [
        *("bad-manifest", "bad-records", "bad-settings", "no-settings-in-it", "whole")
    ]
    assert all("damaged: " in line for line in lines[:-1])
    assert "records.jsonl, line 1" in lines[1]
    assert "cut off" in lines[-1]


def test_the_list_of_nothing_says_how_to_start(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listing.main([]) == 0
    assert capsys.readouterr().out == "No searches in results. Start one: python -m search.run\n"
    assert searches(Path("elsewhere")) == []
    assert listing.main(["elsewhere"]) == 2
    assert capsys.readouterr().err == "error: there is no folder elsewhere.\n"


def test_settings_are_written_as_plain_json(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "mine", classes=("ä", "b"))
    text = folder.settings_file.read_text(encoding="utf-8")
    assert "ä" in text
    assert Settings.model_validate(json.loads(text)["settings"]) == folder.settings()
