"""prepare and load: from a messy folder to a split, a report and batches of pictures."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.commands import run_program
from tests.pictures import BROKEN, class_folders, noise, save
from trainables.data import (
    PARTS,
    DataError,
    Prepared,
    decode,
    load,
    on_canvases,
    prepare,
    read_split,
    write_split,
)
from trainables.data import cache as cache_module
from trainables.data.demo import demo_source

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def prepared(source: Path, cache_dir: Path, **options: object) -> Prepared:
    return prepare(source, **({"size_px": 16, "cache_dir": cache_dir} | options))


def messy(root: Path) -> Path:
    """A folder with every kind of file that people's folders hold."""
    class_folders(root, {"homer": 25, "marge": 30, "rare": 6})
    homer = root / "homer"
    for name, content in BROKEN.items():
        (homer / name).write_bytes(content)
    Image.new("CMYK", (20, 20), (0, 200, 10, 0)).save(homer / "cmyk.jpg")
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 160).save(homer / "16bit.png")
    Image.fromarray(noise(20, 20, 1)[..., 0]).save(homer / "grey.jpg")
    Image.fromarray(noise(20, 20, 2)).quantize(8).save(homer / "palette.png", transparency=3)
    Image.fromarray(noise(20, 20, 3)[..., :2].copy(), "LA").save(homer / "la.png")
    Image.fromarray(np.dstack([noise(20, 20, 4), noise(20, 20, 5)[..., :1]])).save(homer / "rgba.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(20, 30, 6)).save(homer / "turned.jpg", exif=exif)
    frames = [Image.fromarray(noise(20, 20, seed)) for seed in (7, 8)]
    frames[0].save(homer / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(noise(2, 3, 9)).resize((3000, 2000)).save(homer / "large.jpg")
    shutil.copy(root / "marge/0.png", root / "marge/copy.png")
    outside = save(root.parent / "outside/1.png", noise(12, 16, 10))
    (root / "marge/link.png").symlink_to(outside)
    (root / "README.txt").write_text("stray")
    (root / "cover.jpg").write_bytes((homer / "grey.jpg").read_bytes())
    return root


def test_a_messy_folder_is_used_as_far_as_it_goes_and_the_rest_is_reported(
    tmp_path: Path, cache_dir: Path
) -> None:
    done = prepared(messy(tmp_path / "data"), cache_dir)
    report = json.loads(json.dumps(done.report))
    assert done.classes == ["homer", "marge"]
    assert report["pictures"] == len(done.split) == 25 + 9 + 30 + 1
    assert {name: sum(parts.values()) for name, parts in report["counts"].items()} == {
        "homer": 34,
        "marge": 31,
    }
    reasons = {entry["file"]: entry["reason"] for entry in report["skipped"]}
    assert reasons.keys() == {f"homer/{name}" for name in BROKEN}
    assert reasons["homer/empty.jpg"] == "empty file"
    assert report["left_out"] == [{"class": "rare", "pictures": 6, "reason": "fewer than 10 pictures"}]
    assert report["duplicates"] == {
        "copies": 1,
        "sets": [["marge/0.png", "marge/copy.png"]],
        "in_two_classes": 0,
        "dropped": [],
    }
    assert sorted(report["ignored"]["examples"]) == [
        "README.txt (not a picture by its name)",
        "cover.jpg (a picture outside the class folders)",
        "marge/link.png (a link that leads out of the folder)",
    ]
    assert report["ignored"]["count"] == 3
    part = done.split.set_index("file")["part"]
    assert part["marge/0.png"] == part["marge/copy.png"]
    assert set(part) == set(PARTS)


def test_every_kind_of_picture_comes_out_of_load_as_decode_gives_it(tmp_path: Path, cache_dir: Path) -> None:
    data = messy(tmp_path / "data")
    done = prepared(data, cache_dir)
    pictures = load(data, done.split, size_px=16, cache_dir=cache_dir).part(*PARTS)
    assert len(pictures) == len(done.split)
    pixels, extents = pictures.batch(np.arange(len(pictures)))
    assert pixels.dtype == np.uint8
    assert extents.dtype == pictures.labels.dtype == np.int64
    assert pixels.shape == (len(pictures), *extents.max(axis=0), 3)
    for file, canvas, (height, width), label in zip(
        pictures.files, pixels, extents, pictures.labels, strict=True
    ):
        np.testing.assert_array_equal(canvas[:height, :width], decode(data / file, short_side_px=19))
        assert not canvas[height:].any()
        assert not canvas[:, width:].any()
        assert file.startswith(done.classes[label])


def test_pictures_of_one_shape_come_out_in_the_asked_order(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20})
    done = prepared(data, cache_dir)
    pictures = load(data, done.split, size_px=16, cache_dir=cache_dir).part("train")
    rows = np.array([3, 0, 3, 11])
    pixels, extents = pictures.batch(rows)
    assert extents.tolist() == [[12, 16]] * 4
    for row, picture in zip(rows, pixels, strict=True):
        np.testing.assert_array_equal(picture, np.asarray(Image.open(data / pictures.files[row])))
    pixels[:] = 0  # a batch is a copy
    assert pictures.batch(rows)[0].any()


def test_one_shape_in_a_part_is_found_between_other_shapes(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20})
    done = prepared(data, cache_dir)
    odd_one = done.split["file"][done.split["part"] == "test"].iloc[0]
    save(data / odd_one, noise(5, 7, 0))  # what follows it starts at no multiple of a picture's size
    dataset = load(data, done.split, size_px=16, cache_dir=cache_dir)
    for part in PARTS:
        pictures = dataset.part(part)
        for row, file in enumerate(pictures.files):
            pixels, _ = pictures.batch(np.array([row]))
            np.testing.assert_array_equal(pixels[0], np.asarray(Image.open(data / file)))


