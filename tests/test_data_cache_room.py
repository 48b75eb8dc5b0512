"""The bound of all caches: what is deleted, what never is, and what a search hears that does not fit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from rich.console import Console

from search.planning.pictures import decode_for, ready_pictures
from search.settings.settings import Settings
from tests.commands import ROOT
from tests.pictures import noise, save
from trainables.data import Cache, DataError, build_or_open, build_or_open_each, prepare, read_listing
from trainables.data import cache as cache_module
from trainables.data.cache_room import locked

PICTURES, SIDE_PX = 12, 60
CACHE_GB = PICTURES * SIDE_PX**2 * 3 / 1e9
"""Of one of the caches here: pictures are never enlarged, so all sizes from 60 px on take the same."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(PICTURES):
        save(tmp_path / "data" / "ab"[number % 2] / f"{number}.png", noise(SIDE_PX, SIDE_PX, number))
    return tmp_path / "data"


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def build(data: Path, cache_dir: Path) -> Callable[..., Cache]:
    """Builds or opens a cache within so many times the room of one."""

    def built(size_px: int, *, caches: float = 3.5) -> Cache:
        return build_or_open(
            read_listing(data), size_px=size_px, cache_dir=cache_dir, cache_gb=caches * CACHE_GB
        )

    return built


def sizes_there(cache_dir: Path) -> set[int]:
    """The working sizes of the caches in a folder that holds nothing else."""
    sides = {int(re.fullmatch(r"[0-9a-f]{24}-(\d+)px", path.name)[1]) for path in cache_dir.iterdir()}
    return {size for size in range(100) if cache_module.short_side_px(size) in sides}


def used_at(cache_dir: Path, size_px: int, second: int) -> None:
    (folder,) = cache_dir.glob(f"*-{cache_module.short_side_px(size_px)}px")
    os.utime(folder / "manifest.json", (second, second))


def test_the_least_recently_used_caches_are_deleted_first(
    build: Callable[..., Cache], cache_dir: Path
) -> None:
    for second, size_px in enumerate((62, 60, 61)):
        build(size_px)
        used_at(cache_dir, size_px, second)
    build(62)  # the oldest is used once more
    build(63)
    assert sizes_there(cache_dir) == {61, 62, 63}


def test_no_more_is_deleted_than_has_to_be(build: Callable[..., Cache], cache_dir: Path) -> None:
    for second, size_px in enumerate((60, 61, 62)):
        build(size_px)
        used_at(cache_dir, size_px, second)
    build(63, caches=4.5)
    assert sizes_there(cache_dir) == {60, 61, 62, 63}
    build(64, caches=2.5)
    assert sizes_there(cache_dir) == {63, 64}


def test_without_a_bound_nothing_is_deleted(data: Path, cache_dir: Path) -> None:
    for size_px in (60, 61, 62):
        build_or_open(read_listing(data), size_px=size_px, cache_dir=cache_dir)
    assert sizes_there(cache_dir) == {60, 61, 62}


def test_a_cache_in_use_is_not_deleted_and_its_pictures_stay(
    build: Callable[..., Cache], cache_dir: Path
) -> None:
    first = build(60)
    pixels = first.pixels[100:]
    before = np.array(pixels)
    del first  # a view of the pixels is enough
    for size_px in (61, 62, 63, 64):
        build(size_px)
    assert 60 in sizes_there(cache_dir)
    np.testing.assert_array_equal(pixels, before)
    del pixels
    build(65, caches=1.5)
    assert sizes_there(cache_dir) == {65}


HOLDER = """
import sys, time
from pathlib import Path
from trainables.data import build_or_open, read_listing
cache = build_or_open(read_listing(Path(sys.argv[1])), size_px=int(sys.argv[3]), cache_dir=Path(sys.argv[2]))
print("open", flush=True)
time.sleep(600)
"""
KILLED = """
import sys, time
from pathlib import Path
from trainables.data import build_or_open, read_listing
def hang(done, total):
    if done == 5:
        print("open", flush=True)
        time.sleep(600)
build_or_open(
    read_listing(Path(sys.argv[1])), size_px=int(sys.argv[3]), cache_dir=Path(sys.argv[2]), progress=hang
)
"""


