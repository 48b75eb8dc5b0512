"""Divides the pictures into parts so that no scene and no picture is in two of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from trainables.data.errors import DataError

PARTS = ("train", "validation", "selection", "test")
"""Training; validation steers the search and early stopping; selection is unseen until the final choice
among the best; test is unseen until the end. Where a unit was given to several parts, it stays in the one
that comes last here."""
SHARES: Mapping[str, float] = {"train": 0.6, "validation": 0.1, "selection": 0.1, "test": 0.2}
"""Default shares of the pictures."""

_COLUMNS = ["file", "class", "group", "part"]


def make_split(files: pd.DataFrame, *, seed: int, shares: Mapping[str, float] = SHARES) -> pd.DataFrame:
    """Gives each picture a part: stratified by class, whole units only, the same for the same seed.

    A unit is a set of pictures that have to stay together: those of a group, those with equal pixels, and
    all that hang together through either. Units are handed out large ones first, in random order among
    equals, each to the part where it takes off most of the squared distance between the wanted and the
    reached number of pictures a class. As soon as a class has only as many units left as it has parts
    without any, these go to such parts; so a class with at least as many units as parts is in every part.

    Parts that are given stay as they are. Pictures given to train or to nothing fill train and those
    parts that are given to no picture at all. A unit that was given to several parts keeps only its
    pictures in the last of these (see `PARTS`): its others are left out of the split, so that the given
    test part stays as it was and nothing in it was trained on.

    Args:
        files: Text columns `file` (unique), `class`, `group`, `part` (these two may be empty), `hash`.
        seed: Decides the order among units of the same size.
        shares: Wanted shares of the parts; parts with share 0 stay empty.

    Returns:
        Columns `file`, `class`, `group`, `part`, sorted by file; independent of the order of `files`.
    """
    files = files.sort_values("file", ignore_index=True)
    files["unit"] = _units(files)
    rank = files["part"].map({"": -1, **{part: rank for rank, part in enumerate(PARTS)}})
    if rank.isna().any():
        raise DataError(
            f"unknown part {files['part'][rank.isna()].iloc[0]!r}; allowed are {', '.join(PARTS)}"
        )
    highest = rank.groupby(files["unit"]).transform("max")
    files = files[(rank == highest) | (rank == -1)].reset_index(drop=True)
    unit_rank = highest[(rank == highest) | (rank == -1)].reset_index(drop=True)

    fixed = unit_rank > 0
    given = set(files["part"])
    open_parts = [p for p in PARTS if shares.get(p, 0) > 0 and (p == "train" or p not in given)] or ["train"]
    part = unit_rank.map(dict(enumerate(PARTS))).where(fixed, "")
    free = files[~fixed]
    if len(free):
        chosen = _fill(free, {p: shares.get(p, 0.0) for p in open_parts}, np.random.default_rng(seed))
        part[~fixed] = free["unit"].map(chosen)
    return files.assign(part=part)[_COLUMNS]


def _units(files: pd.DataFrame) -> np.ndarray:
    """A number a row that is equal for rows of one unit: int64 (N,), counted by first appearance."""
    parent = np.arange(len(files))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for column in ("group", "hash"):
        first: dict[str, int] = {}
        for row, value in enumerate(files[column]):
            if value:
                parent[root(row)] = root(first.setdefault(value, row))
    return pd.factorize(np.array([root(row) for row in range(len(files))], dtype=np.int64))[0]


def _fill(files: pd.DataFrame, shares: Mapping[str, float], rng: np.random.Generator) -> dict[int, str]:
    """The part of each unit."""
    parts = list(shares)
    counts = pd.crosstab(files["unit"], files["class"]).sort_index()
    units, count = counts.index.to_numpy(), counts.to_numpy(np.float64)  # count: (units, classes)
    share = np.array([shares[part] for part in parts])
    room = np.outer(share / share.sum(), count.sum(axis=0))  # pictures still wanted: (parts, classes)
    absent = np.ones(room.shape, bool)  # the class is not in the part yet
    units_left = (count > 0).sum(axis=0)

    shuffled = rng.permutation(len(units))
    chosen: dict[int, str] = {}
    for unit in shuffled[np.argsort(-count[shuffled].sum(axis=1), kind="stable")]:
        classes = np.flatnonzero(count[unit])
        allowed = np.ones(len(parts), bool)
        for c in classes:
            if units_left[c] <= absent[:, c].sum() and (allowed & absent[:, c]).any():
                allowed &= absent[:, c]
        # A unit with k pictures a class changes the squared distance |room|^2 by |k|^2 - 2 k.room, so the
        # largest k.room is best. Among equals the part that is furthest behind over all classes.
        gain = np.round(room @ count[unit], 6)
        best = max(np.flatnonzero(allowed), key=lambda p: (gain[p], np.round(room[p].sum(), 6), -p))
        chosen[int(units[unit])] = parts[best]
        room[best] -= count[unit]
        absent[best, classes] = False
        units_left[classes] -= 1
    return chosen


def write_split(split: pd.DataFrame, path: Path) -> None:
    """Writes a split as a CSV file."""
    split[_COLUMNS].to_csv(path, index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)


def read_split(path: Path) -> pd.DataFrame:
    """Reads what `write_split` wrote; a class called `01` or `NA` stays text.

    Raises:
        DataError: The file is not a split.
    """
    try:
        split = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as fault:
        raise DataError(f"{path} cannot be read as a split: {fault}") from fault
    if list(split.columns) != _COLUMNS or not split["part"].isin(PARTS).all():
        raise DataError(
            f"{path} is not a split: wanted are the columns {', '.join(_COLUMNS)}, part in {PARTS}"
        )
    return split


def groups_of(split: pd.DataFrame, part: str) -> np.ndarray:
    """The group of each picture of a part, in its order, int64 (N,); what has no group is one by itself."""
    found = split[split["part"] == part]
    names = ("group " + found["group"]).where(found["group"] != "", "file " + found["file"])
    return pd.factorize(names)[0]
