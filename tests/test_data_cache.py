"""build_or_open: decoded once, shared by all, checked, made again when damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands import run_program
from tests.pictures import BROKEN, class_folders, noise, save
from trainables.cache_dir import default_cache_dir
from trainables.data import (
    Cache,
    DataError,
    build_or_open,
    build_or_open_each,
    cache_folder,
    decode,
    decode_each,
    read_listing,
)
from trainables.data import cache as cache_module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = class_folders(tmp_path / "data", {"a": 5, "b": 4})
    save(root / "a/wide.png", noise(40, 90, 1))
    save(root / "b/large.png", noise(100, 50, 2))
    return root


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded."""
    names: list[str] = []

    def counting(source: Path, *, short_sides_px: Sequence[int]) -> list[np.ndarray]:
        names.append(source.name)
        return decode_each(source, short_sides_px=short_sides_px)

    monkeypatch.setattr(cache_module, "decode_each", counting)
    return names


def open_cache(data: Path, cache_dir: Path, size_px: int = 16) -> Cache:
    return build_or_open(read_listing(data), size_px=size_px, cache_dir=cache_dir)


def folder_of(cache_dir: Path) -> Path:
    (folder,) = [path for path in cache_dir.iterdir() if path.is_dir()]
    return folder


def test_it_holds_what_decode_gives(data: Path, cache_dir: Path) -> None:
    cache = open_cache(data, cache_dir)
    assert cache.files["file"].tolist() == read_listing(data).files["file"].tolist()
    for row, file in enumerate(cache.files["file"]):
        np.testing.assert_array_equal(cache.picture(row), decode(data / file, short_side_px=19))
    assert isinstance(cache.pixels, np.memmap)
    assert not cache.pixels.flags.writeable


def test_the_shorter_side_is_115_percent_of_the_working_size(data: Path, cache_dir: Path) -> None:
    shapes = open_cache(data, cache_dir, 30).files.set_index("file")[["height", "width"]]
    assert shapes.loc["b/large.png"].tolist() == [70, 35]
    assert shapes.loc["a/wide.png"].tolist() == [35, 79]
    assert shapes.loc["a/0.png"].tolist() == [12, 16]


def test_the_second_opening_decodes_nothing(data: Path, cache_dir: Path, decoded: list[str]) -> None:
    first = open_cache(data, cache_dir)
    assert len(decoded) == 11
    second = open_cache(data, cache_dir)
    assert len(decoded) == 11
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.files.equals(second.files)
    assert first.skipped == second.skipped


def test_broken_files_are_skipped_and_listed(data: Path, cache_dir: Path) -> None:
    for name, content in BROKEN.items():
        (data / "a" / name).write_bytes(content)
    for _ in range(2):  # when made, and when opened
        cache = open_cache(data, cache_dir)
        assert len(cache.files) == 11
        assert {file for file, _ in cache.skipped} == {f"a/{name}" for name in BROKEN}
        assert ("a/empty.jpg", "empty file") in cache.skipped