@pytest.mark.parametrize("shapes", [1, 7])
def test_some_of_a_parts_pictures_are_served_as_the_part_serves_them(
    tmp_path: Path, cache_dir: Path, shapes: int
) -> None:
    for number in range(40):
        side = 10 + number % shapes
        save(tmp_path / "data" / "ab"[number % 2] / f"{number}.png", noise(side, 2 * side, number))
    split = prepared(tmp_path / "data", cache_dir, size_px=40).split
    part = load(tmp_path / "data", split, size_px=40, cache_dir=cache_dir).part(*PARTS)
    rows = np.random.default_rng(0).permutation(40)[:9]
    some = part.chosen(rows)
    assert len(some) == 9
    assert some.files == [part.files[row] for row in rows]
    np.testing.assert_array_equal(some.labels, part.labels[rows])
    for mine, theirs in zip(some.batch(np.arange(9)), part.batch(rows), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_empty_batch_is_empty(tmp_path: Path, cache_dir: Path) -> None:
    data = messy(tmp_path / "data")
    done = prepared(data, cache_dir)
    pixels, extents = (
        load(data, done.split, size_px=16, cache_dir=cache_dir).part("train").batch(np.arange(0))
    )
    assert len(pixels) == len(extents) == 0


def test_parts_hold_the_splits_files_and_can_be_joined(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20})
    done = prepared(data, cache_dir)
    dataset = load(data, done.split, size_px=16, cache_dir=cache_dir)
    for part in PARTS:
        wanted = done.split[done.split["part"] == part]
        assert dataset.part(part).files == wanted["file"].tolist()
        assert [done.classes[label] for label in dataset.part(part).labels] == wanted["class"].tolist()
    assert len(dataset.part("train", "validation", "selection")) == 40 - len(dataset.part("test"))
    with pytest.raises(DataError, match=r"no such part: tset\. The parts are train"):
        dataset.part("tset")


