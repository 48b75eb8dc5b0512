"""Pictures that attack: many large ones at once, and names and links that lead out of the folder."""

from __future__ import annotations

import importlib
import io
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands import run_program
from tests.pictures import noise, save
from trainables.data import read_listing
from trainables.data.decode import decode
from trainables.data.errors import DataError
from trainables.data.folders import MOST_DEEP
from trainables.data.names import printable

MODULE = importlib.import_module("trainables.data.decode")
"""The package has a function of the same name."""


def encoded(height: int, width: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(height, width, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("large_pixels", "together"), [(10_000, True), (9_999, False)])
def test_of_large_pictures_one_at_a_time_is_decoded(
    large_pixels: int, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "LARGE_PIXELS", large_pixels)
    met = threading.Barrier(2)

    def meet(picture: Image.Image) -> Image.Image:
        met.wait(timeout=20 if together else 0.2)
        return picture.convert("RGB")

    monkeypatch.setattr(MODULE, "_to_rgb", meet)
    content, told = encoded(100, 100), []

    def one() -> None:
        try:
            decode(content)
        except DataError as fault:  # the other did not come: the barrier is broken
            told.append(fault)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == (0 if together else 2)


BOMB = """
import io
import numpy as np
from PIL import Image
from trainables.data.decode import LIMIT_PIXELS, decode
file = io.BytesIO()
Image.fromarray(np.zeros((LIMIT_PIXELS // 10_000, 10_000), np.uint16)).save(file, "PNG")
print(decode(file.getvalue(), short_side_px=64).shape)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
"""Of the process alone: `ru_maxrss` would be of the one that started it, too."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_the_largest_picture_that_is_taken_fits_into_a_gigabyte() -> None:
    done = run_program(BOMB)
    shape, peak_kb = done.stdout.splitlines()
    assert shape == "(64, 80, 3)"
    assert int(peak_kb) < 10**6, "KB at the peak"  # 16 bits are the worst: 0.65 GB


def test_links_that_lead_out_or_in_circles_are_passed_over(tmp_path: Path) -> None:
    secret = save(tmp_path / "secret.png", noise(4, 4, 0))
    data = tmp_path / "data"
    for name in ("a", "b"):
        save(data / name / "1.png", noise(4, 4, 1))
    (data / "a" / "out.png").symlink_to(secret)
    (data / "a" / "circle.png").symlink_to("circle.png")
    (data / "a" / "long.png").symlink_to("x" * 3000)
    (data / "b" / "up").symlink_to("..")
    (data / "out").symlink_to(tmp_path)
    listing = read_listing(data)
    assert list(listing.files["file"]) == ["a/1.png", "b/1.png"]
    assert sorted(line.partition(" (")[0] for line in listing.ignored) == [
        *("a/circle.png", "a/long.png", "a/out.png", "b/up", "out")
    ]


def test_names_with_control_characters_are_passed_over_and_shown_harmless(tmp_path: Path) -> None:
    for name in ("a", "b", "red\x1b[31m", "two\nlines"):
        save(tmp_path / name / "1.png", noise(4, 4, 0))
    save(tmp_path / "a" / "\x9b2J.png", noise(4, 4, 0))
    listing = read_listing(tmp_path)
    assert listing.classes == ["a", "b"]
    reason = "(its name has control characters)"
    assert sorted(listing.ignored) == [
        rf"a/\x9b2J.png {reason}",
        rf"red\x1b[31m {reason}",
        rf"two\x0alines {reason}",
    ]
    assert printable("größer\udcff") == "größer\\udcff"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a/1.png\x1b[2J,a", "a path with control characters"),
        ('a/1.png,"two\nlines"', "a label with control characters"),
        ("a/1.png\x00,a", "a path with control characters"),
        ("a/1.png,a,more", "the first row has more cells than the header names columns"),
    ],
)
def test_a_manifest_with_odd_rows_is_refused(tmp_path: Path, row: str, told: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"path,label\n{row}\nb/1.png,b\n")
    with pytest.raises(DataError, match=told):
        read_listing(tmp_path)


def test_a_path_that_no_system_takes_is_a_picture_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(f"path,label\n{'x' * 5000}.png,a\nb/1.png,b\n")
    assert len(read_listing(tmp_path).files) == 2


def test_a_folder_in_a_folder_in_a_folder_ends_somewhere(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / name / "1.png", noise(4, 4, 0))
    deep = tmp_path / "a" / "/".join(["deep"] * MOST_DEEP)
    save(deep / "2.png", noise(4, 4, 0))
    save(deep.parent / "3.png", noise(4, 4, 0))
    listing = read_listing(tmp_path)
    assert list(listing.files["file"]) == [
        "a/1.png",
        str((deep.parent / "3.png").relative_to(tmp_path)),
        "b/1.png",
    ]
    (line,) = listing.ignored
    assert line.endswith(f"(over {MOST_DEEP} folders deep)")


def test_greys_of_more_than_8_bits_are_converted_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = (np.arange(40 * 30).reshape(40, 30) * 50).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    whole = decode(file.getvalue())
    monkeypatch.setattr(MODULE, "_AT_ONCE", 70)
    assert np.array_equal(decode(file.getvalue()), whole)
    assert np.array_equal(whole[..., 0], np.round(pixels * (255 / 65535)))
