"""Finds the labelled pictures in what the user points at. Recognises the layouts below; decodes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from trainables.data.errors import DataError
from trainables.data.folders import Folder
from trainables.data.manifest import MANIFEST_SUFFIXES, PART_NAMES, read_manifest

LAYOUTS = """Accepted are:
  one folder a class      DIR/homer/1.jpg  DIR/marge/2.png
  parts, then classes     DIR/train/homer/1.jpg  DIR/val/homer/2.jpg  DIR/test/homer/3.jpg
                          (val and test may be missing)
  a manifest              FILE.csv or FILE.parquet, or a folder that holds a manifest.csv or manifest.parquet
                          with the columns path, label and, if wanted, group and part
  the Kaggle Simpsons     DIR/simpsons_dataset/homer_simpson/1.jpg
  download, unpacked      DIR/kaggle_simpson_testset/homer_simpson_1.jpg
each also inside one wrapping folder."""

_KAGGLE_TRAIN, _KAGGLE_TEST = "simpsons_dataset", "kaggle_simpson_testset"
_COLUMNS = ("file", "class", "group", "part")
_Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Listing:
    """The pictures of a source, not yet opened."""

    root: Path
    """The folder to which the files are relative, absolute and without links."""
    files: pd.DataFrame
    """Text columns `file` (posix path, sorted, unique), `class`, `group` and `part`; the last two are empty
    where nothing was given."""
    layout: str
    """What was recognised, in words."""
    ignored: list[str]
    """Files and folders passed over, as "path (reason)"."""

    @property
    def classes(self) -> list[str]:
        """The names of the classes, sorted."""
        return sorted(self.files["class"].unique())

    def only(self, classes: Sequence[str]) -> Listing:
        """The same with the pictures of these classes alone.

        Raises:
            DataError: A name is not a class here; the message gives near misses and all names.
        """
        known = self.classes
        unknown = sorted(set(classes) - set(known))
        if unknown:
            near = {name: get_close_matches(name, known, n=3) for name in unknown}
            hints = [
                f"{name!r}" + (f" (near: {', '.join(near[name])})" if near[name] else "") for name in unknown
            ]
            raise DataError(
                f"no such class in {self.root}: {'; '.join(hints)}. There are {len(known)}: "
                f"{', '.join(known)}."
            )
        chosen = self.files[self.files["class"].isin(set(classes))].reset_index(drop=True)
        return replace(self, files=chosen)


def read_listing(source: Path, *, classes: Sequence[str] | None = None) -> Listing:
    """The labelled pictures in a folder or manifest.

    Hidden and system files, other kinds of files, links that lead out of the folder, links to folders and
    folders without pictures of their own are passed over and counted in `Listing.ignored`. A class folder
    counts with all its subfolders.

    Args:
        source: A folder or manifest in one of `LAYOUTS`.
        classes: Takes only these.

    Raises:
        DataError: Nothing usable there, a faulty manifest, or an unknown class.
    """
    source = source.expanduser()
    if not source.exists():
        raise DataError(f"{source}: no such folder or file.\n{LAYOUTS}")
    source = source.resolve()
    if source.is_dir():
        manifests = [path for suffix in MANIFEST_SUFFIXES if (path := source / f"manifest{suffix}").is_file()]
        listing = _from_manifest(manifests[0]) if manifests else _from_folder(source)
    elif source.suffix.lower() in MANIFEST_SUFFIXES:
        listing = _from_manifest(source)
    else:
        raise DataError(
            f"{source} is neither a folder nor a .csv or .parquet manifest (an archive has to be unpacked "
            f"first).\n{LAYOUTS}"
        )
    return listing if classes is None else listing.only(classes)


def _from_manifest(path: Path) -> Listing:
    files, ignored = read_manifest(path)
    return Listing(
        path.parent, files.sort_values("file", ignore_index=True), f"manifest {path.name}", ignored
    )


def _from_folder(source: Path) -> Listing:
    ignored: list[str] = []
    folder = _unwrapped(Folder(source, ignored=ignored))
    parts = [(part, child) for child in folder.folders if (part := _part_of(child))]
    kaggle = {child.name: child for child in folder.folders if child.name in (_KAGGLE_TRAIN, _KAGGLE_TEST)}
    if len(kaggle) == 2:
        layout, rows, used = "the Kaggle Simpsons download", _kaggle(kaggle), list(kaggle.values())
    elif any(part == "train" for part, _ in parts):
        layout = (
            f"one folder a part ({', '.join(child.name for _, child in parts)}), in it one folder a class"
        )
        rows = [row for part, child in parts for row in _class_folders(child, part)]
        used = [child for _, child in parts]
    else:
        layout, rows = "one folder a class", list(_class_folders(folder, ""))
        used = folder.folders
    for child in folder.folders:
        if child not in used:
            folder.ignore(child.path, "not part of this layout")
    if used is not folder.folders:
        for path in folder.pictures:
            folder.ignore(path, "a picture outside the class folders")
    if not rows:
        raise DataError(_nothing_found(source, folder))
    files = pd.DataFrame(rows, columns=list(_COLUMNS), dtype=str).sort_values("file", ignore_index=True)
    return Listing(source, files, layout, ignored)


def _unwrapped(folder: Folder) -> Folder:
    """Steps into folders that only hold one more folder of folders: that one cannot be a class, alone."""
    while len(folder.folders) == 1 and (inner := folder.folders[0]).folders and _part_of(inner) != "train":
        folder = inner
    return folder


def _part_of(folder: Folder) -> str | None:
    """The part that a folder's name means; None where it has no class folders, as a class of this name."""
    part = PART_NAMES.get(folder.name.lower())
    return part if part and any(child.pictures for child in folder.folders) else None


