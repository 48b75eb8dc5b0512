"""The ranked table: one row a trial, the same on the page and in `leaderboard.csv`."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from search.report.facts.front import candidates
from search.report.facts.rematch import rematch
from search.report.facts.settings import FAMILY, family, setting_values, varied_paths
from search.report.facts.view import SearchView, outcome_name
from search.trials.trials import TrialRecord, ranked


def ranked_table(view: SearchView) -> pd.DataFrame:
    """The trials from best to worst.

    Columns: `rank` (from 1), `trial`, `score` (see `TrialRecord.score`); where costs count beside the metric,
    the metric, each cost, and `on_front` (`yes` or `no`); where there was a rematch, of its contenders
    `rematch` (the mean), `rematch_low` and `rematch_high` (its 95% interval); `outcome`, `family`, `epochs`,
    `passes` (over the training part), `seconds`, `images_per_s` (mean over the epochs); then one a varied
    recipe path; then `origin` (`sampled`, or where a given recipe is from), where the search has controls
    `control` (`TrialRecord.control`), and `error`. All are of dtype object, so that whole numbers stay whole;
    a cell without a value is None, and a setting whose value is null is the string `null`.
    """
    paths = [path for path in varied_paths(view.records) if path != FAMILY]
    rows = [
        _row(rank, record, view, paths)
        for rank, record in enumerate(ranked(view.records, view.metric), start=1)
    ]
    columns = ["rank", "trial", "score", "outcome", "family", "epochs", "passes", "seconds", "images_per_s"]
    table = pd.DataFrame(rows, columns=[*columns, *paths, "origin", "control", "error"], dtype=object)
    for name, cells in (_of_objectives(view) | _of_rematch(view)).items():
        found = pd.Series([cells.get(trial) for trial in table["trial"]], dtype=object)
        table.insert(list(table.columns).index("outcome"), name, found)
    audited = any(record.control is not None for record in view.records)
    return table if audited else table.drop(columns="control")


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
        record.control,
        record.error,
    ]


def _of_rematch(view: SearchView) -> dict[str, dict[int, Any]]:
    """The same for the rematch."""
    found = rematch(view)
    if found is None:
        return {}
    known = {one.trial: one.interval or (None, None) for one in found.contenders}
    return {
        "rematch": {one.trial: one.mean for one in found.contenders},
        "rematch_low": {trial: low for trial, (low, _) in known.items()},
        "rematch_high": {trial: high for trial, (_, high) in known.items()},
    }


def _of_objectives(view: SearchView) -> dict[str, dict[int, Any]]:
    """Columns for what counts beside the metric, by name, each with its cells by trial."""
    if view.objectives is None:
        return {}
    found, costs = candidates(view), view.objectives.costs
    return {
        view.objectives.metric.name: {entry.trial: entry.metric for entry in found},
        **{cost.key: {entry.trial: entry.costs[cost.key] for entry in found} for cost in costs},
        "on_front": {entry.trial: "yes" if entry.on_front else "no" for entry in found},
    }


def _images_per_s(record: TrialRecord) -> float | None:
    """Mean over the epochs that report a speed."""
    speeds = [epoch.metrics.get("images_per_s", math.nan) for epoch in record.history]
    speeds = [speed for speed in speeds if math.isfinite(speed)]
    return sum(speeds) / len(speeds) if speeds else None