def test_load_decodes_nothing_that_prepare_has_decoded(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = messy(tmp_path / "data")
    (data / "rare/broken.png").write_bytes(b"")
    save(data / "other/0.png", noise(12, 16, 0))
    for number in range(12):  # falls below 10 only when decoded
        (data / "halfbroken").mkdir(exist_ok=True)
        (data / f"halfbroken/{number}.png").write_bytes(
            b"" if number < 6 else (data / f"marge/{number}.png").read_bytes()
        )
    done = prepared(data, cache_dir)
    assert done.classes == ["homer", "marge"]
    left_out = {entry["class"]: entry["pictures"] for entry in done.report["left_out"]}
    assert left_out == {"other": 1, "rare": 7, "halfbroken": 6}
    assert {"file": "halfbroken/5.png", "reason": "empty file"} in done.report["skipped"]

    def refuse(*args: object, **kwargs: object) -> np.ndarray:
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache_module, "decode_each", refuse)
    assert len(load(data, done.split, size_px=16, cache_dir=cache_dir).part(*PARTS)) == 65
    assert prepared(data, cache_dir).report == done.report


TRIAL = """
import json, os, sys
from pathlib import Path
opened = []
def hear(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        opened.append(args[0])
sys.addaudithook(hear)
import numpy as np
from trainables.data import load, read_listing, read_split
from trainables.data.demo import demo_source

cache_dir = Path(given["cache_dir"])
source = Path(given["source"]) if given["source"] else demo_source(cache_dir, pictures=120)
split = read_split(Path(given["split"]))
opened.clear()
data = load(source, split, size_px=16, cache_dir=cache_dir)
for name in ("train", "validation"):
    part = data.part(name)
    for rows in np.array_split(np.arange(len(part)), 4):
        part.batch(rows)
root = read_listing(source).root
listed = {os.path.realpath(root / file) for file in split["file"]}
print(json.dumps([len(listed & {os.path.realpath(os.fsdecode(path)) for path in opened}), len(listed)]))
"""


def pictures_opened_by_a_trial(source: Path | None, cache_dir: Path, split: Path) -> list[int]:
    """How many picture files a clean process opens that loads and reads the data, and how many there are."""
    given = {"source": source and str(source), "cache_dir": str(cache_dir), "split": str(split)}
    done = run_program(f"given = {given!r}\n{TRIAL}")
    done.check_returncode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["folder", "manifest", "demo"])
def test_the_second_trial_on_a_node_opens_no_picture_file(tmp_path: Path, cache_dir: Path, kind: str) -> None:
    if kind == "demo":
        source = demo_source(cache_dir, pictures=120)
    else:
        source = class_folders(tmp_path / "data", {"a": 30, "b": 30})
        if kind == "manifest":
            rows = [f"{path.relative_to(source)},{path.parent.name}" for path in source.rglob("*.png")]
            source = source / "manifest.csv"
            source.write_text("path,label\n" + "\n".join(rows))
    split = prepared(source, tmp_path / "elsewhere").split
    write_split(split, tmp_path / "split.csv")
    given = None if kind == "demo" else source
    first, second = (pictures_opened_by_a_trial(given, cache_dir, tmp_path / "split.csv") for _ in range(2))
    assert first == [len(split), len(split)]
    assert second == [0, len(split)]


@pytest.mark.parametrize("shapes", [1, 3, 40])
def test_a_batch_of_several_shapes_is_what_the_pictures_are_one_by_one(
    tmp_path: Path, cache_dir: Path, shapes: int
) -> None:
    rng = np.random.default_rng(0)
    some = rng.integers(5, 40, (shapes, 2)).tolist()
    for number in range(40):
        save(tmp_path / "data" / "ab"[number % 2] / f"{number}.png", noise(*some[number % shapes], number))
    split = prepared(tmp_path / "data", cache_dir, size_px=40).split
    part = load(tmp_path / "data", split, size_px=40, cache_dir=cache_dir).part(*PARTS)
    rows = rng.permutation(40)[:25].repeat(2)
    pixels, extents = part.batch(rows)
    wanted, wanted_extents = on_canvases([decode(tmp_path / "data" / part.files[row]) for row in rows])
    np.testing.assert_array_equal(pixels, wanted)
    np.testing.assert_array_equal(extents, wanted_extents)
    assert pixels.flags.writeable
    assert part.canvas_px == tuple(np.max(part.extents, axis=0))


