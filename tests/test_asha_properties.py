"""What holds of ASHA's rungs whatever the scores and the order in which trials report."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from search.policy.asha import Asha, Decision
from search.policy.rungs import Rungs

CONTINUE, STOP = Decision.CONTINUE, Decision.STOP
LENGTH = 27
TRIALS = st.integers(0, 11)
SCORES = st.integers(0, 5)
"""Few, so that ties are common."""
REDUCTIONS = st.integers(2, 4)


class Report(NamedTuple):
    """What one trial reports at one moment."""

    trial: int
    passes: float
    gain: float


@st.composite
def reports(draw: st.DrawFn) -> list[Report]:
    """Trials that report in any order and by strides of any length, stopped or not."""
    passes: dict[int, float] = {}
    found = []
    for trial, stride, gain in draw(
        st.lists(st.tuples(TRIALS, st.sampled_from((0.5, 1.0, 2.0, 7.0)), SCORES), max_size=60)
    ):
        passes[trial] = passes.get(trial, 0.0) + stride
        found.append(Report(trial, passes[trial], gain))
    return found


def decided(found: Sequence[Report], reduction: int) -> list[Decision]:
    """What is decided at each report. The rungs forget no trial that was stopped, nor do they shut it out."""
    asha = Asha(Rungs(LENGTH, reduction=reduction))
    return [asha.report(*report) for report in found]


def searched(order: Sequence[int], scores: Sequence[Sequence[float]], reduction: int) -> dict[int, int]:
    """Passes that each trial ran for, one at a time, by whose turn it is in `order`, and then to its end."""
    asha, ended = Asha(Rungs(LENGTH, reduction=reduction)), dict[int, int]()
    passes = dict.fromkeys(range(len(scores)), 0)
    for trial in [*order, *(trial for trial in passes for _ in range(LENGTH))]:
        if trial in ended:
            continue
        passes[trial] += 1
        gain = scores[trial][passes[trial] % len(scores[trial])]
        if asha.report(trial, passes[trial], gain) is STOP or passes[trial] == LENGTH:
            ended[trial] = passes[trial]
    return ended


# No trial is decided twice.


@given(found=reports(), gains=st.lists(SCORES, min_size=60, max_size=60), reduction=REDUCTIONS)
def test_a_rung_that_a_trial_has_reached_decides_on_it_no_more_whatever_it_reports(
    found: list[Report], gains: list[int], reduction: int
) -> None:
    asha, decisions = Asha(Rungs(LENGTH, reduction=reduction)), []
    for report, other in zip(found, gains, strict=False):
        decisions.append(asha.report(*report))
        assert asha.report(report.trial, report.passes, other) is CONTINUE
    # What was said a second time has changed nothing for anybody.
    assert decisions == decided(found, reduction)


@given(found=reports(), reduction=REDUCTIONS)
def test_only_the_first_report_at_a_rung_decides(found: list[Report], reduction: int) -> None:
    rungs, reached = Asha(Rungs(LENGTH, reduction=reduction)).rungs, set()
    for report, decision in zip(found, decided(found, reduction), strict=True):
        new = {(report.trial, rung) for rung in rungs if report.passes >= rung} - reached
        assert new or decision is CONTINUE
        reached |= new


# Exact budgets.


SEARCHES = {
    "order": st.lists(TRIALS, max_size=150),
    "scores": st.lists(st.lists(SCORES, min_size=1, max_size=4), min_size=12, max_size=12),
    "reduction": REDUCTIONS,
}


@settings(deadline=None)
@given(**SEARCHES)
def test_a_trial_ends_exactly_at_a_rung_or_at_its_full_length(
    order: list[int], scores: list[list[int]], reduction: int
) -> None:
    ended = searched(order, scores, reduction)
    assert ended.keys() == set(range(12))
    assert set(ended.values()) <= {*Asha(Rungs(LENGTH, reduction=reduction)).rungs, LENGTH}


@given(trials=st.integers(1, 40), reduction=REDUCTIONS)
def test_trials_that_come_from_the_worst_to_the_best_all_go_on_and_the_other_way_round_one_does(
    trials: int, reduction: int
) -> None:
    rising = [Report(trial, 1, trial) for trial in range(trials)]
    assert decided(rising, reduction) == [CONTINUE] * trials
    falling = [Report(trial, 1, -trial) for trial in range(trials)]
    assert decided(falling, reduction) == [CONTINUE] + [STOP] * (trials - 1)


@given(found=reports(), reduction=REDUCTIONS)
def test_who_goes_on_is_among_the_best_share_of_the_rung_behind_all_that_are_level_with_it(
    found: list[Report], reduction: int
) -> None:
    entries: dict[float, dict[int, float]] = {
        level: {} for level in Asha(Rungs(LENGTH, reduction=reduction)).rungs
    }
    for (trial, passes, gain), decision in zip(found, decided(found, reduction), strict=True):
        for level, here in entries.items():
            if passes >= level and trial not in here:
                here[trial] = gain
                if decision is CONTINUE:
                    before = sum(other >= gain for other in here.values()) - 1
                    assert before < max(1, len(here) // reduction)


# Monotone in scores.


@given(found=reports(), trial=TRIALS, more=st.integers(1, 3), reduction=REDUCTIONS)
def test_a_higher_score_stops_nobody_but_others(
    found: list[Report], trial: int, more: int, reduction: int
) -> None:
    raised = [report._replace(gain=report.gain + more * (report.trial == trial)) for report in found]
    before, after = decided(found, reduction), decided(raised, reduction)
    for report, was, now in zip(found, before, after, strict=True):
        if was is not now:
            assert now is (CONTINUE if report.trial == trial else STOP)


@given(found=reports(), steps=st.lists(st.floats(0.001, 1e6), min_size=6, max_size=6), reduction=REDUCTIONS)
def test_only_the_order_of_scores_matters(found: list[Report], steps: list[float], reduction: int) -> None:
    stretched = [report._replace(gain=sum(steps[: int(report.gain) + 1])) for report in found]
    assert decided(stretched, reduction) == decided(found, reduction)


# Independent of the order of ties.


@given(
    gains=st.lists(SCORES, min_size=1, max_size=30),
    reduction=REDUCTIONS,
    shuffle=st.randoms(use_true_random=False),
)
def test_of_equal_trials_as_many_go_on_whichever_comes_first(
    gains: list[int], reduction: int, shuffle: random.Random
) -> None:
    """Trials with one score change places among themselves: the places that go on stay the same."""
    trials = list(range(len(gains)))
    for score in set(gains):
        places = [place for place, gain in enumerate(gains) if gain == score]
        names = [trials[place] for place in places]
        shuffle.shuffle(names)
        for place, name in zip(places, names, strict=True):
            trials[place] = name
    came = [Report(place, 1, gain) for place, gain in enumerate(gains)]
    swapped = [Report(trial, 1, gain) for trial, gain in zip(trials, gains, strict=True)]
    assert decided(swapped, reduction) == decided(came, reduction)


@given(found=reports(), reduction=REDUCTIONS, data=st.data())
def test_which_of_two_equals_reports_first_decides_on_nobody_else(
    found: list[Report], reduction: int, data: st.DataObject
) -> None:
    neighbours = [place for place, (one, other) in enumerate(pairwise(found)) if one.trial != other.trial]
    assume(neighbours)
    first = data.draw(st.sampled_from(neighbours))
    second = first + 1
    came = list(found)
    came[second] = found[second]._replace(gain=found[first].gain)
    swapped = list(came)
    swapped[first], swapped[second] = came[second], came[first]
    before, after = decided(came, reduction), decided(swapped, reduction)
    assert before[:first] + before[second + 1 :] == after[:first] + after[second + 1 :]
    rungs = Asha(Rungs(LENGTH, reduction=reduction)).rungs
    if len({_entered(found[:first], found[index], rungs) for index in (first, second)}) == 1:
        assert before == after  # they enter the same rungs: which of the two is first does not matter


def _entered(before: Sequence[Report], report: Report, rungs: Sequence[float]) -> tuple[float, ...]:
    """The rungs that a report is the first of its trial at."""
    so_far = max((entry.passes for entry in before if entry.trial == report.trial), default=0.0)
    return tuple(rung for rung in rungs if so_far < rung <= report.passes)


@given(found=reports(), names=st.permutations(range(12)), reduction=REDUCTIONS)
def test_the_numbers_of_the_trials_do_not_matter(
    found: list[Report], names: list[int], reduction: int
) -> None:
    renamed = [report._replace(trial=names[report.trial]) for report in found]
    assert decided(renamed, reduction) == decided(found, reduction)
