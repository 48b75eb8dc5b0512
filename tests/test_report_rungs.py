"""Who came to which rung with what score, and what became of it: compared with pandas over the epochs."""

from __future__ import annotations

import copy
import math

import pandas as pd
import pytest

from search.policy.rungs import Rungs
from search.report import facts, figures, ladder, style
from search.report.facts.view import SearchView
from search.trials.trials import METRICS, Outcome
from tests.synthetic import EPOCHS, synthetic_search, synthetic_view


def _view(trials: int = 60, **changes: object) -> SearchView:
    """A search with rungs at 1 and 3 passes, and some controls."""
    records = copy.deepcopy(synthetic_search(trials))
    for record in records[1::10]:
        if record.outcome is Outcome.COMPLETE:
            record.control = 3.0
    return synthetic_view(records, settings={"max_epochs": EPOCHS, "reduction": 3}, **changes)


def _epochs(view: SearchView) -> pd.DataFrame:
    """All epochs with a result: a diverged trial's last has none."""
    return pd.DataFrame(
        [
            {"trial": record.number, "passes": epoch.passes, "score": epoch.metrics[view.metric.name]}
            for record in view.records
            for epoch in record.history
            if record.outcome is not Outcome.DIVERGED or epoch.epoch < record.epochs_done
        ]
    )


def test_the_levels_are_those_of_the_stopping_rule_but_for_the_full_length():
    assert facts.levels(_view()) == Rungs(EPOCHS, reduction=3).levels[:-1] == [1.0, 3.0]
    assert facts.levels(synthetic_view(settings={})) == []


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_every_trial_comes_to_the_rungs_that_its_epochs_pass_with_the_score_that_it_had(metric):
    view = _view(metric=METRICS[metric])
    epochs = _epochs(view)
    found = pd.DataFrame(facts.arrivals(view))
    for rung in facts.levels(view):
        wanted = epochs[epochs["passes"] >= rung].groupby("trial").first()["score"]
        pd.testing.assert_series_equal(
            found[found["rung"] == rung].set_index("trial")["score"], wanted, check_names=False
        )


def test_a_trial_that_keeps_its_best_weights_has_their_score_at_a_rung():
    view = _view()
    record = next(r for r in view.records if r.outcome is Outcome.COMPLETE)
    record.trial.recipe["keep"] = "best"
    record.history[0].metrics["val_loss"] = 1e-6  # the first epoch's weights stay the best
    scores = {a.rung: a.score for a in facts.arrivals(view) if a.trial == record.number}
    assert scores == dict.fromkeys([1.0, 3.0], record.history[0].metrics["val_accuracy"])


def test_the_fates_are_what_the_records_say():
    view = _view()
    by_number = {record.number: record for record in view.records}
    found = facts.arrivals(view)
    for arrival in found:
        record = by_number[arrival.trial]
        stopped = record.outcome is Outcome.STOPPED and record.passes == arrival.rung
        control = record.control == arrival.rung
        assert (arrival.fate == facts.STOPPED) == stopped
        assert (arrival.fate == facts.CONTROL) == control
        assert (arrival.fate == facts.WENT_ON) == (record.passes > arrival.rung and not control)
    assert {arrival.fate for arrival in found} == {facts.STOPPED, facts.CONTROL, facts.WENT_ON}
    stops = sum(record.outcome is Outcome.STOPPED for record in view.records)
    assert sum(arrival.fate == facts.STOPPED for arrival in found) == stops


def test_a_trial_that_runs_or_was_ended_by_the_budget_at_a_rung_was_neither_stopped_nor_went_on():
    view = _view()
    stopped = [r for r in view.records if r.outcome is Outcome.STOPPED and r.passes == 3]
    stopped[0].error = "ended by the budget"
    stopped[1].outcome = None
    fates = {a.trial: a.fate for a in facts.arrivals(view) if a.rung == 3}
    assert fates[stopped[0].number] == fates[stopped[1].number] == facts.OTHERWISE
    assert fates[stopped[2].number] == facts.STOPPED


def test_fates_are_counted_as_pandas_counts_them():
    found = facts.arrivals(_view())
    wanted = pd.DataFrame(found).groupby(["rung", "fate"]).size()
    counted = {(rung, fate): n for rung, of in facts.fates(found).items() for fate, n in of.items() if n}
    assert counted == wanted.to_dict()


def test_a_stopped_curve_says_at_which_rung():
    view = _view()
    by_number = {record.number: record for record in view.records}
    for curve in facts.learning_curves(view, ["val_accuracy"]):
        record = by_number[curve.trial]
        assert curve.rung == (record.passes if record.outcome is Outcome.STOPPED else None)


def test_the_curves_are_marked_with_the_rungs():
    view = _view()
    palette = style.colours(facts.families(view.records))
    found = facts.learning_curves(view, ["val_accuracy"])
    figure = figures.curves(found, "val_accuracy", "accuracy", palette, None, facts.levels(view))
    assert [(line.x0, line.x1) for line in figure.layout.shapes] == [(1, 1), (3, 3)]
    assert [note.text for note in figure.layout.annotations] == ["rung 1", "rung 3"]
    told = {
        trial: words
        for trace in figure.data
        if trace.mode == "markers"
        for trial, words in zip(trace.customdata, trace.hovertext, strict=True)
    }
    for curve in found:
        stop = f"stopped at the rung of {curve.rung:g}" if curve.rung else f"{curve.passes[-1]:g} passes"
        assert told[curve.trial] == stop


def test_a_line_runs_through_every_epoch_of_its_trial_and_stops_before_the_next():
    found = facts.learning_curves(_view(), ["val_accuracy"])
    palette = style.colours(sorted({curve.family for curve in found}))
    figure = figures.curves(found, "val_accuracy", "accuracy", palette, None)
    lines: dict[int, list[tuple[float, float]]] = {}
    for trace in figure.data:
        if trace.mode == "lines":
            for trial, x, y in zip(trace.customdata, trace.x, trace.y, strict=True):
                assert math.isnan(trial) == math.isnan(x)
                if not math.isnan(trial):
                    lines.setdefault(int(trial), []).append((x, y))
    for curve in found:
        assert [x for x, _ in lines[curve.trial]] == curve.passes
        assert [y for _, y in lines[curve.trial]] == pytest.approx(curve.values["val_accuracy"], nan_ok=True)


def test_every_arrival_is_a_mark_in_the_column_of_its_rung():
    view = _view()
    found = facts.arrivals(view)
    figure = ladder.ladder(found, view.metric, style.colours(facts.families(view.records)))
    marks = {
        (data[0], round(x)): (y, trace.marker.symbol)
        for trace in figure.data
        for data, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }
    assert len(marks) == len(found)
    for arrival in found:
        column = facts.levels(view).index(arrival.rung)
        assert marks[arrival.trial, column] == (arrival.score, ladder.SYMBOLS[arrival.fate])
