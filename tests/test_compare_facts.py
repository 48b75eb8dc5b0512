"""The facts of a comparison, against pandas; and which searches are said to compare."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search.compare.cohorts import cohorts, differences
from search.compare.differing import recipes, settings, side_by_side
from search.compare.entry import Entry, Identity, names_of
from search.compare.look import LEAST_PX, apart
from search.compare.overview import overview
from search.compare.progress import progress
from search.compare.scores import scores
from search.settings.objectives import Objectives
from search.trials.trials import METRICS, TrialRecord
from tests.synthetic import START, synthetic_search, synthetic_view

SAME = Identity("abc", ("anna", "bert"), "split", "val_accuracy")


def entry(name: str = "mine", identity: Identity = SAME, **changes: Any) -> Entry:
    return Entry(name, Path("results") / name, synthetic_view(**changes), identity)


def frame(records: list[TrialRecord]) -> pd.DataFrame:
    """A row an epoch, in the order in which they came."""
    rows = [
        {
            "trial": record.number,
            "time": epoch.time,
            "passes": epoch.passes,
            "ended": record.ended,
            "outcome": str(record.outcome),
            **epoch.metrics,
        }
        for record in records
        for epoch in record.history
    ]
    return pd.DataFrame(rows).sort_values("time", ignore_index=True)


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_steps_are_where_the_best_score_over_time_changes_with_the_passes_of_all_until_then(
    metric: str,
) -> None:
    records = synthetic_search(40)
    found = progress(entry(identity=SAME._replace(metric=metric), records=records))
    epochs = frame(records)
    epochs["more"] = epochs["passes"] - epochs.groupby("trial")["passes"].shift(fill_value=0.0)
    last = epochs.groupby("trial").last()
    last = last[last["outcome"] != "diverged"].sort_values("ended")
    best = last[metric].cummax() if metric == "val_accuracy" else last[metric].cummin()
    steps = last[best != best.shift()]
    assert [step.trial for step in found.steps] == list(steps.index)
    assert [step.score for step in found.steps] == list(steps[metric])
    np.testing.assert_allclose([step.seconds for step in found.steps], steps["ended"] - START)
    until = [epochs["more"][epochs["time"] <= moment].sum() for moment in steps["ended"]]
    np.testing.assert_allclose([step.passes for step in found.steps], until)
    assert found.end_passes == pytest.approx(epochs["more"].sum())
    assert found.end_s == pytest.approx(max(r.ended for r in records if r.ended) - START)


def test_time_between_sessions_is_left_out_of_the_steps() -> None:
    records = copy.deepcopy(synthetic_search(12))
    middle = sorted(record.started for record in records)[6]
    together = progress(entry(records=records)).end_s
    first, last = (START - 3.0, middle + 5.0), (middle + 100.0, max(r.ended or 0.0 for r in records) + 100.0)
    for record in records:
        for place, epoch in enumerate(record.history):
            if epoch.time > middle + 5.0:
                record.history[place] = replace(epoch, time=epoch.time + 95.0)
        if record.ended and record.ended > middle + 5.0:
            record.ended += 95.0
    assert progress(entry(records=records, sessions=(first, last))).end_s == pytest.approx(together + 3.0)


def test_scores_are_those_of_the_trials_with_their_quartiles() -> None:
    records = synthetic_search(40)
    found = scores(entry(records=records))
    last = frame(records).groupby("trial").last()
    last = last[last["outcome"] != "diverged"]["val_accuracy"].sort_values(ascending=False)
    assert dict(zip(found.trials, found.scores, strict=True)) == dict(last)
    assert found.scores == list(last)
    np.testing.assert_allclose(found.quartiles, last.quantile([0.25, 0.5, 0.75]))
    assert [str(records[trial].outcome) for trial in found.trials] == found.outcomes
    few = found.thinned(7)
    assert len(few.trials) == len(few.scores) == len(few.outcomes) == 7
    assert few.quartiles == found.quartiles
    assert found.thinned(1000) == found


def test_a_search_without_a_score_has_no_steps_and_no_quartiles() -> None:
    nothing = entry(records=[], settings={}, data={}, state="running")
    assert progress(nothing).steps == []
    assert scores(nothing).quartiles is None
    row = overview(nothing)
    assert (row.best, row.trial, row.tested, row.trials) == (None, None, None, 0)


def test_a_row_counts_what_the_records_say() -> None:
    records = copy.deepcopy(synthetic_search(40))
    for record in records[-3:]:
        record.outcome, record.ended, record.error = None, None, None
    row, counted = (
        overview(entry(records=records)),
        pd.Series([str(r.outcome) for r in records]).value_counts(),
    )
    assert row.trials == 40
    assert (row.complete, row.stopped, row.running) == tuple(counted[["complete", "stopped", "None"]])
    assert row.failed == 40 - row.complete - row.stopped - row.running
    epochs = frame(records)
    assert row.epochs == len(epochs)
    assert row.passes == pytest.approx(epochs.groupby("trial")["passes"].max().sum())


def test_a_search_with_costs_is_compared_by_its_metric_alone() -> None:
    objectives = Objectives(METRICS["val_accuracy"], {"params": 0.1})
    records = copy.deepcopy(synthetic_search())
    for record in records:
        for place, epoch in enumerate(record.history):
            costs = {
                "parameters": 1e6 * (1 + record.number),
                "penalised_val_accuracy": 1.0 - record.number / 50,
            }
            record.history[place] = replace(epoch, metrics=epoch.metrics | costs)
    found = entry(records=records, objectives=objectives, metric=objectives.scored_by)
    assert found.winner is not None
    row = overview(found)
    assert row.trial == 0  # the least penalised
    assert row.best == records[0].score(METRICS["val_accuracy"])
    assert row.parameters == 1_000_000
    assert max(scores(found).scores) > row.best


def test_only_searches_of_one_metric_on_the_same_pictures_and_parts_are_together() -> None:
    given = [
        entry("signs", SAME._replace(pictures="xyz", classes=("a", "b", "c")), settings={"data": "signs"}),
        entry("weak", records=synthetic_search(3)),
        entry("other_seed", SAME._replace(split="other"), settings={"data": "pictures", "seed": 1}),
        entry("strong", records=synthetic_search(40)),
        entry("by_loss", SAME._replace(metric="val_loss")),
    ]
    found = cohorts(given)
    assert [[one.name for one in cohort.entries] for cohort in found] == [
        ["strong", "weak"],
        ["signs"],
        ["other_seed"],
        ["by_loss"],
    ]
    assert [one.number for cohort in found for one in cohort.entries] == [1, 2, 3, 4, 5]
    assert [cohort.compares for cohort in found] == [True, False, False, False]
    assert [cohort.differs for cohort in found] == [
        [],
        ["other pictures, signs", "3 classes, not 2"],
        ["the same pictures, but divided otherwise into parts (--seed 1, not 0)"],
        ["ranked by validation loss, not validation accuracy"],
    ]


def test_pictures_that_changed_in_their_place_are_told_from_others() -> None:
    one, other = entry(), entry(identity=SAME._replace(pictures="xyz", classes=("anna", "carl")))
    assert list(differences(one, other)) == ["other pictures, though from the same place", "other classes"]


def test_what_is_shared_is_apart_from_what_differs_and_missing_is_not_null() -> None:
    things = [{"a": 1, "b": None, "c": 0.1, "d": "x"}, {"a": 1, "c": 0.2, "d": "x", "e": True}]
    found = side_by_side(things)
    assert found.shared == {"a": "1", "d": "x"}
    assert found.differing == {"b": ["null", None], "c": ["0.1", "0.2"], "e": [None, "true"]}


def test_names_of_a_section_stay_together_whoever_has_them() -> None:
    things = [{"model.name": "a", "optim.lr": 1}, {"model.name": "b", "model.args.width": 2, "optim.lr": 2}]
    assert list(side_by_side(things).differing) == ["model.name", "model.args.width", "optim.lr"]


def test_numbers_that_differ_never_look_alike() -> None:
    found = side_by_side([{"lr": 0.0012341}, {"lr": 0.0012342}, {"lr": 0.0012341}])
    assert found.differing == {"lr": ["0.0012341", "0.0012342", "0.0012341"]}


def test_recipes_hold_every_setting_of_the_winners_once() -> None:
    entries = [entry(records=synthetic_search(seed=seed)) for seed in (1, 2, 3)]
    found = recipes(entries)
    assert next(iter(found.shared)) == "model.name"
    for place, one in enumerate(entries):
        assert one.winner is not None
        rate = one.winner.trial.recipe["optim"]["lr"]
        assert float(found.differing["optim.lr"][place] or "nan") == pytest.approx(rate, rel=0.01)
    assert not found.differing.keys() & found.shared.keys()
    alike = recipes([entries[0], entries[0]])
    assert alike.differing == {}
    assert alike.shared.keys() == (recipes([entries[0]]).shared).keys()


def test_settings_tell_the_machines_and_leave_out_names_and_caches() -> None:
    asked = {"data": "pictures", "seed": 0, "cache_dir": "/a", "objectives": {"latency": 0.1}, "name": "a"}
    one = entry(settings=asked, environment={"cpus": 2, "gpus": [], "git_commit": "0123456789ab"})
    other = entry(settings=asked | {"name": "b", "cache_dir": "/b", "seed": 1}, environment={"cpus": 8})
    found = settings([one, other])
    assert found.differing == {
        "seed": ["0", "1"],
        "machine.cpus": ["2", "8"],
        "machine.gpus": ["[]", None],
        "program": ["0123456789", None],
    }
    assert found.shared == {"data": "pictures", "objectives.latency": "0.1"}


def test_names_are_as_long_as_tells_folders_apart() -> None:
    assert names_of([Path("/r/a"), Path("/r/b")]) == ["a", "b"]
    assert names_of([Path("/r/a"), Path("/s/a")]) == ["r/a", "s/a"]


def test_numbers_at_the_ends_of_lines_stand_apart_and_as_near_as_they_can() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 5, 20):
        heights = rng.uniform(0, 340, count)
        shifts = apart(heights, 340, beside=[1.0] * count, near=0.1)
        moved = np.sort(heights + shifts)
        assert (np.diff(moved) >= LEAST_PX - 1e-6).all()
        assert moved[0] >= 0
        assert moved[-1] <= 340
    assert apart([10, 100], 340, beside=[1.0, 1.0], near=0.1) == [0, 0]
    assert apart([10, 10], 340, beside=[1.0, 2.0], near=0.1) == [0, 0]
    low, high = apart([100, 104], 340, beside=[1.0, 1.0], near=0.1)
    assert (low, high) == (-5, 5)