def test_a_part_without_pictures_has_a_canvas_without_pixels(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20})
    split = prepared(data, cache_dir).split.assign(part="train")
    assert load(data, split, size_px=16, cache_dir=cache_dir).part("test").canvas_px == (0, 0)


def test_load_builds_the_cache_on_a_node_that_has_none(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20})
    done = prepared(data, cache_dir)
    write_split(done.split, tmp_path / "split.csv")
    split = read_split(tmp_path / "split.csv")
    here, there = (
        load(data, split, size_px=16, cache_dir=place).part("test")
        for place in (cache_dir, tmp_path / "other")
    )
    assert here.files == there.files
    rows = np.arange(len(here))
    np.testing.assert_array_equal(here.batch(rows)[0], there.batch(rows)[0])


def test_a_file_that_vanished_after_the_split_is_named(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20})
    done = prepared(data, cache_dir)
    (data / "a/7.png").rename(data / "a/7.gone")
    with pytest.raises(DataError, match=r"1 of 40 pictures are gone.*a/7\.png"):
        load(data, done.split, size_px=16, cache_dir=cache_dir)
    (data / "a/7.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 40 pictures are gone.*a/7\.png \(empty file\)"):
        load(data, done.split, size_px=16, cache_dir=cache_dir)


def test_a_class_that_vanished_after_the_split_is_named(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20, "c": 20})
    done = prepared(data, cache_dir)
    shutil.rmtree(data / "c")
    with pytest.raises(DataError, match=r"20 of 60 pictures are gone.*c/0\.png"):
        load(data, done.split, size_px=16, cache_dir=cache_dir)


def test_pictures_added_later_change_nothing(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20})
    done = prepared(data, cache_dir)
    save(data / "a/new.png", noise(12, 16, 99))
    class_folders(data, {"c": 20})
    assert (
        load(data, done.split, size_px=16, cache_dir=cache_dir).part(*PARTS).files
        == done.split["file"].tolist()
    )


def test_classes_picks_two_of_many(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20, "c": 20})
    done = prepared(data, cache_dir, classes=["c", "a"])
    assert done.classes == ["a", "c"]
    assert load(data, done.split, size_px=16, cache_dir=cache_dir).classes == ["a", "c"]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a": 20, "b": 9}, r"two classes, and there is only a. Left out: b: 9 \(fewer than 10 pictures\)"),
        ({"a": 2, "b": 3}, r"there are none. Left out: a: 2.*b: 3.*--min-per-class"),
        ({"a": 20}, "there is only a"),
    ],
)
def test_fewer_than_two_classes_is_refused(
    tmp_path: Path, cache_dir: Path, counts: dict[str, int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepared(class_folders(tmp_path / "data", counts), cache_dir)


def test_a_folder_of_broken_files_is_refused_with_their_reasons(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20})
    for file in (data / "b").iterdir():
        file.write_bytes(b"")
    with pytest.raises(
        DataError, match=r"only a\. Left out: b: 0.*20 files could not be.*b/0\.png: empty file"
    ):
        prepared(data, cache_dir)
    for file in (data / "a").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"there are none.*40 files could not be decoded"):
        prepared(data, cache_dir)


def test_min_per_class_can_be_lowered(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 9})
    assert prepared(data, cache_dir, min_per_class=9).classes == ["a", "b"]


def test_a_class_without_training_pictures_is_left_out(tmp_path: Path, cache_dir: Path) -> None:
    class_folders(tmp_path / "data/train", {"a": 20, "b": 20})
    class_folders(tmp_path / "data/test", {"a": 10, "b": 10, "c": 10})
    done = prepared(tmp_path / "data", cache_dir)
    assert done.classes == ["a", "b"]
    assert done.report["left_out"] == [{"class": "c", "pictures": 10, "reason": "no picture to train on"}]
    assert all(parts["test"] == 10 for parts in done.report["counts"].values())


