"""The table as Parquet: the same rows as the CSV, with types that do not depend on how the search went."""

from __future__ import annotations

import copy
from pathlib import Path

import pandas as pd
import pytest

from search.report import facts
from search.report.page import write_leaderboard
from search.report.parquet import TYPES, parquet_bytes, typed
from search.settings.objectives import Objectives
from search.trials.trials import METRICS, TrialRecord
from tests.synthetic import synthetic_search, synthetic_view


def test_the_parquet_file_holds_the_same_table_as_the_csv(tmp_path: Path) -> None:
    view = synthetic_view()
    write_leaderboard(tmp_path, view)
    read = pd.read_parquet(tmp_path / "leaderboard.parquet")
    plain = pd.read_csv(tmp_path / "leaderboard.csv")
    assert list(read.columns) == list(plain.columns)
    for name in ("rank", "trial", "score", "epochs", "passes", "seconds", "images_per_s", "optim.lr"):
        pd.testing.assert_series_equal(read[name], plain[name], check_exact=True)
    for name in ("outcome", "family", "origin", "schedule.name"):
        assert read[name].tolist() == plain[name].tolist()
    assert read["error"].dropna().tolist() == plain["error"].dropna().tolist()


def test_settings_have_the_type_that_holds_all_of_their_values() -> None:
    table = facts.ranked_table(synthetic_view())
    found = typed(table).dtypes.astype(str).to_dict()
    assert found["optim.batch_size"] == "Int64"
    assert found["optim.lr"] == found["ema.decay"] == "float64"
    assert found["schedule.name"] == "string"


def test_a_null_and_a_setting_that_does_not_apply_are_missing_and_nothing_else_is() -> None:
    table = facts.ranked_table(synthetic_view())
    assert (table["ema.decay"] == "null").any()
    expected = [None if value in (None, "null") else value for value in table["ema.decay"]]
    assert typed(table)["ema.decay"].isna().tolist() == [value is None for value in expected]
    assert typed(table)["ema.decay"].dropna().tolist() == [value for value in expected if value is not None]


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        ([True, None, False], "boolean", [True, None, False]),
        ([3, None, 4], "Int64", [3, None, 4]),
        ([3, 0.5, "null"], "float64", [3.0, 0.5, None]),
        (["a", 3, None], "string", ["a", "3", None]),
        ([[1, 2], "null", None], "string", ["[1, 2]", None, None]),
        ([True, 1, None], "string", ["true", "1", None]),
        ([None, "null", None], "string", [None, None, None]),
    ],
)
def test_every_kind_of_setting_survives_the_file(
    values: list[object], kind: str, read: list[object], tmp_path: Path
) -> None:
    table = pd.DataFrame({"trial": [0, 1, 2], "some.setting": pd.Series(values, dtype=object)})
    (tmp_path / "table.parquet").write_bytes(parquet_bytes(table))
    column = pd.read_parquet(tmp_path / "table.parquet")["some.setting"]
    assert str(column.dtype) == kind
    assert [None if pd.isna(value) else value for value in column] == read


def unfinished() -> list[TrialRecord]:
    record = copy.deepcopy(synthetic_search(1)[0])
    record.outcome, record.ended, record.history = None, None, []
    return [record]


@pytest.mark.parametrize("records", [[], unfinished(), synthetic_search(24)], ids=["none", "one", "many"])
def test_the_fixed_columns_have_the_same_types_however_far_the_search_is(
    records: list[TrialRecord], tmp_path: Path
) -> None:
    table = facts.ranked_table(synthetic_view(records, state="running"))
    (tmp_path / "table.parquet").write_bytes(parquet_bytes(table))
    read = pd.read_parquet(tmp_path / "table.parquet")
    assert len(read) == len(records)
    sometimes = {"control", "on_front", "rematch", "rematch_low", "rematch_high"}
    expected = {name: kind for name, kind in TYPES.items() if name not in sometimes}
    assert {name: str(read[name].dtype) for name in expected} == expected


def test_costs_are_numbers_and_the_front_is_true_or_false() -> None:
    records = copy.deepcopy(synthetic_search())
    for record in records:
        for epoch in record.history:
            epoch.metrics.update(parameters=1000 + record.number, penalised_val_accuracy=0.5)
    objectives = Objectives(METRICS["val_accuracy"], {"params": 0.1})
    view = synthetic_view(records, objectives=objectives, metric=objectives.scored_by)
    table = facts.ranked_table(view)
    read = typed(table)
    assert (str(read["parameters"].dtype), str(read["val_accuracy"].dtype)) == ("Int64", "float64")
    said = read["on_front"].map({True: "yes", False: "no"})
    assert [None if pd.isna(value) else value for value in said] == table["on_front"].tolist()