def test_a_listing_of_broken_files_only_gives_an_empty_cache(tmp_path: Path, cache_dir: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.png").write_bytes(b"")
    for _ in range(2):
        cache = open_cache(tmp_path / "data", cache_dir)
        assert len(cache.files) == len(cache.pixels) == 0
        assert len(cache.skipped) == 2


def test_equal_pixels_have_equal_hashes_whatever_the_file(data: Path, cache_dir: Path) -> None:
    Image.open(data / "a/0.png").save(data / "b/copy.bmp")
    save(data / "b/turned.png", np.asarray(Image.open(data / "a/0.png")).reshape(16, 12, 3))
    hashes = open_cache(data, cache_dir).files.set_index("file")["hash"]
    assert hashes["a/0.png"] == hashes["b/copy.bmp"]
    assert hashes.drop("b/copy.bmp").is_unique


@pytest.mark.parametrize("change", ["content", "new file", "gone", "size_px"])
def test_a_change_of_files_or_size_makes_another_cache(
    data: Path, cache_dir: Path, decoded: list[str], change: str
) -> None:
    open_cache(data, cache_dir)
    decoded.clear()
    if change == "content":
        save(data / "a/0.png", noise(12, 16, 99))
        os.utime(data / "a/0.png", ns=(0, 0))
    elif change == "new file":
        save(data / "a/new.png", noise(12, 16, 99))
    elif change == "gone":
        (data / "a/0.png").unlink()
    cache = open_cache(data, cache_dir, 17 if change == "size_px" else 16)
    assert len(decoded) == len(cache.files) > 0


def test_the_place_of_the_folder_does_not_matter(data: Path, cache_dir: Path, decoded: list[str]) -> None:
    open_cache(data, cache_dir)
    open_cache(data.rename(data.parent / "moved"), cache_dir)
    assert len(decoded) == 11


def flip_pixel(folder: Path) -> None:
    content = bytearray((folder / "pixels.bin").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "pixels.bin").write_bytes(content)


def truncate_pixels(folder: Path) -> None:
    os.truncate(folder / "pixels.bin", 1000)


def flip_index(folder: Path) -> None:
    content = bytearray((folder / "index.parquet").read_bytes())
    content[len(content) // 3] ^= 1
    (folder / "index.parquet").write_bytes(content)


def tear_manifest(folder: Path) -> None:
    os.truncate(folder / "manifest.json", 20)


def other_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("[]")


def shorten_sums(folder: Path) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(content | {"blocks_crc32": []}))


def old_format(folder: Path) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(content | {"format": -1}))


def lose_pixels(folder: Path) -> None:
    (folder / "pixels.bin").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        flip_pixel,
        truncate_pixels,
        flip_index,
        tear_manifest,
        other_manifest,
        shorten_sums,
        old_format,
        lose_pixels,
    ],
)
def test_a_damaged_cache_is_made_again(
    data: Path, cache_dir: Path, decoded: list[str], damage: Callable[[Path], None]
) -> None:
    before = np.array(open_cache(data, cache_dir).pixels)
    decoded.clear()
    damage(folder_of(cache_dir))
    np.testing.assert_array_equal(open_cache(data, cache_dir).pixels, before)
    assert len(decoded) == 11
    open_cache(data, cache_dir)
    assert len(decoded) == 11