def test_a_training_picture_that_is_also_in_the_given_test_part_is_dropped(
    tmp_path: Path, cache_dir: Path
) -> None:
    class_folders(tmp_path / "data/train", {"a": 20, "b": 20})
    class_folders(tmp_path / "data/test", {"a": 10, "b": 10})
    shutil.copy(tmp_path / "data/train/a/3.png", tmp_path / "data/test/b/leak.png")
    report = prepared(tmp_path / "data", cache_dir).report
    assert report["duplicates"] == {
        "copies": 1,
        "sets": [["test/b/leak.png", "train/a/3.png"]],
        "in_two_classes": 1,
        "dropped": ["train/a/3.png"],
    }
    assert sum(report["counts"]["b"].values()) == 31
    assert sum(report["counts"]["a"].values()) == 29


def test_groups_of_several_pictures_are_counted(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 30, "b": 30})
    groups = {"a/0": "one", "a/1": "one", "a/2": "one", "b/0": "two", "b/1": "two", "b/2": "alone"}
    rows = [f"{name}/{i}.png,{name},{groups.get(f'{name}/{i}', '')}" for name in "ab" for i in range(30)]
    (data / "manifest.csv").write_text("path,label,group\n" + "\n".join(rows))
    done = prepared(data / "manifest.csv", cache_dir)
    assert done.report["groups"] == {"count": 2, "pictures": 5}
    parts = done.split[done.split["group"] != ""].groupby("group")["part"].nunique()
    assert (parts == 1).all()


def test_groups_too_large_to_divide_are_refused(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20})
    rows = [f"{path.relative_to(data)},{path.parent.name},scene" for path in data.rglob("*.png")]
    (data / "manifest.csv").write_text("path,label,group\n" + "\n".join(rows))
    with pytest.raises(DataError, match="no picture is left for validation and selection and test"):
        prepared(data, cache_dir)


def test_the_fingerprint_is_of_the_content_not_of_times_and_places(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 20, "b": 20})
    first = prepared(data, cache_dir).report["fingerprint"]
    moved = shutil.copytree(data, tmp_path / "elsewhere")
    os.utime(moved / "a/0.png", ns=(0, 0))
    (moved / "stray.txt").write_text("")
    assert prepared(moved, cache_dir, seed=5).report["fingerprint"] == first
    assert prepared(moved, cache_dir, size_px=8).report["fingerprint"] == first
    pixels = np.asarray(Image.open(moved / "a/0.png")).copy()
    pixels[0, 0, 0] ^= 1
    save(moved / "a/0.png", pixels)
    assert prepared(moved, cache_dir).report["fingerprint"] != first


def test_the_same_seed_gives_the_same_split(tmp_path: Path, cache_dir: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 30, "b": 30})
    first, again, other = (prepared(data, cache_dir, seed=seed).split for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first, again)
    assert (first["part"] != other["part"]).any()


@pytest.mark.parametrize(
    ("archive", "folder", "pictures", "classes"),
    [("sign-digits", "sign-digits", 2062, 10), ("simpsons-mnist-train", "simpsons-mnist", 8000, 10)],
)
def test_real_archives_are_read_whole(
    tmp_path: Path, cache_dir: Path, archive: str, folder: str, pictures: int, classes: int
) -> None:
    path = SHARED / f"{archive}.tar.gz"
    if not path.exists():
        pytest.skip("the archive is not here")
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path / "data", filter="data")
    done = prepared(tmp_path / "data", cache_dir, size_px=64)
    assert (done.report["pictures"], len(done.classes)) == (pictures, classes)
    assert done.report["skipped"] == []
    assert done.report["ignored"]["examples"] == [f"{folder}/LICENSE (not a picture by its name)"]
    train = load(tmp_path / "data", done.split, size_px=64, cache_dir=cache_dir).part("train")
    pixels, _ = train.batch(np.arange(32))
    assert pixels.std() > 10
