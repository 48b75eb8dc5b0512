"""ASHA, the stopping rule: rungs, shares and ties, beside a reference that counts anew each time."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.policy.asha import Asha, Decision
from search.policy.rungs import Rungs

CONTINUE, STOP = Decision.CONTINUE, Decision.STOP


class Reference:
    """The rule as one would say it: of all that reached a rung so far, is this one of the best share?"""

    def __init__(self, rungs: list[int], reduction: int) -> None:
        self.rungs, self.reduction = rungs, reduction
        self.arrivals: list[tuple[int, int, float]] = []

    def report(self, trial: int, passes: float, gain: float) -> Decision:
        if math.isnan(gain) or math.isinf(gain):
            return STOP
        decisions = []
        for rung in self.rungs:
            if passes < rung or any((at, who) == (rung, trial) for at, who, _ in self.arrivals):
                continue
            self.arrivals.append((rung, trial, gain))
            here = [(who, score) for at, who, score in self.arrivals if at == rung]
            # Python's sort is stable: among equals, who came first stays first.
            best_first = sorted(here, key=lambda entry: -entry[1])
            kept = best_first[: max(1, math.floor(len(here) / self.reduction))]
            decisions.append(trial in [who for who, _ in kept])
        return CONTINUE if all(decisions) else STOP


@pytest.mark.parametrize(
    ("full", "reduction", "rungs"),
    [
        (243, 3, [1, 3, 9, 27, 81]),
        (244, 3, [1, 3, 9, 27, 81]),
        (100, 3, [1, 3, 10, 32]),
        (30, 3, [1, 3, 10]),
        (1000, 10, [1, 10, 100]),
        (12, 3, [1, 3]),
        (10, 3, [1, 3]),
        (9, 3, [1, 3]),
        (64, 2, [1, 2, 4, 8, 16, 32]),
        (125, 5, [1, 5, 25]),
        (5, 3, [1]),
        (2, 3, [1]),
        (3, 10, [1]),
        (1.5, 3, []),
        (1, 3, []),
        (0.1, 3, []),
    ],
)
def test_rungs_are_evenly_apart_up_to_the_full_length(full: float, reduction: int, rungs: list[int]) -> None:
    assert Asha(Rungs(full, reduction=reduction)).rungs == rungs


@given(full=st.floats(0.1, 1000), reduction=st.integers(2, 10))
def test_no_rung_stops_what_is_all_but_done(full: float, reduction: int) -> None:
    levels = Rungs(full, reduction=reduction).levels
    steps = [after / before for before, after in pairwise(levels)]
    assert levels[-1] == full
    assert all(level == round(level) for level in levels[:-1])
    assert all(min(full, reduction**0.5) * 0.99 < step for step in steps)


@pytest.mark.parametrize(("full", "reduction"), [(0, 3), (-1, 3), (9, 1)])
def test_a_ladder_that_cannot_be_is_refused(full: float, reduction: int) -> None:
    with pytest.raises(ValueError, match=f"got {full}, {reduction}"):
        Rungs(full, reduction=reduction)


def test_a_trial_counts_itself() -> None:
    asha = Asha(Rungs(9, reduction=3))
    asha.report(0, 1, 0.9)
    asha.report(1, 1, 0.1)
    # Of three the best goes on, and of five too; the sixth makes room for a second.
    assert asha.report(2, 1, 0.8) is STOP
    assert asha.report(3, 1, 0.7) is STOP
    assert asha.report(4, 1, 0.7) is STOP
    assert asha.report(5, 1, 0.85) is CONTINUE


def test_the_first_trial_at_a_rung_goes_on_and_a_worse_second_one_does_not() -> None:
    asha = Asha(Rungs(9, reduction=3))
    assert asha.report(0, 1, 0.1) is CONTINUE
    assert asha.report(1, 1, 0.05) is STOP
    assert asha.report(2, 1, 0.2) is CONTINUE


def test_trials_at_chance_level_do_not_all_pass() -> None:
    asha = Asha(Rungs(27, reduction=3))
    decisions = [asha.report(trial, 1, 0.1) for trial in range(20)]
    # With equal scores the earlier entries stand in front: nobody new is among the best third.
    assert decisions == [CONTINUE] + [STOP] * 19


@pytest.mark.parametrize("gain", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_stops_at_once_and_enters_no_rung(gain: float) -> None:
    asha = Asha(Rungs(9, reduction=3))
    assert asha.report(0, 0.5, gain) is STOP
    assert asha.report(0, 1, gain) is STOP
    assert asha.report(1, 1, -100.0) is CONTINUE  # still the first entry


def test_between_rungs_nothing_is_stopped() -> None:
    asha = Asha(Rungs(9, reduction=3))
    for trial in range(3):
        asha.report(trial, 1, 1.0 - trial)
    assert asha.report(2, 2, -50.0) is CONTINUE
    assert asha.report(7, 0.9, -50.0) is CONTINUE


def test_a_report_beyond_several_rungs_enters_each_of_them_once() -> None:
    asha, reference = Asha(Rungs(27, reduction=2)), Reference([1, 2, 4, 8, 16], 2)
    for trial, passes, gain in [(0, 5, 0.5), (1, 1, 0.4), (1, 2, 0.6), (2, 20, 0.55), (3, 8, 0.54)]:
        assert asha.report(trial, passes, gain) is reference.report(trial, passes, gain)
    # Trial 0 is at rungs 1, 2 and 4, where a better and a worse one tell so.
    assert asha.report(4, 1, 0.3) is STOP
    assert Asha(Rungs(27, reduction=2)).report(4, 1, 0.3) is CONTINUE


def test_no_trial_is_decided_twice_at_a_rung() -> None:
    asha = Asha(Rungs(9, reduction=3))
    assert asha.report(0, 1, 0.5) is CONTINUE
    for trial in range(1, 4):
        asha.report(trial, 1, 0.9)
    # By now trial 0 would be stopped there; it has been let through, and its score stays what it was.
    assert asha.report(0, 2, 0.1) is CONTINUE
    assert asha.report(0, 2.9, 0.99) is CONTINUE
    assert asha.report(4, 1, 0.6) is STOP


def test_fractional_passes_reach_a_rung_when_they_pass_it() -> None:
    asha = Asha(Rungs(9, reduction=3))
    asha.report(0, 0.8, 0.9)
    assert asha.report(1, 0.8, 0.1) is CONTINUE
    asha.report(0, 1.6, 0.9)
    assert asha.report(1, 1.6, 0.1) is STOP


def test_what_is_of_no_kind_is_compared_with_all() -> None:
    asha = Asha(Rungs(27), kind=lambda trial: None if trial >= 10 else "known")
    for trial in range(6):
        asha.enter(trial, 1, 0.3 + 0.01 * trial)
    assert [asha.report(10 + place, 1, gain) for place, gain in enumerate((0.9, 0.8, 0.7))] == [CONTINUE] * 3


def test_at_the_lowest_rungs_a_kind_is_compared_with_itself_once_there_are_enough_of_it() -> None:
    asha = Asha(Rungs(27), kind=lambda trial: "slow" if trial >= 10 else "fast")
    for trial, gain in enumerate([0.9, 0.8, 0.7]):
        for passes in (1, 3, 9):
            asha.enter(trial, passes, gain)
    assert asha.report(10, 1, 0.2) is STOP  # the first of its kind is compared with all
    assert asha.report(11, 1, 0.3) is STOP
    assert asha.report(12, 1, 0.4) is CONTINUE  # of three slow ones the best
    assert asha.report(13, 1, 0.35) is STOP
    for trial in (10, 11):
        asha.enter(trial, 3, 0.3)
    assert asha.report(12, 3, 0.4) is CONTINUE
    for trial in (10, 11):
        asha.enter(trial, 9, 0.3)
    assert asha.report(12, 9, 0.4) is STOP  # from there on all are compared


@pytest.mark.parametrize("full", [2, 9, 12])
def test_at_the_highest_rung_of_short_trainings_kinds_are_compared_too(full: int) -> None:
    asha = Asha(Rungs(full), kind=lambda trial: "bad" if trial >= 10 else "good")
    for trial in range(10):
        for rung in asha.rungs:
            asha.enter(trial, rung, 0.8 + trial / 100)
    for trial in range(10, 13):
        *low, highest = asha.rungs
        decided = [asha.report(trial, rung, 0.1 + trial / 100) for rung in low]
        assert not low or decided[-1] is (CONTINUE if trial == 12 else STOP)  # as the best of three of a kind
        assert asha.report(trial, highest, 0.1 + trial / 100) is STOP


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_events_is_decided_as_the_reference_decides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reduction, full = int(rng.integers(2, 5)), int(rng.integers(2, 60))
    asha = Asha(Rungs(full, reduction=reduction))
    reference = Reference([int(rung) for rung in asha.rungs], reduction)
    passes = dict.fromkeys(range(30), 0.0)
    while passes:
        trial = int(rng.choice(list(passes)))
        passes[trial] += float(rng.choice([0.5, 1.0, 1.0, 2.5, 7.0]))
        # Few distinct scores, so that ties are common; now and then one that is no number.
        gain = math.nan if rng.random() < 0.02 else float(rng.integers(0, 6)) / 5
        decision = asha.report(trial, passes[trial], gain)
        assert decision is reference.report(trial, passes[trial], gain)
        if decision is STOP or passes[trial] >= full:
            del passes[trial]
