"""What a search does when things go wrong: real Ray, real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pytest

from search.rematch.conclusion import concluded
from search.results import winner, winner_of
from search.storage.folder import SearchFolder
from search.trials import records
from search.trials.trials import METRICS, Outcome
from tests.aftermath import assert_each_trial_is_recorded_once, assert_nothing_is_left, processes_of
from tests.commands import Desk
from tests.faulty import SLOW, faulty
from trainables.answers import answers_file, load_answers
from trainables.data import read_split

pytestmark = pytest.mark.slow


def assert_whole(desk: Desk, name: str, trials: int) -> None:
    """A finished search has each record once, and leaves nothing behind."""
    folder = desk.folder / "results" / name
    assert_each_trial_is_recorded_once(folder, trials)
    assert_nothing_is_left(folder)


def test_a_search_whose_driver_is_killed_goes_on_from_its_records(desk: Desk) -> None:
    arguments = ("--space", desk.space(SLOW), "--trials", "5", "--max-epochs", "4", "--name", "killed")
    process = desk.start("search.run", *desk.search_arguments(*arguments))
    desk.wait(process, lambda: len(desk.records("killed").order) >= 4)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = desk.records("killed")
    assert "cut off" in desk.run("search.list")[1]

    status, output = desk.run("search.run", "--name", "killed", "--resume")

    assert status == 0, output
    after = desk.records("killed")
    assert_whole(desk, "killed", 5)
    for number, record in before.trials.items():
        # What was recorded stays as it was: nothing is lost, nothing is trained again.
        assert after.trials[number].history[: len(record.history)] == record.history
        assert after.trials[number].trial == record.trial
    assert "finished" in desk.run("search.list")[1]


def test_ctrl_c_stops_cleanly_and_leaves_a_leaderboard_and_a_search_to_resume(desk: Desk) -> None:
    arguments = ("--space", desk.space(SLOW), "--trials", "4", "--max-epochs", "4", "--name", "stopped")
    process = desk.start("search.run", *desk.search_arguments(*arguments))
    desk.wait(process, lambda: len(desk.records("stopped").order) >= 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole process group
    output, _ = process.communicate(timeout=60)

    folder = desk.folder / "results" / "stopped"
    assert process.returncode == 130, output
    assert "--resume" in output
    assert "Traceback" not in output
    assert (folder / "leaderboard.html").exists()
    assert (folder / "best_config.yaml").exists()
    assert json.loads((folder / "manifest.json").read_text())["state"] == "interrupted"
    needed = {record.number for record in desk.records("stopped").all() if not record.outcome}
    kept = {int(file.stem.split("-")[1]) for file in (folder / "checkpoints").glob("trial-*.pt")}
    best = winner(desk.records("stopped").all(), METRICS["val_accuracy"])
    assert kept <= needed | ({best.number} if best else set())

    status, output = desk.run("search.run", "--name", "stopped", "--resume")
    assert status == 0, output
    assert_whole(desk, "stopped", 4)


PLANNING = """
import time
from pathlib import Path

Path("planning").touch()
time.sleep(WAIT_S)
raise ValueError("not today")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("wait_s", [0.0, 4.0], ids=["while Ray starts", "when Ray is there"])
def test_a_search_that_is_stopped_while_it_is_planned_leaves_no_process_and_no_folder(
    desk: Desk, number: signal.Signals, wait_s: float
) -> None:
    (desk.folder / "planning.py").write_text(PLANNING.replace("WAIT_S", "60"))
    process = desk.start("search.run", *desk.search_arguments("--name", "early", "--import", "planning"))
    desk.wait(process, lambda: (desk.folder / "planning").exists())
    time.sleep(wait_s)
    if number == signal.SIGTERM:
        process.terminate()
    else:
        os.killpg(process.pid, number)  # as a terminal does
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output.endswith("interrupted\n")  # of a SIGTERM Ray has something to say before
    assert "Traceback" not in output
    assert processes_of(process.pid) == []
    assert not (desk.folder / "results" / "early").exists()


def test_what_is_wrong_with_a_plan_is_told_while_ray_starts_and_leaves_no_process(desk: Desk) -> None:
    (desk.folder / "planning.py").write_text(PLANNING.replace("WAIT_S", "0"))
    process = desk.start("search.run", *desk.search_arguments("--name", "wrong", "--import", "planning"))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output.startswith("error: --import planning: importing it raised ValueError: not today.")
    assert output.count("\n") == 1
    assert processes_of(process.pid) == []


def test_a_worker_killed_in_the_middle_of_a_trial_is_retried_from_its_checkpoint(desk: Desk) -> None:
    flag = desk.folder / "died"
    space = desk.space(faulty("die_once", at_step=5, flag=flag).replace("[none, die_once]", "[die_once]"))
    status, output = desk.search("--space", space, "--trials", "2", "--max-epochs", "3", "--name", "lost")
    assert status == 0, output
    assert flag.exists()
    trials = desk.records("lost").all()
    assert sum(record.retries for record in trials) == 1
    assert all(record.outcome in (Outcome.COMPLETE, Outcome.STOPPED) for record in trials)
    assert_whole(desk, "lost", 2)


