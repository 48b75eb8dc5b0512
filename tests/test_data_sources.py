"""read_listing: which pictures a source holds, of which class and part, and what is passed over."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from tests.pictures import class_folders, noise, save
from trainables.data import DataError, Listing, read_listing


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def rows(listing: Listing, *columns: str) -> list[tuple[str, ...]]:
    return list(listing.files[list(columns or ("file", "class"))].itertuples(index=False, name=None))


def manifest(folder: Path, text: str, name: str = "list.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


# One folder a class


def test_one_folder_a_class(tmp_path: Path) -> None:
    for file in ("b/2.png", "a/1.JPG", "a/10.webp", "a/more/3.tiff"):
        touch(tmp_path / file)
    listing = read_listing(tmp_path)
    assert rows(listing) == [("a/1.JPG", "a"), ("a/10.webp", "a"), ("a/more/3.tiff", "a"), ("b/2.png", "b")]
    assert rows(listing, "group", "part") == [("", "")] * 4
    assert listing.root == tmp_path.resolve()
    assert listing.classes == ["a", "b"]
    assert listing.layout == "one folder a class"
    assert listing.ignored == []


def test_nothing_is_opened(tmp_path: Path) -> None:
    for file in (touch(tmp_path / "a/1.png"), touch(tmp_path / "b/1.png")):
        file.chmod(0)
    assert len(read_listing(tmp_path).files) == 2


def test_one_wrapping_folder_is_stepped_into(tmp_path: Path) -> None:
    touch(tmp_path / "archive/a/1.png")
    touch(tmp_path / "archive/b/1.png")
    touch(tmp_path / "archive/LICENSE")
    assert rows(read_listing(tmp_path)) == [("archive/a/1.png", "a"), ("archive/b/1.png", "b")]


def test_stray_files_are_passed_over_and_named(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 2, "b": 2})
    for file in (
        "LICENSE",
        "cover.png",
        "a/notes.txt",
        "a/.hidden.png",
        "a/Thumbs.db",
        "__MACOSX/a/._1.png",
        ".DS_Store",
        ".git/x.png",
        "empty/readme.md",
    ):
        touch(tmp_path / file)
    listing = read_listing(tmp_path)
    assert listing.files["class"].tolist() == ["a", "a", "b", "b"]
    assert sorted(entry.split(" (")[0] for entry in listing.ignored) == [
        ".DS_Store",
        ".git",
        "LICENSE",
        "__MACOSX",
        "a/.hidden.png",
        "a/Thumbs.db",
        "a/notes.txt",
        "cover.png",
        "empty",
        "empty/readme.md",
    ]


def test_links_that_lead_out_or_to_folders_are_not_followed(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 1, "b": 1})
    outside = touch(tmp_path / "secret/1.png")
    (data / "a/out.png").symlink_to(outside)
    (data / "a/inside.png").symlink_to(data / "b/0.png")
    (data / "out").symlink_to(outside.parent)
    (data / "a/loop").symlink_to(data)
    (data / "b/broken.png").symlink_to(data / "b/none.png")
    listing = read_listing(data)
    assert [file for file, _ in rows(listing)] == ["a/0.png", "a/inside.png", "b/0.png"]
    assert sorted(listing.ignored) == [
        "a/loop (a link to a folder)",
        "a/out.png (a link that leads out of the folder)",
        "b/broken.png (not a regular file)",
        "out (a link that leads out of the folder)",
    ]


def test_a_source_that_is_itself_a_link_is_fine(tmp_path: Path) -> None:
    class_folders(tmp_path / "data", {"a": 1, "b": 1})
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert len(read_listing(tmp_path / "link").files) == 2


def test_what_is_no_file_is_never_listed(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 1, "b": 1})
    os.mkfifo(tmp_path / "a/pipe.png")
    listing = read_listing(tmp_path)
    assert [file for file, _ in rows(listing)] == ["a/0.png", "b/0.png"]
    assert listing.ignored == ["a/pipe.png (not a regular file)"]


def test_a_name_that_is_not_utf8_is_passed_over(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 1, "b": 1})
    with open(os.fsencode(tmp_path) + b"/a/\xff.png", "wb"):
        pass
    listing = read_listing(tmp_path)
    assert len(listing.files) == 2
    assert listing.ignored == ["a/\\udcff.png (its name is not UTF-8)"]


# Parts, then classes


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_given_parts_are_read_from_folder_names(tmp_path: Path, validation: str) -> None:
    for part in ("train", validation, "test"):
        touch(tmp_path / "wrapped" / part / "a/1.png")
    part_of = dict(rows(read_listing(tmp_path), "file", "part"))
    assert part_of == {
        "wrapped/train/a/1.png": "train",
        f"wrapped/{validation}/a/1.png": "validation",
        "wrapped/test/a/1.png": "test",
    }


@pytest.mark.parametrize("present", [["train"], ["train", "val"], ["train", "test"]])
def test_validation_and_test_folders_may_be_missing(tmp_path: Path, present: list[str]) -> None:
    for part in present:
        class_folders(tmp_path / part, {"a": 1, "b": 1})
    listing = read_listing(tmp_path)
    assert listing.classes == ["a", "b"]
    assert len(listing.files) == 2 * len(present)


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    class_folders(tmp_path, {"car": 1, "train": 1, "test": 1})
    listing = read_listing(tmp_path)
    assert listing.classes == ["car", "test", "train"]
    assert set(listing.files["part"]) == {""}


def test_folders_beside_the_parts_are_passed_over(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", {"a": 1, "b": 1})
    touch(tmp_path / "train/cover.png")
    touch(tmp_path / "test/unlabelled.png")
    class_folders(tmp_path / "backup", {"a": 1})
    listing = read_listing(tmp_path)
    assert [file for file, _ in rows(listing)] == ["train/a/0.png", "train/b/0.png"]
    assert listing.ignored == [
        "train/cover.png (a picture outside the class folders)",
        "backup (not part of this layout)",
        "test (not part of this layout)",
    ]


# The Kaggle Simpsons download


def kaggle(root: Path, *, nested_test: bool) -> Path:
    names = ("homer_simpson", "lisa_simpson", "lisa")
    for inner in ("simpsons_dataset", "simpsons_dataset/simpsons_dataset"):
        for name in names:
            touch(root / inner / name / "pic_0001.jpg")
    test = root / "kaggle_simpson_testset"
    if nested_test:
        test = test / "kaggle_simpson_testset"
    for file in ("homer_simpson_0.jpg", "lisa_simpson_12.jpg", "lisa_3.jpg", "moe_1.jpg", "._lisa_3.jpg"):
        touch(test / file)
    for file in ("annotation.txt", "characters_illustration.png", "number_pic_char.csv", "weights.best.h5"):
        touch(root / file)
    return root


@pytest.mark.parametrize("nested_test", [False, True])
def test_the_kaggle_download_as_it_unpacks(tmp_path: Path, nested_test: bool) -> None:
    listing = read_listing(kaggle(tmp_path / "archive", nested_test=nested_test).parent)
    by_name = sorted(
        (Path(file).name, label, part) for file, label, part in rows(listing, "file", "class", "part")
    )
    assert by_name == [
        ("homer_simpson_0.jpg", "homer_simpson", "test"),
        ("lisa_3.jpg", "lisa", "test"),
        ("lisa_simpson_12.jpg", "lisa_simpson", "test"),
        ("pic_0001.jpg", "homer_simpson", "train"),
        ("pic_0001.jpg", "lisa", "train"),
        ("pic_0001.jpg", "lisa_simpson", "train"),
    ]
    assert not listing.files["file"].str.contains("simpsons_dataset/simpsons_dataset").any()
    passed_over = " ".join(listing.ignored)
    for name in (
        "annotation.txt",
        "characters_illustration.png",
        "moe_1.jpg",
        "simpsons_dataset/simpsons_dataset",
    ):
        assert name in passed_over


@pytest.mark.parametrize("below", [".", "simpsons_dataset"])
def test_the_nested_copy_is_ignored_without_the_test_set_too(tmp_path: Path, below: str) -> None:
    for inner in ("simpsons_dataset", "simpsons_dataset/simpsons_dataset"):
        class_folders(tmp_path / inner, {"homer_simpson": 1, "lisa_simpson": 1})
    listing = read_listing(tmp_path / below)
    assert listing.classes == ["homer_simpson", "lisa_simpson"]
    assert len(listing.files) == 2


# Manifests


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_manifest_gives_class_group_and_part(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame(
        {
            "label": ["homer", "marge", "homer", "marge"],
            "path": ["x/2.png", "./x/1.png", "y.png", "z.png"],
            "group": ["s1", "s1", "", "s2"],
            "part": ["train", "val", "Test", ""],
            "comment": ["a", "b", "c", "d"],
        }
    )
    path = tmp_path / f"list{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    listing = read_listing(path)
    assert rows(listing, "file", "class", "group", "part") == [
        ("x/1.png", "marge", "s1", "validation"),
        ("x/2.png", "homer", "s1", "train"),
        ("y.png", "homer", "", "test"),
        ("z.png", "marge", "s2", ""),
    ]
    assert listing.root == tmp_path.resolve()


def test_group_and_part_may_be_missing(tmp_path: Path) -> None:
    listing = read_listing(manifest(tmp_path, "path,label\n1.png,a\n2.png,b\n"))
    assert rows(listing, "group", "part") == [("", ""), ("", "")]


def test_a_folder_with_a_manifest_csv_is_read_by_it(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 2, "b": 2})
    manifest(tmp_path, "path,label\na/0.png,x\nb/0.png,y\n", "manifest.csv")
    assert rows(read_listing(tmp_path)) == [("a/0.png", "x"), ("b/0.png", "y")]


def test_labels_stay_text(tmp_path: Path) -> None:
    listing = read_listing(manifest(tmp_path, "path,label\n1.png,01\n2.png,NA\n3.png,None\n4.png,1\n"))
    assert listing.classes == ["01", "1", "NA", "None"]


def test_numbers_in_a_parquet_manifest_become_text(tmp_path: Path) -> None:
    table = pd.DataFrame({"path": ["1.png", "2.png"], "label": [3, 7], "group": [None, "s"]})
    table.to_parquet(tmp_path / "list.parquet")
    assert rows(read_listing(tmp_path / "list.parquet"), "class", "group") == [("3", ""), ("7", "s")]


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    picture = save(tmp_path / "elsewhere/1.png", noise(4, 4, 0))
    listing = read_listing(manifest(tmp_path / "m", f"path,label\n{picture},a\n"))
    assert rows(listing) == [(str(picture), "a")]


def test_a_manifests_links_out_of_its_folder_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path / "secret/1.png")
    data = tmp_path / "data"
    data.mkdir()
    (data / "link").symlink_to(tmp_path / "secret")
    (data / "2.png").symlink_to(tmp_path / "secret/1.png")
    listing = read_listing(manifest(data, "path,label\nlink/1.png,a\n2.png,a\n3.png,b\n"))
    assert rows(listing) == [("3.png", "b")]
    assert [entry.split(" (")[0] for entry in listing.ignored] == ["link/1.png", "2.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\n1.png,a\n", "no column path.*path and label.*this one has: file, label"),
        ("a\n1\n", "no column path and no column label"),
        ("path,label\n", "no rows"),
        ("", "cannot be read as a table"),
        ("path,label\n1.png,a\n2.png,b\n./1.png,b\n", r"an earlier row has.*row 3: '1.png'"),
        ("path,label\n../1.png,a\n", r"path with `\.\.`.*row 1: '\.\./1.png'"),
        ("path,label\nx/../../1.png,a\n", r"path with `\.\.`"),
        ("path,label\n1.png,a\n2.png,\n", "an empty label.*row 2"),
        ("path,label\n,a\n", "an empty path.*row 1"),
        ("path,label,part\n1.png,a,trian\n", "unknown part; allowed are train.*row 1: 'trian'"),
    ],
)
def test_a_faulty_manifest_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_listing(manifest(tmp_path, text))


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_listing(manifest(tmp_path, "path,label\n", "list.parquet"))


# What is refused


def test_a_missing_source_shows_the_accepted_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)no such folder or file.*one folder a class.*a manifest"):
        read_listing(tmp_path / "none")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)no labelled pictures.*it is empty.*Accepted are"):
        read_listing(tmp_path)


def test_pictures_without_class_folders_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "1.png")
    touch(tmp_path / "2.png")
    with pytest.raises(DataError, match="it has 2 pictures, but not in folders that say their class"):
        read_listing(tmp_path)


def test_a_folder_above_several_data_sets_is_refused_naming_them(tmp_path: Path) -> None:
    class_folders(tmp_path / "grey", {"a": 1, "b": 1})
    class_folders(tmp_path / "rgb", {"a": 1, "b": 1})
    with pytest.raises(DataError, match="in folders in grey, rgb: name one of these"):
        read_listing(tmp_path)


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.txt")
    touch(tmp_path / "b/1.txt")
    with pytest.raises(DataError, match=r"it has no pictures, only such as a/1\.txt"):
        read_listing(tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)neither a folder nor a .csv.*has to be unpacked.*Accepted are"):
        read_listing(touch(tmp_path / "data.zip"))


# --classes


def test_classes_picks_some(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 1, "b": 1, "c": 2})
    assert rows(read_listing(tmp_path, classes=["c", "a"])) == [
        ("a/0.png", "a"),
        ("c/0.png", "c"),
        ("c/1.png", "c"),
    ]


def test_an_unknown_class_is_refused_with_near_misses_and_all_names(tmp_path: Path) -> None:
    class_folders(tmp_path, {"homer": 1, "marge": 1})
    with pytest.raises(DataError, match=r"'homre' \(near: homer, marge\); 'x'. There are 2: homer, marge"):
        read_listing(tmp_path, classes=["x", "homre", "marge"])
