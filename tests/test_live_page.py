"""The page of a running search: rewritten as results come, at little cost, whatever happens to it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search import live_page
from search.engine.engine import Engine
from search.live_page import LEAST_S, MOST_S, SHARE, LivePage, follow
from search.report.facts import rematch_runs
from search.results import view, write_results
from search.storage.folder import SearchFolder, State
from search.trials.records import RecordFile
from search.trials.trials import Outcome
from tests.simulated import Clock, Workers, engine, search_folder, space

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    folder = search_folder(tmp_path / "results" / "mine", trials=6)
    RecordFile(folder.records_file).session()
    return folder


@pytest.fixture
def driven(folder: SearchFolder, tmp_path: Path) -> Engine:
    return engine(folder.records_file, space(tmp_path), trials=6)


def shown(folder: SearchFolder) -> tuple[str, int]:
    """The state and the number of trials that the page tells of."""
    page = folder.page_file.read_text()
    found = re.search(r'class="state \w+">([^<]+)<', page)
    assert found
    rows = json.loads(page.split('id="rows">')[1].split("</script>")[0])["columns"][0]["full"]
    return found[1], len(rows)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """State and trials of each page that is written; none really is, which would take seconds."""
    written: list[tuple[str, int]] = []

    def write(folder: SearchFolder, state: State, *, every_s: float) -> None:
        written.append((str(state), len(folder.records().all())))

    monkeypatch.setattr(live_page, "write_page", write)
    return written


class Sleeper:
    """Instead of sleeping, goes on with the search: a step with each pause, and then its end."""

    def __init__(self, steps: Iterator[object], folder: SearchFolder) -> None:
        self._steps, self._folder = steps, folder
        self.pauses: list[float] = []

    def __call__(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        if next(self._steps, "ended") == "ended":
            self._folder.write_json(self._folder.manifest_file, {"state": "finished"})


def test_the_page_follows_the_records_until_the_search_ends(
    folder: SearchFolder, driven: Engine, pages: list[tuple[str, int]]
) -> None:
    with folder.held():
        follow(folder, sleep=Sleeper(iter(Workers(2).run(driven)), folder))
    *running, last = pages
    assert {state for state, _ in running} == {"running"}
    trials = [trials for _, trials in running]
    assert trials == sorted(trials)
    assert set(trials) >= {1, 2, 3, 6}
    assert last == ("finished", 6)


def test_a_follower_whose_driver_has_died_leaves_the_page_to_that_of_the_next_driver(
    folder: SearchFolder, driven: Engine, pages: list[tuple[str, int]]
) -> None:
    with folder.held():
        follow(folder, driver=os.getppid() + 1, sleep=Sleeper(iter(Workers(2).run(driven)), folder))
    assert pages == []
    follow(folder, driver=os.getppid() + 1, sleep=lambda pause_s: None)
    assert [state for state, _ in pages] == ["cut off"]


def test_the_page_follows_the_rematch_too(
    folder: SearchFolder, driven: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in Workers(2).run(driven):
        pass
    told: list[str] = []

    def write(folder: SearchFolder, state: State, *, every_s: float) -> None:
        found = rematch_runs(view(folder, state))
        told.append(found.sentence.split(": ")[1].split(".")[0] if found else "")

    monkeypatch.setattr(live_page, "write_page", write)

    def rounds() -> Iterator[None]:
        """Two runs side by side, with an epoch in each pause."""
        file = RecordFile(folder.rematch_records_file)
        file.session()
        best = driven.records[0]
        for number in range(2):
            file.trial(replace(best.trial, number=number, origin="rematch", source=str(best.number)))
        yield
        for number in range(2):
            file.epoch(replace(best.history[0], trial=number))
            yield
            file.end(number, Outcome.COMPLETE)
            yield

    with folder.held():
        follow(folder, sleep=Sleeper(rounds(), folder))
    assert told == [
        "",
        "2 going",
        "2 going",
        "1 run ended, 1 going",
        "1 run ended, 1 going",
        *["2 runs ended"] * 2,
    ]


def test_when_the_driver_dies_the_page_says_so(folder: SearchFolder, driven: Engine) -> None:
    steps = Workers(2).run(driven)
    next(iter(steps))
    follow(folder, sleep=pytest.fail)  # nobody holds the folder
    assert shown(folder)[0] == "cut off"


def test_it_pauses_for_so_long_that_pages_take_their_share_of_the_time(
    folder: SearchFolder, driven: Engine, pages: list[tuple[str, int]]
) -> None:
    used = iter(range(0, 10_000, 3))  # each page takes three seconds of a processor
    sleep = Sleeper(iter(Workers(2).run(driven)), folder)
    with folder.held():
        follow(folder, sleep=sleep, cpu=lambda: float(next(used)))
    assert set(sleep.pauses) == {3 / SHARE}
    assert len(pages) > 6


def test_without_results_the_page_is_written_now_and_then(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, pauses = [], []
    monkeypatch.setattr(live_page, "write_page", lambda *_, **__: written.append(sum(pauses)))

    def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        if sum(pauses) >= 2.5 * MOST_S:
            write_results(folder, State.FINISHED)

    with folder.held():
        follow(folder, sleep=sleep, cpu=lambda: 0.0)
    assert set(pauses) == {LEAST_S}
    assert written == [0, MOST_S, 2 * MOST_S, sum(pauses)]


def test_a_page_that_cannot_be_written_is_told_of_and_tried_again(
    folder: SearchFolder, driven: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write, failures = live_page.write_page, iter([OSError("no space left on device")])

    def failing(*arguments: object, **options: object) -> None:
        for fault in failures:
            raise fault
        write(*arguments, **options)

    monkeypatch.setattr(live_page, "write_page", failing)

    def sleep(pause_s: float) -> None:
        if folder.page_file.exists():
            write_results(folder, State.FINISHED)

    with folder.held():
        follow(folder, sleep=sleep)
    assert "cannot be written: no space left on device" in capsys.readouterr().err
    assert shown(folder) == ("finished", 0)


class Process:
    """What `subprocess.Popen` would have started."""

    def __init__(self, command: list[str], **options: object) -> None:
        self.command, self.calls = command, list[str]()

    def terminate(self) -> None:
        self.calls.append("terminate")

    def wait(self) -> None:
        self.calls.append("wait")


def test_one_process_begins_a_moment_after_the_first_result_and_ends_with_the_search(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Process] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **o: started.append(Process(*a, **o)) or started[-1])
    clock = Clock()
    with LivePage(folder, clock=clock) as page:
        for second in range(40):
            clock.now_s = float(second)
            if second >= 5:
                page.tick()
            assert len(started) == (second >= 5 + LEAST_S)
    (process,) = started
    path, driver = str(folder.path.resolve()), str(os.getpid())
    assert process.command[1:] == ["-m", "search.leaderboard", path, "--follow", "--driver", driver]
    assert process.calls == ["terminate", "wait"]


def test_where_no_process_can_be_had_the_search_goes_on(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", full)
    clock = Clock()
    with LivePage(folder, clock=clock) as page:
        page.tick()
        clock.now_s = LEAST_S
        page.tick()
    assert "Cannot allocate memory" in capsys.readouterr().err


@pytest.mark.slow
def test_a_process_of_its_own_writes_the_page_and_leaves_no_half_file_when_it_is_ended(
    folder: SearchFolder, driven: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_page, "LEAST_S", 0.0)
    steps = iter(Workers(2).run(driven))
    with folder.held(), LivePage(folder) as page:
        while not folder.page_file.exists():
            page.tick()
            next(steps, None)
            time.sleep(0.1)
    assert page._process is not None
    assert page._process.returncode in (0, -signal.SIGTERM)
    assert shown(folder)[0] == "running"
    assert not [name for name in os.listdir(folder.path) if name.startswith(".leaderboard")]


@pytest.mark.slow
def test_the_command_follows_a_search_to_its_end(folder: SearchFolder, driven: Engine) -> None:
    write_results(folder, State.INTERRUPTED)
    folder.page_file.unlink()
    command = [sys.executable, "-m", "search.leaderboard", str(folder.path), "--follow"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], timeout=240)
    assert done.returncode == 0
    assert shown(folder)[0] == "interrupted"
