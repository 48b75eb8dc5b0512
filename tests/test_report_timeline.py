"""The time line: stints and places, compared with pandas, and what is drawn of them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pandas as pd
import pytest

from search.report import facts, style, timeline
from search.report.sections import Sections
from search.trials.trials import Epoch, Trial, TrialRecord
from tests.synthetic import START, synthetic_search, synthetic_view

NET = {"model": {"name": "net"}}


def _record(number: int, *epochs: tuple[float, float, str, str]) -> TrialRecord:
    """A trial whose epochs ended at so many seconds after the start, and took so long, on a node and device.

    A tenth of each was spent waiting for data.
    """
    record = TrialRecord(Trial(number, NET, {}, seed=0, epochs=9), START)
    for place, (end, seconds, node, device) in enumerate(epochs, start=1):
        metrics = {
            "epoch_s": seconds,
            "train_s": 0.8 * seconds,
            "data_wait_s": 0.1 * seconds,
            "val_accuracy": 0.5,
        }
        record.history.append(Epoch(number, place, float(place), metrics, node, device, START + end))
    return record


def _frame(records: list[TrialRecord]) -> pd.DataFrame:
    """All epochs."""
    return pd.DataFrame(
        [
            {"trial": r.number, "node": e.node, "device": e.device, "end": e.time - START, **e.metrics}
            for r in records
            for e in r.history
        ]
    )


def test_a_trial_in_one_place_is_one_stint_over_its_epochs():
    records = synthetic_search(40)
    found = {stint.trial: stint for stint in facts.stints(synthetic_view(records))}
    origin = min(record.started for record in records) - START
    epochs = _frame(records)
    for trial, rows in epochs.groupby("trial"):
        stint = found.pop(trial)
        first, last = rows.iloc[0], rows.iloc[-1]
        assert stint.start_s == pytest.approx(first["end"] - first["epoch_s"] - origin, abs=1e-5)
        assert stint.end_s == pytest.approx(last["end"] - origin)
        assert stint.busy_s == pytest.approx(rows["epoch_s"].sum())
        assert stint.epochs == len(rows)
    assert not found


def test_another_place_and_a_long_pause_begin_a_new_stint():
    moved = _record(0, (10, 10, "a", "cuda:0"), (20, 10, "a", "cuda:0"), (35, 10, "b", "cuda:0"))
    lost = _record(1, (10, 10, "a", "cuda:1"), (60, 10, "a", "cuda:1"))
    steady = _record(2, (10, 10, "b", "cuda:1"), (24, 10, "b", "cuda:1"))
    found = facts.stints(synthetic_view([moved, lost, steady]))
    assert [(s.trial, s.node, s.start_s, s.end_s, s.epochs) for s in found] == [
        (0, "a", 0, 20, 2),
        (1, "a", 0, 10, 1),
        (1, "a", 50, 60, 1),
        (0, "b", 25, 35, 1),
        (2, "b", 0, 24, 2),
    ]


def test_stints_of_a_place_that_overlap_are_in_different_lanes_and_no_lane_is_in_vain():
    records = [_record(n, (10 * n + 25, 25, "a", "cpu")) for n in range(8)]
    found = facts.stints(synthetic_view(records))
    for one, other in itertools.combinations(found, 2):
        if one.start_s < other.end_s and other.start_s < one.end_s:
            assert one.lane != other.lane
    assert {stint.lane for stint in found} == {0, 1, 2}


def test_the_time_between_sessions_is_left_out():
    record = _record(0, (10, 10, "a", "cpu"), (1010, 10, "a", "cpu"))
    view = synthetic_view([record], sessions=((START, START + 10), (START + 1000, START + 1010)))
    assert [(s.start_s, s.end_s) for s in facts.stints(view)] == [(0, 10), (10, 20)]


def test_places_add_up_what_was_trained_there():
    devices = ["cuda:0", "cuda:1"]
    records = [
        _record(n, (20 * n + 10, 10, "a", devices[n % 2]), (20 * n + 21, 11, "a", devices[n % 2]))
        for n in range(5)
    ]
    found = {
        (place.node, place.device): place for place in facts.places(facts.stints(synthetic_view(records)))
    }
    for key, rows in _frame(records).groupby(["node", "device"]):
        place = found.pop(key)
        assert (place.trials, place.epochs) == (rows["trial"].nunique(), len(rows))
        assert place.busy_s == pytest.approx(rows["epoch_s"].sum())
        assert place.waiting == pytest.approx(rows["data_wait_s"].sum() / rows["train_s"].sum())
    assert not found


def test_records_that_do_not_tell_of_waiting_have_none():
    record = _record(0, (10, 10, "a", "cpu"))
    del record.history[0].metrics["data_wait_s"]
    view = synthetic_view([record])
    assert facts.stints(view)[0].waited_s is None
    assert facts.places(facts.stints(view))[0].waiting is None


def test_a_bar_lies_where_its_stint_was_and_the_dark_part_is_as_long_as_it_waited():
    records = [_record(n, (30 * n + 20, 20, f"node-{n % 2}", "cpu")) for n in range(4)]
    found = facts.stints(synthetic_view(records))
    figure = timeline.timeline(found, style.colours(["net"]))
    bars, dark = figure.data
    by_trial = {stint.trial: stint for stint in found}
    assert list(figure.layout.yaxis.ticktext) == ["node-0 cpu", "node-1 cpu"]
    for trace, length in ((bars, lambda s: s.end_s - s.start_s), (dark, lambda s: s.waited_s)):
        for trial, row, base, x in zip(trace.customdata, trace.y, trace.base, trace.x, strict=True):
            stint = by_trial[trial]
            assert (row, base, x) == (trial % 2, stint.start_s, length(stint))


def test_of_very_many_stints_the_last_are_drawn():
    records = [_record(n, (n + 1, 1, "a", "cpu")) for n in range(facts.MOST_DRAWN + 50)]
    records = [replace(record, outcome=None) for record in records]
    sections = Sections(synthetic_view(records), {"net": "#000000"}, None)
    bars, _ = sections.charts.figure("timeline").data
    assert sorted(bars.customdata) == list(range(50, facts.MOST_DRAWN + 50))
    assert "The last 1,500 of 1,550 bars" in sections.timeline_from