@pytest.fixture
def other_process(data: Path, cache_dir: Path) -> Iterator[Callable[[str, int], subprocess.Popen[str]]]:
    """Starts a program on a size, up to where it prints something."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, size_px: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(data), str(cache_dir), str(size_px)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_what_another_process_has_open_is_kept_until_it_is_killed(
    build: Callable[..., Cache], cache_dir: Path, other_process: Callable[[str, int], subprocess.Popen[str]]
) -> None:
    holder = other_process(HOLDER, 60)
    with pytest.raises(DataError, match="does not fit"):
        build(61, caches=1.5)
    assert sizes_there(cache_dir) == {60}
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    build(61, caches=1.5)
    assert sizes_there(cache_dir) == {61}


def test_a_cache_that_another_process_is_building_is_kept_until_it_is_killed(
    build: Callable[..., Cache], cache_dir: Path, other_process: Callable[[str, int], subprocess.Popen[str]]
) -> None:
    builder = other_process(KILLED, 60)
    build(61)
    assert {path.suffix for path in cache_dir.glob("*-69px*")} == {".unfinished", ".lock"}
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    build(62)
    assert sizes_there(cache_dir) == {61, 62}


def test_leftovers_of_killed_processes_are_cleared_and_held_ones_are_not(
    build: Callable[..., Cache], cache_dir: Path
) -> None:
    left, held = (cache_dir / f"{digit * 24}-69px" for digit in "ab")
    for folder in (left, held):
        folder.with_suffix(".unfinished").mkdir(parents=True)
        (folder.with_suffix(".unfinished") / "pixels.bin").write_bytes(bytes(1000))
        folder.with_suffix(".lock").touch()
    with locked(held):
        build(60)
        assert {path.stem for path in cache_dir.iterdir() if path.suffix} == {held.name}


def test_other_files_in_the_folder_are_neither_counted_nor_touched(
    build: Callable[..., Cache], cache_dir: Path
) -> None:
    others = [save(cache_dir / name, noise(300, 300, 0)) for name in ("weights/a.png", "demo/b.png", "c.png")]
    (cache_dir / "demo.lock").touch()
    build(60, caches=1.5)
    build(61, caches=1.5)
    assert len(list(cache_dir.glob("*px"))) == 1
    assert all(path.exists() for path in [*others, cache_dir / "demo.lock"])


def test_pictures_that_never_fit_are_told_before_anything_is_decoded_whole_or_deleted(
    data: Path, build: Callable[..., Cache], cache_dir: Path
) -> None:
    build(60)
    heard: list[int] = []
    with pytest.raises(DataError) as refused:
        build_or_open_each(
            read_listing(data),
            sizes_px=[61, 62],
            cache_dir=cache_dir,
            cache_gb=1.9 * CACHE_GB,
            progress=lambda done, total: heard.append(done),
        )
    assert "12 pictures decoded for 61, 62 px take about 0.000262 GB" in str(refused.value)
    assert "it may take 0.000246 GB" in str(refused.value)
    assert "Raise --cache-gb, or use fewer or smaller sizes" in str(refused.value)
    assert heard == []
    assert sizes_there(cache_dir) == {60}


def test_sizes_of_one_search_do_not_push_each_other_out(
    data: Path, build: Callable[..., Cache], cache_dir: Path
) -> None:
    build(60, caches=2.5)
    with pytest.raises(DataError, match=r"for 61, 62 px take about .* by the same pictures in other sizes"):
        build_or_open_each(
            read_listing(data), sizes_px=[60, 61, 62], cache_dir=cache_dir, cache_gb=2.5 * CACHE_GB
        )
    assert sizes_there(cache_dir) == {60}


def test_pictures_that_turn_out_larger_than_expected_leave_nothing_half_written(
    build: Callable[..., Cache], cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_expected_bytes", lambda *_: 0)
    with pytest.raises(DataError, match=r"12 pictures decoded for 60 px take about 0.000131 GB"):
        build(60, caches=0.5)
    assert list(cache_dir.iterdir()) == []


def test_a_cache_whose_class_fell_away_gives_way_to_the_one_without_it(data: Path, cache_dir: Path) -> None:
    for number in range(10):
        save(data / "c" / f"{number}.png", noise(SIDE_PX, SIDE_PX, 100 + number))
    for number in range(9):
        (data / "c" / f"{number}.png").write_bytes(b"")
    prepared = prepare(data, size_px=60, min_per_class=6, cache_dir=cache_dir, cache_gb=1.3 * CACHE_GB)
    assert prepared.classes == ["a", "b"]
    assert len(list(cache_dir.iterdir())) == 1


def test_a_search_keeps_within_the_bound_that_it_was_given(data: Path, cache_dir: Path) -> None:
    def settings(caches: float) -> Settings:
        given = {"cache_dir": str(cache_dir), "cache_gb": caches * CACHE_GB, "min_per_class": 2}
        return Settings(name="mine", space="scratch", data=str(data), **given)

    console = Console(quiet=True)
    with pytest.raises(DataError, match="Raise --cache-gb"):
        ready_pictures(settings(0.5), size_px=60, console=console)
    source, prepared = ready_pictures(settings(2.5), size_px=60, console=console)
    given = {"cache_dir": cache_dir, "cache_gb": 2.5 * CACHE_GB, "console": console}
    with pytest.raises(DataError, match="12 pictures decoded for 61, 62 px"):
        decode_for(source, prepared, [60, 61, 62], **given)
    decode_for(source, prepared, [60, 61], **given)
    assert sizes_there(cache_dir) == {60, 61}


def test_a_bound_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="cache_gb"):
        Settings(name="mine", space="scratch", cache_dir="cache", cache_gb=0)