def test_a_trial_that_raises_is_recorded_with_its_traceback_and_the_search_goes_on(desk: Desk) -> None:
    space = desk.space(faulty("raise"))
    status, output = desk.search("--space", space, "--trials", "6", "--max-epochs", "2", "--name", "raises")
    assert status == 0, output
    assert_whole(desk, "raises", 6)
    records = desk.records("raises").all()
    failed = [record for record in records if record.trial.params["model.args.fault"] == "raise"]
    assert failed
    assert len(failed) < 6
    for record in failed:
        assert record.outcome is Outcome.FAILED
        assert record.error == "RuntimeError: this network raises on purpose"
        assert record.traceback is not None
        assert "_strike" in record.traceback
    others = [record for record in records if record not in failed]
    assert all(record.outcome in (Outcome.COMPLETE, Outcome.STOPPED) for record in others)


def test_a_trial_that_hangs_is_killed_and_the_next_one_is_unharmed(desk: Desk) -> None:
    space = desk.space(faulty("hang"))
    status, output = desk.search(
        *("--space", space, "--trials", "5", "--max-epochs", "2", "--name", "hangs"),
        *("--timeout-min", "0.2", "--concurrency", "1"),
    )
    assert status == 0, output
    assert_whole(desk, "hangs", 5)
    records = desk.records("hangs").all()
    hung = [record for record in records if record.trial.params["model.args.fault"] == "hang"]
    assert hung
    assert len(hung) < 5
    assert all(record.outcome is Outcome.TIMED_OUT for record in hung)
    others = [record for record in records if record not in hung]
    assert all(record.outcome in (Outcome.COMPLETE, Outcome.STOPPED) for record in others)
    assert all(record.retries == 0 for record in records)


def test_the_same_seed_with_one_trial_at_a_time_gives_the_same_trials_and_scores(desk: Desk) -> None:
    space = desk.space(SLOW.replace("0.15", "0.0"))
    for name in ("first", "second"):
        status, output = desk.search(
            *("--space", space, "--trials", "13", "--max-epochs", "3", "--concurrency", "1", "--seed", "3"),
            *("--name", name),
        )
        assert status == 0, output

    def story(name: str) -> list[tuple]:
        return [
            (r.trial, r.outcome, [epoch.metrics["val_loss"] for epoch in r.history])
            for r in desk.records(name).all()
        ]

    assert story("first") == story("second")


def test_a_worker_group_outlives_a_worker_and_gives_its_resources_back_when_stopped_early(desk: Desk) -> None:
    flag = desk.folder / "died"
    space = desk.space(faulty("die_once", at_step=5, flag=flag).replace("[none, die_once]", "[die_once]"))
    status, output = desk.search(
        *("--space", space, "--trials", "3", "--max-epochs", "4", "--name", "groups"),
        *("--workers-per-trial", "2", "--cpus-per-trial", "1", "--reduction", "2", "--audit", "0"),
    )
    assert status == 0, output
    assert flag.exists()
    assert_whole(desk, "groups", 3)
    assert sum(record.retries for record in desk.records("groups").all()) == 1
    outcomes = [record.outcome for record in desk.records("groups").all()]
    assert Outcome.STOPPED in outcomes[:-1]  # and others ran after it, on the same two CPUs


REMATCH = ("--rematch", "2", "--rematch-seeds", "2", "--trials", "3", "--max-epochs", "3")


def runs_of(folder: SearchFolder) -> records.Records:
    return records.read(folder.rematch_records_file)


def test_a_rematch_that_is_interrupted_then_killed_goes_on_and_repeats_nothing(desk: Desk) -> None:
    arguments = ("--space", desk.space(SLOW), *REMATCH, "--name", "mine")
    process = desk.start("search.run", *desk.search_arguments(*arguments))
    folder = SearchFolder(desk.folder / "results" / "mine")
    desk.wait(process, lambda: len(runs_of(folder).order) >= 3)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    best = winner(folder.records().all(), METRICS["val_accuracy"])
    manifest = json.loads(folder.manifest_file.read_text())
    assert (manifest["state"], manifest["best_trial"]) == ("interrupted", best and best.number)
    assert "Go on with it:  python -m search.run --name mine --resume" in output
    assert concluded(folder) is None

    process = desk.start("search.run", "--name", "mine", "--resume")
    desk.wait(process, lambda: len(runs_of(folder).order) >= 7)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert concluded(folder) is None

    status, output = desk.run("search.run", "--name", "mine", "--resume")
    assert status == 0, output
    assert len(folder.records().all()) == 3  # no further trial of the search itself
    found = runs_of(folder).all()
    assert [run.outcome for run in found] == [Outcome.COMPLETE] * 4
    assert [run.epochs_done for run in found] == [3] * 4
    told = [json.loads(line) for line in folder.rematch_records_file.read_text().splitlines()]
    assert sorted(event["trial"] for event in told if event["event"] == "end") == [0, 1, 2, 3]
    conclusion = concluded(folder)
    assert conclusion is not None
    best = winner_of(folder)
    assert best is not None
    assert best.number == conclusion.verdict.winner
    assert f"trial {best.number:>3} wins" in output
    part = read_split(folder.split_file).query("part == 'selection'")
    for run in found:
        said = load_answers(answers_file(folder.rematch, run.number))
        assert said.shape == (len(part), part["class"].nunique())
        np.testing.assert_allclose(np.exp(said.astype(np.float64)).sum(axis=1), 1, rtol=1e-4)
    assert not (folder.rematch / "checkpoints").exists()