def _class_folders(folder: Folder, part: str) -> Iterator[_Row]:
    """The pictures of one folder a class.

    Only a folder with pictures of its own is a class: a copy of the whole data set one level deeper, or a
    collection of data sets, would otherwise pass for one.
    """
    for child in folder.folders:
        if child.pictures:
            for path in child.all_pictures():
                yield path, child.name, "", part
        else:
            folder.ignore(child.path, "a folder without pictures of its own")
    for path in folder.pictures:
        folder.ignore(path, "a picture outside the class folders")


def _kaggle(folders: dict[str, Folder]) -> list[_Row]:
    """The class folders as the train part, and the flat test set with its classes read off the names."""
    train = folders[_KAGGLE_TRAIN]
    if not any(child.pictures for child in train.folders):
        train = _unwrapped(train)
    rows = list(_class_folders(train, "train"))
    test = folders[_KAGGLE_TEST]
    while not test.pictures and test.folders:
        test = test.folders[0]
    for child in test.folders:
        test.ignore(child.path, "a folder inside the test set")
    names = sorted({row[1] for row in rows}, key=len, reverse=True)
    for path in test.pictures:
        stem = Path(path).stem
        if label := next((name for name in names if stem.startswith(f"{name}_")), None):
            rows.append((path, label, "", "test"))
        else:
            test.ignore(path, "its name starts with no known class")
    return rows


def _nothing_found(source: Path, folder: Folder) -> str:
    """What is there instead of class folders."""
    inner = [grandchild for child in folder.folders for grandchild in child.folders if grandchild.pictures]
    if inner:
        places = sorted({str(Path(child.path).parent) for child in inner})
        found = f"it has pictures two levels down, in folders in {', '.join(places[:5])}: name one of these"
    elif folder.pictures:
        found = f"it has {len(folder.pictures)} pictures, but not in folders that say their class"
    elif folder.ignored:
        found = f"it has no pictures, only such as {', '.join(folder.ignored[:3])}"
    else:
        found = "it is empty" if not folder.folders else "its folders hold no pictures"
    return f"no labelled pictures in {source}: {found}.\n{LAYOUTS}"