@pytest.mark.parametrize("at", [0, -1])
def test_the_first_and_last_of_many_blocks_are_always_checked(
    data: Path, cache_dir: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(cache_folder, "_BLOCK_BYTES", 100)
    assert open_cache(data, cache_dir).pixels.size > 32 * 100
    pixels = folder_of(cache_dir) / "pixels.bin"
    content = bytearray(pixels.read_bytes())
    content[at] ^= 255
    pixels.write_bytes(content)
    open_cache(data, cache_dir)
    assert len(decoded) == 22


def test_what_a_killed_process_left_is_cleared_away(data: Path, cache_dir: Path) -> None:
    open_cache(data, cache_dir)
    folder = folder_of(cache_dir)
    (folder / "manifest.json").unlink()
    unfinished = folder.rename(folder.with_suffix(".unfinished"))
    assert len(open_cache(data, cache_dir).files) == 11
    assert not unfinished.exists()


def test_progress_counts_every_file(data: Path, cache_dir: Path) -> None:
    (data / "a/broken.png").write_bytes(b"")
    heard: list[tuple[int, int]] = []
    build_or_open(
        read_listing(data),
        size_px=16,
        cache_dir=cache_dir,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(n, 12) for n in range(1, 13)]


def test_each_file_is_decoded_once_for_all_sizes_that_are_missing(
    data: Path, cache_dir: Path, decoded: list[str]
) -> None:
    listing = read_listing(data)
    open_cache(data, cache_dir, 20)
    decoded.clear()
    heard: list[tuple[int, int]] = []
    sizes_px = [30, 20, 16]
    caches = build_or_open_each(
        listing,
        sizes_px=sizes_px,
        cache_dir=cache_dir,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert sorted(decoded) == sorted(Path(file).name for file in listing.files["file"])
    assert heard == [(n, 11) for n in range(1, 12)]
    for size_px, cache in zip(sizes_px, caches, strict=True):
        alone = open_cache(data, cache_dir.with_name(f"alone-{size_px}"), size_px)
        np.testing.assert_array_equal(cache.pixels, alone.pixels)
        assert cache.files.equals(alone.files)


def test_a_failure_while_building_leaves_nothing_behind(data: Path, cache_dir: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_or_open(read_listing(data), size_px=16, cache_dir=cache_dir, progress=interrupt)
    assert list(cache_dir.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_a_clear_error(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"(?s)cannot write the cache.*CLASSIFIER_SEARCH_CACHE"):
        open_cache(data, tmp_path / "file")


def test_rows_finds_files_and_says_why_one_is_missing(data: Path, cache_dir: Path) -> None:
    (data / "a/0.png").write_bytes(b"")
    cache = open_cache(data, cache_dir)
    assert cache.files["file"][cache.rows(["b/0.png", "a/1.png"])].tolist() == ["b/0.png", "a/1.png"]
    with pytest.raises(DataError, match=r"2 of 3.*a/0.png \(empty file\), x.png \(no longer in the folder\)"):
        cache.rows(["a/0.png", "a/1.png", "x.png"])


def test_the_default_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLASSIFIER_SEARCH_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("CLASSIFIER_SEARCH_CACHE")
    assert default_cache_dir() == Path.home() / ".cache/classifier-search"


LARGE = """
import os
from pathlib import Path
from tests.pictures import noise, save
from trainables.data import build_or_open, read_listing

PICTURES = 300

def private_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

first = save(folder / "data/a/0.ppm", noise(600, 600, 0))
(folder / "data/b").mkdir()
for number in range(1, PICTURES):
    os.link(first, folder / "data" / "ab"[number % 2] / f"{number}.ppm")
listing = read_listing(folder / "data")
seen = [private_bytes()]
cache = build_or_open(
    listing, size_px=600, cache_dir=folder / "cache", progress=lambda *_: seen.append(private_bytes())
)
total = 0
for row in range(PICTURES):
    total += int(cache.picture(row).sum())
    seen.append(private_bytes())
assert total == PICTURES * int(noise(600, 600, 0).sum())
print(cache.pixels.size, max(seen) - seen[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for a process's memory")
def test_the_pixels_are_never_all_in_memory_neither_when_built_nor_when_read(tmp_path: Path) -> None:
    done = run_program(f"from pathlib import Path\nfolder = Path({str(tmp_path)!r})\n{LARGE}")
    done.check_returncode()
    pixels_bytes, taken_bytes = map(int, done.stdout.split())
    assert pixels_bytes == 300 * 600 * 600 * 3
    assert taken_bytes < pixels_bytes / 2


def test_processes_that_start_at_once_share_one_cache(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 150, "b": 150})
    script = """if True:
        import hashlib, pathlib, sys, time
        from trainables.data import build_or_open, cache, read_listing
        calls = []
        decode = cache.decode_each
        cache.decode_each = lambda *args, **kwargs: calls.append(1) or decode(*args, **kwargs)
        start = pathlib.Path(sys.argv[3])
        print("ready", flush=True)
        while not start.exists():
            time.sleep(0.001)
        listing = read_listing(pathlib.Path(sys.argv[1]))
        made = build_or_open(listing, size_px=16, cache_dir=pathlib.Path(sys.argv[2]))
        print(len(calls), hashlib.sha256(made.pixels).hexdigest(), len(made.files))
    """
    start = tmp_path / "start"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(data), str(cache_dir), str(start)],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    start.touch()
    results = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 5
    assert sorted(int(calls) for calls, _, _ in results) == [0, 0, 0, 0, 300]
    assert len({(sum_, n) for _, sum_, n in results}) == 1
