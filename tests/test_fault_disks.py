"""Searches whose disks are full, or whose pictures disappear: real mounts, real files, real Ray."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.trials.trials import Outcome
from tests.aftermath import assert_each_trial_is_recorded_once, assert_nothing_is_left, events
from tests.commands import Desk
from tests.faulty import SLOW, faulty

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A disk of so many bytes at this folder."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)])
    if mounted.returncode:
        pytest.skip("mounting a small disk takes the rights of root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Writes until there is no room for another byte."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0")


def test_where_the_disk_of_the_results_is_full_the_search_says_so_and_goes_on_when_there_is_room(
    desk: Desk,
) -> None:
    results = desk.folder / "results"
    with small_disk(results, "24m"):
        asked = ("--space", desk.space(SLOW), "--trials", "4", "--max-epochs", "4", "--name", "full")
        process = desk.start("search.run", *desk.search_arguments(*asked))
        desk.wait(process, lambda: len(desk.records("full").order) >= 2)
        fill(results / "ballast")
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 2, output
        assert "records.jsonl: a record cannot be written (No space left on device)." in output
        assert "--resume" in output
        assert "Traceback" not in output
        before = events(results / "full")  # whole lines all

        (results / "ballast").unlink()
        status, output = desk.run("search.run", "--name", "full", "--resume")
        assert status == 0, output
        assert events(results / "full")[: len(before)] == before
        assert_each_trial_is_recorded_once(results / "full", 4)
        assert_nothing_is_left(results / "full", session=process.pid)
        assert all(record.outcome and record.outcome.scored for record in desk.records("full").all())


def test_where_only_checkpoints_find_no_room_trials_come_to_their_ends_and_it_is_said(desk: Desk) -> None:
    results = desk.folder / "results"
    asked = ("--space", desk.space(SLOW), "--trials", "2", "--max-epochs", "3", "--name", "unsaved")
    process = desk.start("search.run", *desk.search_arguments(*asked))
    desk.wait(process, (results / "unsaved").exists)
    with small_disk(results / "unsaved" / "checkpoints", "4k"):
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        assert output.count("A checkpoint could not be saved (") == 1
        assert f"{results / 'unsaved' / 'checkpoints'} on " in output
        assert_each_trial_is_recorded_once(results / "unsaved", 2)
        assert_nothing_is_left(results / "unsaved", session=process.pid)


def test_a_full_disk_for_decoded_pictures_is_told_before_anything_starts(desk: Desk) -> None:
    with small_disk(desk.folder / "cache", "16k"):
        status, output = desk.search("--space", desk.space(SLOW), "--trials", "1", "--name", "uncached")
    assert status == 2
    cache = desk.folder / "cache"
    assert output.startswith(f"error: cannot write the cache of decoded pictures in {cache}: ")
    assert "No space left on device" in output
    assert not (desk.folder / "results" / "uncached").exists()


def test_where_the_pictures_disappear_no_trial_fails_and_the_search_goes_on_when_they_are_back(
    desk: Desk,
) -> None:
    flag, results = desk.folder / "died", desk.folder / "results"
    space = faulty("die_once", at_step=6, flag=flag).replace("[none, die_once]", "[die_once]")
    asked = ("--trials", "2", "--max-epochs", "4", "--concurrency", "1", "--name", "gone")
    process = desk.start("search.run", *desk.search_arguments("--space", desk.space(space), *asked))
    desk.wait(process, lambda: len(desk.records("gone").order) >= 1)
    os.rename(desk.folder / "pictures", desk.folder / "elsewhere")
    shutil.rmtree(desk.folder / "cache")  # what a process has opened it has; the next one decodes anew
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert "trial after trial finds nothing to work with: " in output
    assert "--resume" in output
    assert "Traceback" not in output
    assert [record.outcome for record in desk.records("gone").all()] == [None]
    assert {event["cause"] for event in events(results / "gone") if event["event"] == "retry"} == {
        "process",
        "place",
    }

    os.rename(desk.folder / "elsewhere", desk.folder / "pictures")
    status, output = desk.run("search.run", "--name", "gone", "--resume")
    assert status == 0, output
    assert_each_trial_is_recorded_once(results / "gone", 2)
    assert_nothing_is_left(results / "gone", session=process.pid)
    found = desk.records("gone").all()
    assert all(record.outcome in (Outcome.COMPLETE, Outcome.STOPPED) for record in found)
