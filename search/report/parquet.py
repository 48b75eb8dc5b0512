"""The ranked table with a type for each column, for pandas and other tools that read Parquet."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd

TYPES = {
    "rank": "int64",
    "trial": "int64",
    "score": "float64",
    "outcome": "string",
    "family": "string",
    "epochs": "int64",
    "passes": "float64",
    "seconds": "float64",
    "images_per_s": "float64",
    "on_front": "boolean",
    "rematch": "float64",
    "rematch_low": "float64",
    "rematch_high": "float64",
    "origin": "string",
    "control": "float64",
    "error": "string",
}
"""Of the columns that are no settings. Costs and the metric beside them are numbers, and found to be."""


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """The ranked table (`facts.ranked_table`) as a Parquet file."""
    out = io.BytesIO()
    typed(table).to_parquet(out, index=False)
    return out.getvalue()


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """The ranked table with typed columns.

    A setting is `boolean`, `Int64`, `float64` or `string`, whatever holds all of its values; lists are JSON.
    A setting that is null, and one that a trial does not have, are both missing values: `leaderboard.csv`
    tells them apart.
    """
    return pd.DataFrame({name: _typed(str(name), column) for name, column in table.items()})


def _typed(name: str, column: pd.Series) -> pd.Series:
    if name == "on_front":
        column = column.map({"yes": True, "no": False})
    return column.astype(pd.api.types.pandas_dtype(TYPES[name])) if name in TYPES else _setting(column)


def _setting(column: pd.Series) -> pd.Series:
    values = [None if value == "null" else value for value in column]
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, bool) for value in given):
        return pd.Series(values, dtype="boolean")
    if given and all(_is_number(value) for value in given):
        whole = all(isinstance(value, int) for value in given)
        return pd.Series(values, dtype="Int64" if whole else "float64")
    return pd.Series([None if value is None else _text(value) for value in values], dtype="string")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
