"""The ranked table: one row a trial, the same on the page and in `leaderboard.csv`."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from search.report.facts.settings import FAMILY, family, setting_values, varied_paths
from search.report.facts.view import SearchView, outcome_name
from search.trials import TrialRecord, ranked


def ranked_table(view: SearchView) -> pd.DataFrame:
    """The trials from best to worst.

    Columns: `rank` (from 1), `trial`, `score` (see `TrialRecord.score`), `outcome`, `family`, `epochs`,
    `passes` (over the training part), `seconds`, `images_per_s` (mean over the epochs); then one a varied
    recipe path; then `origin` (`sampled`, or where a given recipe is from) and `error`. All are of dtype
    object, so that whole numbers stay whole; a cell without a value is None, and a setting whose value is
    null is the string `null`.
    """
    paths = [path for path in varied_paths(view.records) if path != FAMILY]
    rows = [
        _row(rank, record, view, paths)
        for rank, record in enumerate(ranked(view.records, view.metric), start=1)
    ]
    columns = ["rank", "trial", "score", "outcome", "family", "epochs", "passes", "seconds", "images_per_s"]
    return pd.DataFrame(rows, columns=[*columns, *paths, "origin", "error"], dtype=object)


def _row(rank: int, record: TrialRecord, view: SearchView, paths: list[str]) -> list[Any]:
    values = setting_values(record, paths)
    return [
        rank,
        record.number,
        record.score(view.metric),
        outcome_name(record, view.state),
        family(record),
        record.epochs_done,
        record.passes,
        record.seconds,
        _images_per_s(record),
        *("null" if path in values and values[path] is None else values.get(path) for path in paths),
        record.trial.source or record.trial.origin,
        record.error,
    ]


def _images_per_s(record: TrialRecord) -> float | None:
    """Mean over the epochs that report a speed."""
    speeds = [epoch.metrics.get("images_per_s", math.nan) for epoch in record.history]
    speeds = [speed for speed in speeds if math.isfinite(speed)]
    return sum(speeds) / len(speeds) if speeds else None
