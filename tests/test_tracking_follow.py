"""A tracker is kept level with the records, whatever becomes of the tracker, the driver or the follower."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from search import run, track
from search.storage.folder import SearchFolder, State
from search.tracking import beside, trackers
from search.tracking import follow as following
from search.tracking.follow import follow
from search.tracking.runs import Status
from search.tracking.trackers import TrackingError, check_installed
from search.trials.trials import Epoch
from tests.simulated import search_folder
from tests.synthetic import EPOCHS, synthetic_search
from tests.tracked import Listing, end, events, tell, told_folder
from trainables.secrets import without_secrets

EVENTS = events(synthetic_search())


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> Listing:
    """The tracker that `follow` gets, and no time between its turns."""
    made = Listing()
    monkeypatch.setattr(following, "open_tracker", lambda name, folder, identity: made)
    monkeypatch.setattr(following, "EVERY_S", 0.01)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return told_folder(tmp_path / "mine", EVENTS, max_epochs=EPOCHS)


def in_background(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_level(listing: Listing, epochs: dict[str, int]) -> bool:
    """Whether exactly these trials were told, with so many epochs."""
    return {key: len(told.points) for key, told in listing.latest().items() if key != "search"} == epochs


def test_of_an_ended_search_all_is_told(folder: SearchFolder, listing: Listing) -> None:
    end(folder)
    said: list[str] = []
    assert follow(folder, "mlflow", said.append)
    runs = listing.latest()
    records = folder.records().all()
    assert set(runs) == {"search", *(f"trial-{entry.number}" for entry in records)}
    assert all(len(runs[f"trial-{entry.number}"].points) == entry.epochs_done for entry in records)
    assert runs["search"].status is Status.FINISHED
    assert set(runs["search"].files) == {
        *("settings.json", "best_config.yaml", "leaderboard.html", "leaderboard.csv"),
    }
    assert runs["search"].files["leaderboard.html"] == "<p>größer</p>"
    assert listing.closed
    assert said == ["MLflow: look here"]


def test_the_searchs_run_is_told_before_any_trial_and_ended_after_all(
    folder: SearchFolder, listing: Listing
) -> None:
    end(folder)
    follow(folder, "mlflow", print)
    assert (listing.told[0].key, listing.told[0].status) == ("search", Status.RUNNING)
    assert [entry.key for entry in listing.told if entry.status is not Status.RUNNING][-1] == "search"


def test_a_running_search_is_followed_event_by_event_to_its_end(tmp_path: Path, listing: Listing) -> None:
    folder = told_folder(tmp_path / "mine", EVENTS[:1])
    with folder.held():
        thread = in_background(lambda: follow(folder, "mlflow", print))
        for start, stop in ((1, 10), (10, 30), (30, 60)):
            tell(folder, EVENTS[start:stop])
            epochs = {f"trial-{entry.number}": entry.epochs_done for entry in folder.records().all()}
            wait_for(partial(is_level, listing, epochs))
        assert listing.latest()["search"].status is Status.RUNNING
        end(folder, State.INTERRUPTED)
        thread.join(timeout=30)
    assert not thread.is_alive()
    runs = listing.latest()
    unended = {f"trial-{entry.number}" for entry in folder.records().all() if entry.outcome is None}
    assert unended
    assert {key for key, entry in runs.items() if entry.status is Status.KILLED} == {"search", *unended}


def test_only_trials_with_news_are_told_again(tmp_path: Path, listing: Listing) -> None:
    folder = told_folder(tmp_path / "mine", EVENTS[:40])
    with folder.held():
        thread = in_background(lambda: follow(folder, "mlflow", print))
        wait_for(lambda: len(listing.latest()) == len(folder.records().trials) + 1)
        time.sleep(0.1)
        before = len(listing.told)
        tell(folder, EVENTS[40:41])
        wait_for(lambda: len(listing.told) == before + 2)
        end(folder)
        thread.join(timeout=30)
    _, about = EVENTS[40]
    number = about.trial if isinstance(about, Epoch) else about.number
    assert {told.key for told in listing.told[before : before + 2]} == {"search", f"trial-{number}"}


def test_when_the_driver_was_killed_the_follower_ends_too(folder: SearchFolder, listing: Listing) -> None:
    """Nobody holds the folder, and there is no manifest."""
    assert follow(folder, "mlflow", print)
    assert listing.latest()["search"].status is Status.KILLED


def test_a_tracker_that_fails_is_said_once_and_gets_all_when_it_is_back(
    tmp_path: Path, listing: Listing
) -> None:
    folder = told_folder(tmp_path / "mine", EVENTS[:30])
    listing.failing = {"search", *(f"trial-{number}" for number in range(16))}
    said: list[str] = []
    with folder.held():
        thread = in_background(lambda: follow(folder, "mlflow", said.append, retry_s=0.01))
        wait_for(lambda: len(said) == 2)
        tell(folder, EVENTS[30:])
        time.sleep(0.2)
        listing.failing = set()
        wait_for(lambda: len(listing.latest()) == 17)
        end(folder)
        thread.join(timeout=30)
    assert said[1:] == [
        "MLflow cannot be written to (ConnectionError: no answer from https://***@example.org/). "
        "The search goes on, and this is tried again."
    ]
    assert all(listing.latest()[f"trial-{entry.number}"].final for entry in folder.records().all())


def test_one_run_that_fails_holds_up_no_other(folder: SearchFolder, listing: Listing) -> None:
    listing.failing = {"trial-3"}
    with folder.held():
        thread = in_background(lambda: follow(folder, "mlflow", print, retry_s=0.01))
        wait_for(lambda: len(listing.latest()) == 16)
        end(folder)
        thread.join(timeout=30)
    assert "trial-3" not in listing.latest()


def test_what_failed_to_the_end_is_told_by_the_answer(folder: SearchFolder, listing: Listing) -> None:
    end(folder)
    listing.failing = {"trial-3"}
    said: list[str] = []
    assert not follow(folder, "mlflow", said.append)
    assert said[-1].endswith("(ConnectionError: no answer from https://***@example.org/).")
    listing.failing = set()
    assert follow(folder, "mlflow", said.append)


def test_a_library_that_cannot_be_imported_does_not_end_the_following(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*asked: object) -> None:
        raise ImportError("protobuf is too old")

    monkeypatch.setattr(following, "open_tracker", broken)
    end(folder)
    said: list[str] = []
    assert not follow(folder, "wandb", said.append)
    assert said == ["Weights & Biases cannot be written to (ImportError: protobuf is too old)."]


def test_two_never_follow_into_the_same_tracker_at_once(tmp_path: Path, listing: Listing) -> None:
    folder = told_folder(tmp_path / "mine", EVENTS[:30])
    said: list[str] = []
    with folder.held():
        first = in_background(lambda: follow(folder, "mlflow", print))
        wait_for(lambda: bool(listing.told))
        second = in_background(lambda: follow(folder, "mlflow", said.append))
        wait_for(lambda: bool(said))
        assert "another process sends this search there" in said[0]
        end(folder)
        first.join(timeout=30)
        second.join(timeout=30)
    assert not first.is_alive()
    assert not second.is_alive()


def test_a_search_without_records_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="has recorded nothing yet"):
        follow(search_folder(tmp_path / "new"), "mlflow", print)


def test_secrets_stay_out_of_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "sehr-geheim")
    said = "https://me:pw@host/x: 401 for 0123456789abcdef with sehr-geheim; see http://host/a@b"
    assert without_secrets(said) == "https://***@host/x: 401 for *** with ***; see http://host/a@b"


# Beside a search, in a process of its own.


def beside_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, patience_s: float) -> str:
    """What people see of a search that is tracked by this program, a shell script."""
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setattr(beside.sys, "executable", str(script))
    monkeypatch.setattr(beside, "PATIENCE_S", patience_s)
    console = Console(file=io.StringIO(), width=200)
    with beside.tracked(SearchFolder(Path("results/mine")), ("mlflow",), console):
        pass
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


LATER = "What could not be sent can be sent later: python -m search.track results/mine --mlflow\n"


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("echo MLflow: [there]", "MLflow: [there]\n"),
        ("echo it fails; exit 1", f"it fails\n{LATER}"),
        ('test "$*" = "-m search.track results/mine --mlflow"', ""),
    ],
)
def test_a_search_says_what_its_trackers_say(
    program: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert beside_search(tmp_path, monkeypatch, program, patience_s=60) == shown


def test_a_search_does_not_wait_for_a_tracker_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert beside_search(tmp_path, monkeypatch, "exec sleep 300", patience_s=0.1) == LATER


def test_a_search_without_trackers_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside.subprocess, "Popen", lambda *asked, **more: pytest.fail("a process"))
    with beside.tracked(SearchFolder(Path("results/mine")), (), Console()):
        pass


# What is asked for.


@pytest.mark.parametrize(
    ("name", "title"), [("tensorboard", "TensorBoard"), ("mlflow", "MLflow"), ("wandb", "Weights & Biases")]
)
def test_a_missing_library_is_told_before_anything_is_read_with_what_installs_it(
    name: str,
    title: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda library: None)
    assert run.main(["--data", "no-such-folder", f"--{name}"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said == (
        f"error: --{name}: {title} is not installed here. Install it, or leave the option out: "
        f"pip install -c constraints.txt -e '.[{name}]'"
    )


def test_a_folder_with_the_name_of_a_library_is_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tracked_by_folder").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    kind = trackers.Kind("Folder", "there", "tracked_by_folder", "none")
    monkeypatch.setitem(trackers.KINDS, "folder", kind)
    with pytest.raises(TrackingError, match="Folder is not installed here"):
        check_installed(["folder"])


def test_all_three_libraries_are_installed_for_the_tests() -> None:
    check_installed(trackers.KINDS)


def test_a_resume_keeps_the_trackers_unless_it_is_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    search_folder(Path("results") / "mine", tensorboard=True, wandb=True) if Path(
        "results"
    ).mkdir() is None else None
    assert run.settings_from({"name": "mine"}, resume=True).trackers == ("tensorboard", "wandb")
    changed = vars(run.parser().parse_args(["--name", "mine", "--mlflow", "--no-wandb"]))
    del changed["resume"], changed["dry_run"]
    assert run.settings_from(changed, resume=True).trackers == ("tensorboard", "mlflow")


def test_trackers_do_not_matter_for_a_resume(tmp_path: Path) -> None:
    without = search_folder(tmp_path / "mine").settings()
    with_them = without.model_copy(update={"tensorboard": True, "mlflow": True, "wandb": True})
    assert with_them.what_matters() == without.what_matters()


def test_tracking_by_command_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert track.main(["results/none", "--mlflow"]) == 2
    assert "is not a search's folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        track.main(["results/none"])
    assert "one of the arguments --tensorboard --mlflow --wandb is required" in capsys.readouterr().err
