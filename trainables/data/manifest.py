"""Reads a manifest: a table that names pictures and says what they show."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pandas as pd

from trainables.data.errors import DataError
from trainables.data.names import has_control_characters

MANIFEST_SUFFIXES = (".csv", ".parquet")
PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "selection": "selection",
    "test": "test",
}
"""What people call the parts (in lower case), and what we call them."""

_REQUIRED, _OPTIONAL = ("path", "label"), ("group", "part")


def read_manifest(manifest: Path) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a manifest, in its order, and what was passed over.

    Relative paths start at the manifest's folder and must stay in it, so that the folder means the same
    wherever it is copied. Absolute paths are taken as they are. Other columns are not looked at. Whether
    the files exist shows when they are decoded.

    Returns:
        Text columns `file`, `class`, `group`, `part` (the last two empty where not given), and "path
        (reason)" of each relative path that a link leads out of the folder.

    Raises:
        DataError: Unreadable, no rows, missing columns, an empty path or label, a path given twice or
            leading out of the folder by `..`, an unknown part.
    """
    table = _read_table(manifest)
    missing = [name for name in _REQUIRED if name not in table]
    if missing:
        raise DataError(
            f"{manifest}: no column {' and no column '.join(missing)}. A manifest has the columns path and "
            "label and, if wanted, group and part; this one has: "
            f"{', '.join(map(str, table.columns)) or 'none'}."
        )
    if table.empty:
        raise DataError(f"{manifest}: no rows. Each row names a picture (path) and its class (label).")
    blank = pd.Series("", index=table.index)
    files = pd.DataFrame(
        {
            "file": [str(PurePosixPath(path)) if path else "" for path in table["path"]],
            "class": table["label"],
            "group": table.get("group", blank),
            "part": _parts(manifest, table.get("part", blank)),
        }
    )
    for column, name in (("file", "path"), ("class", "label")):
        _refuse(manifest, files[column] == "", files[column], f"an empty {name}; each row needs one")
        odd = files[column].map(has_control_characters)
        _refuse(manifest, odd, files[column], f"a {name} with control characters, which names cannot have")
    _refuse(
        manifest,
        files["file"].map(lambda path: ".." in PurePosixPath(path).parts),
        files["file"],
        "a path with `..`; paths are relative to the manifest's folder and stay in it, or are absolute",
    )
    _refuse(
        manifest,
        files["file"].duplicated(),
        files["file"],
        "a path that an earlier row has; each may come once",
    )
    outside = _led_outside(manifest.parent, files["file"])
    ignored = [f"{path} (a link that leads out of the folder)" for path in files["file"][outside]]
    return files[~outside].reset_index(drop=True), ignored


def _read_table(manifest: Path) -> pd.DataFrame:
    try:
        if manifest.suffix.lower() == ".parquet":
            table = pd.read_parquet(manifest)
            wanted = [name for name in (*_REQUIRED, *_OPTIONAL) if name in table]
            for name in wanted:  # numbers are fine as labels and groups; nothing may turn into "nan"
                table[name] = table[name].astype(object).where(table[name].notna(), "").astype(str)
        else:
            table = pd.read_csv(manifest, dtype=str, keep_default_na=False, encoding="utf-8-sig")
            if not isinstance(table.index, pd.RangeIndex):  # pandas makes row names of what is too much
                raise DataError(f"{manifest}: the first row has more cells than the header names columns.")
    except DataError:
        raise
    except Exception as fault:  # on damaged files pandas and pyarrow raise nearly everything
        raise DataError(f"{manifest} cannot be read as a table: {fault}") from fault
    return table


def _parts(manifest: Path, given: pd.Series) -> pd.Series:
    parts = given.str.strip().str.lower()
    known = parts.isin(["", *PART_NAMES])
    allowed = "an unknown part; allowed are train, validation (or val), selection, test, or nothing"
    _refuse(manifest, ~known, given, allowed)
    return parts.map({"": "", **PART_NAMES})


def _refuse(manifest: Path, bad: pd.Series, values: pd.Series, what: str) -> None:
    if not bad.any():
        return
    shown = [f"row {row + 1}: {values[row]!r}" for row in bad.index[bad]]
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    raise DataError(f"{manifest}: {what} ({', '.join(shown[:5])}{more}; rows count from 1 below the header).")


def _led_outside(root: Path, files: pd.Series) -> pd.Series:
    """Which relative paths a link leads out of the root; each folder on the way is resolved once."""
    resolved: dict[str, str] = {}

    def leads_out(file: str) -> bool:
        if file.startswith("/"):
            return False
        folder = os.path.dirname(file)
        if folder not in resolved:
            resolved[folder] = os.path.realpath(root / folder)
        target = Path(resolved[folder], os.path.basename(file))
        # `os.path` never raises, however odd the path
        return not (Path(os.path.realpath(target)) if os.path.islink(target) else target).is_relative_to(root)

    return files.map(leads_out).astype(bool)
