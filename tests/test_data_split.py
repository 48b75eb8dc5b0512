"""make_split: shares, strata, whole groups, duplicates together, given parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trainables.data import PARTS, SHARES, DataError, make_split, read_split, write_split


def table(rows: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    """From (class, group, part, hash); files are f000, f001, ... and an empty hash is unique."""
    return pd.DataFrame(
        [(f"f{n:03}", c, g, p, h or f"unique {n}") for n, (c, g, p, h) in enumerate(rows)],
        columns=["file", "class", "group", "part", "hash"],
    )


def random_table(rng: np.random.Generator) -> pd.DataFrame:
    """Uneven classes, groups of all sizes (some over two classes), duplicates, in random order."""
    rows = []
    for c in range(rng.integers(2, 7)):
        for _ in range(rng.integers(1, 60)):
            group = f"g{c - rng.integers(0, 2)}-{rng.integers(0, 30)}" if rng.random() < 0.5 else ""
            rows.append((f"c{c}", group, "", f"h{rng.integers(0, 200)}" if rng.random() < 0.2 else ""))
    return table(rows).sample(frac=1, random_state=int(rng.integers(1 << 31)))


def counts(split: pd.DataFrame) -> pd.DataFrame:
    """Pictures a class (rows) and part (columns)."""
    return pd.crosstab(split["class"], split["part"]).reindex(columns=list(PARTS), fill_value=0)


def parts_of(files: pd.DataFrame, split: pd.DataFrame, column: str) -> pd.Series:
    """In how many parts each value of a column is."""
    joined = split[["file", "part"]].merge(files[["file", column]], on="file")
    return joined[joined[column] != ""].groupby(column)["part"].nunique()


@pytest.mark.parametrize("seed", range(40))
def test_every_picture_is_in_one_part_and_no_group_or_duplicate_in_two(seed: int) -> None:
    files = random_table(np.random.default_rng(seed))
    split = make_split(files, seed=seed)
    assert list(split.columns) == ["file", "class", "group", "part"]
    assert split["file"].tolist() == sorted(files["file"])
    assert set(split["part"]) <= set(PARTS)
    assert (parts_of(files, split, "group") <= 1).all()
    assert (parts_of(files, split, "hash") == 1).all()
    merged = split.merge(files, on="file", suffixes=("", "_given"))
    assert (merged["class"] == merged["class_given"]).all()
    assert (merged["group"] == merged["group_given"]).all()


def test_a_chain_of_groups_and_duplicates_stays_together() -> None:
    rows = [("a", "g1", "", ""), ("a", "g1", "", "x"), ("b", "", "", "x"), ("b", "", "", "y")]
    rows += [("a", "g2", "", "y"), ("a", "g2", "", "")]
    rows += [("a", "", "", ""), ("b", "", "", "")] * 20
    split = make_split(table(rows), seed=0)
    assert split["part"][:6].nunique() == 1


@pytest.mark.parametrize("n", [10, 11, 12, 13, 17, 20, 50, 101, 1000])
def test_single_pictures_are_shared_out_to_within_one_a_class(n: int) -> None:
    split = make_split(table([("a", "", "", "")] * n + [("b", "", "", "")] * 30), seed=1)
    for part, share in SHARES.items():
        assert abs(counts(split).loc["a", part] - share * n) < 1


def test_rounding_does_not_add_up_over_many_classes() -> None:
    split = make_split(table([(f"c{n % 50}", "", "", "") for n in range(50 * 14)]), seed=0)
    reached = split["part"].value_counts(normalize=True)
    for part, share in SHARES.items():
        assert abs(reached[part] - share) < 0.015


@pytest.mark.parametrize("seed", range(20))
def test_shares_are_met_with_groups_as_far_as_groups_allow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        (f"c{c}", f"{c}-{g}", "", "") for c in range(5) for g in range(25) for _ in range(rng.integers(1, 9))
    ]
    files = table(rows)
    found = counts(make_split(files, seed=seed))
    for name, row in found.iterrows():
        largest = files[files["class"] == name].groupby("group").size().max()
        for part, share in SHARES.items():
            assert abs(row[part] - share * row.sum()) <= largest


@pytest.mark.parametrize("sizes", [[1] * 4, [50, 1, 1, 1], [20, 20, 20, 20], [30, 30, 1, 1, 1], [9, 3, 3, 1]])
def test_a_class_with_as_many_groups_as_parts_is_in_every_part(sizes: list[int]) -> None:
    rows = [("small", f"g{n}", "", "") for n, size in enumerate(sizes) for _ in range(size)]
    rows += [("large", "", "", "")] * 100
    found = counts(make_split(table(rows), seed=3))
    assert (found.loc["small"] >= 1).all()


def test_a_class_of_one_group_goes_to_train() -> None:
    rows = [("one", "g", "", "")] * 10 + [("large", "", "", "")] * 50
    assert counts(make_split(table(rows), seed=0)).loc["one"].tolist() == [10, 0, 0, 0]


def test_large_groups_dont_push_a_small_part_over_its_share() -> None:
    rows = [("a", f"large {n}", "", "") for n in range(3) for _ in range(20)] + [("a", "", "", "")] * 40
    assert counts(make_split(table(rows), seed=0)).loc["a"].tolist() == [60, 10, 10, 20]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    files = random_table(np.random.default_rng(seed))
    again = files.sample(frac=1, random_state=1).set_index(np.arange(len(files)) + 7)
    pd.testing.assert_frame_equal(make_split(files, seed=9), make_split(again, seed=9))


def test_the_seed_decides() -> None:
    files = random_table(np.random.default_rng(0))
    first, second, other = (make_split(files, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, second)
    assert (first["part"] != other["part"]).any()


def test_the_input_is_left_as_it_was() -> None:
    files = random_table(np.random.default_rng(0))
    before = files.copy(deep=True)
    make_split(files, seed=0)
    pd.testing.assert_frame_equal(files, before)


# Given parts


def test_given_parts_stay_and_missing_ones_are_carved_out_of_train() -> None:
    files = table([("a", "", "train", "")] * 80 + [("a", "", "test", "")] * 30)
    split = make_split(files, seed=0)
    assert (split["part"][80:] == "test").all()
    assert counts(split).loc["a"].tolist() == [60, 10, 10, 30]


def test_a_test_part_is_carved_out_of_train_where_none_is_given() -> None:
    files = table([("a", "", "train", "")] * 90 + [("a", "", "validation", "")] * 20)
    split = make_split(files, seed=0)
    assert (split["part"][90:] == "validation").all()
    assert counts(split).loc["a"].tolist() == [60, 20, 10, 20]


def test_pictures_without_a_part_fill_train_and_the_missing_parts() -> None:
    files = table([("a", "", "", "")] * 80 + [("a", "", "test", "")] * 5)
    assert counts(make_split(files, seed=0)).loc["a"].tolist() == [60, 10, 10, 5]


def test_nothing_is_moved_when_every_part_is_given() -> None:
    files = table([("a", "", part, "") for part in PARTS for _ in range(3)] + [("a", "", "", "")] * 4)
    split = make_split(files, seed=0)
    assert split["part"].tolist() == files["part"].tolist()[:12] + ["train"] * 4


def test_a_picture_given_to_train_and_test_stays_in_test_only() -> None:
    files = table([("a", "", "train", "x"), ("a", "", "test", "x")] + [("a", "", "train", "")] * 20)
    split = make_split(files, seed=0)
    assert "f000" not in set(split["file"])
    assert split.set_index("file")["part"]["f001"] == "test"
    assert len(split) == 21


def test_the_groups_of_such_a_picture_leave_train_too() -> None:
    rows = [("a", "scene", "train", ""), ("a", "scene", "train", "x"), ("b", "", "validation", "x")]
    split = make_split(table(rows + [("a", "", "train", "")] * 20), seed=0)
    assert not {"f000", "f001"} & set(split["file"])
    assert split.set_index("file")["part"]["f002"] == "validation"


def test_a_picture_without_a_part_follows_its_duplicate() -> None:
    files = table([("a", "", "", "x"), ("a", "", "test", "x")] + [("a", "", "", "")] * 20)
    assert make_split(files, seed=0)["part"][:2].tolist() == ["test", "test"]


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(
        DataError, match="unknown part 'exam'; allowed are train, validation, selection, test"
    ):
        make_split(table([("a", "", "exam", "")]), seed=0)


def test_a_part_with_share_0_stays_empty() -> None:
    files = table([("a", "", "", "")] * 40)
    split = make_split(files, seed=0, shares={"train": 0.75, "test": 0.25})
    assert counts(split).loc["a"].tolist() == [30, 0, 0, 10]


# On disk


def test_a_written_split_reads_back_as_it_was(tmp_path: Path) -> None:
    files = table([("01", "", "", ""), ("NA", "g", "", ""), ('a,"b"', "", "", "")] * 5)
    split = make_split(files, seed=0)
    write_split(split, tmp_path / "split.csv")
    assert read_split(tmp_path / "split.csv").to_dict() == split.to_dict()


def test_another_table_is_not_a_split(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("path,label\n1,2\n")
    with pytest.raises(DataError, match="is not a split: wanted are the columns file, class, group, part"):
        read_split(tmp_path / "x.csv")
