"""The stopping rule by forecasts: whom it lets go on, and that it does not matter when it is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.policy import forecaster, scored
from search.policy.asha import Asha, Decision
from search.policy.forecaster import FEWEST
from search.policy.rungs import Rungs
from tests.forecasting import BEST, PASSES, RUNGS, Search, curve, drawn, known, of_family

CONTINUE, STOP = Decision.CONTINUE, Decision.STOP
SCORES = st.sampled_from((0.0, 0.2, 0.5, 0.5001, 0.9, 1.0, -3.0, 1e9, math.nan, math.inf))


def entered(search: Search, number: int, gains: Sequence[float]) -> None:
    """A trial's reports at its next rungs, on which nobody decides."""
    for gain in gains:
        search.rule.enter(number, RUNGS[search.asha.reached.count(number)], gain)


def both_families(each: int = 12) -> Search:
    """A search that has seen so many trials of either family to their ends."""
    search = Search()
    for number, place in enumerate(np.random.default_rng(0).random(2 * each).tolist()):
        params = of_family("slow" if number % 2 else "fast", place)
        search.forecaster.add(number, params)
        entered(search, number, curve(params))
    return search


def test_scores_are_compared_as_long_as_nothing_is_forecast() -> None:
    search = Search()
    asha = Asha(Rungs(PASSES), search.forecaster.branch)
    rng = np.random.default_rng(0)
    for number, params in enumerate(drawn(FEWEST - 1)):
        gain = float(rng.random())
        assert search.reach(number, [gain], params) is asha.report(number, 1, gain)
    for number in range(FEWEST - 1):
        gain = float(rng.random())
        assert search.reach(number, [gain]) is asha.report(number, 3, gain)


def test_scores_are_compared_for_trials_outside_of_the_space() -> None:
    search = Search()
    asha = Asha(Rungs(PASSES), search.forecaster.branch)
    rng = np.random.default_rng(0)
    for number, params in enumerate(drawn(40)):
        gains = rng.random(1 + number % 2).tolist()
        decided = search.reach(number, gains, params if number % 2 else None)
        for passes, gain in zip(RUNGS, gains, strict=False):
            wanted = asha.report(number, passes, gain)
        if not number % 2:
            assert decided is wanted
    assert len(search.forecaster.forecasts().ranked) == 20  # type: ignore[union-attr]


def test_a_late_bloomer_goes_on_where_all_are_compared_once_its_kind_is_known_to_end_well() -> None:
    """ASHA stops it at the third rung, where it scores less than most; at its end it would have been among
    the best."""
    search = both_families()
    late = of_family("slow", BEST)
    search.forecaster.add(100, late)
    for score in (*curve(late)[:2], curve(late)[2] - 0.03):
        entered(search, 100, [score])
        assert search.rule.decide(100) is CONTINUE
    assert search.asha.decide(100) is STOP


def test_the_worst_of_its_own_kind_is_stopped_at_the_first_rung() -> None:
    for family in ("fast", "slow"):
        search = both_families()
        bad = of_family(family, 0.0)
        assert search.reach(100, [curve(bad)[0] - 0.02], bad) is STOP


@pytest.mark.parametrize("foretold", [0.0, 0.5, 1.0])
def test_the_less_a_rung_says_the_fewer_it_stops(foretold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    search = both_families(30)
    found = search.forecaster.forecasts()
    assert found is not None
    monkeypatch.setattr(type(found.model), "foretold", lambda model: np.full(len(RUNGS), foretold))
    for level, compared in ((0, 30), (2, 60)):  # within a family, and all
        going = [search.rule._by_forecasts(found, own, level) for own in range(60)].count(CONTINUE)
        share = 3 ** -(foretold**2)
        assert abs(going - 60 * share) <= 60 / compared


def test_of_a_search_that_knows_its_families_most_is_stopped_and_the_best_is_not() -> None:
    search, trials = both_families(6), drawn(48, seed=3)
    for number, params in enumerate(trials, start=12):
        search.forecaster.add(number, params)
        for gain in curve(params):
            if search.reach(number, [gain]) is STOP:
                break
    ends = {number: curve(params)[-1] for number, params in enumerate(trials, start=12)}
    whole = [number for number in ends if search.asha.reached.count(number) == len(RUNGS)]
    assert len(whole) < len(trials) / 2
    assert max(ends, key=ends.__getitem__) in whole


def test_reports_between_rungs_go_on() -> None:
    search = both_families()
    worst = of_family("slow", 0.0)
    assert search.reach(100, [0.05], worst) is STOP
    for passes in (1.5, 2, 2.9):
        search.rule.enter(100, passes, 0.01)
        assert search.rule.decide(100) is CONTINUE


def test_nothing_stops_a_trial_that_has_come_to_its_full_length() -> None:
    search = both_families()
    worst = of_family("slow", 0.0)
    assert search.reach(100, [0.01, 0.01, 0.01], worst) is STOP
    assert search.reach(100, [0.01]) is CONTINUE
    search.forecaster.add(101, worst)
    search.rule.enter(101, PASSES, 0.01)  # in one stride
    assert search.rule.decide(101) is CONTINUE


@pytest.mark.parametrize("gain", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rungs_before", range(len(RUNGS) + 1))
def test_a_score_that_is_not_finite_stops_a_trial_wherever_it_is(gain: float, rungs_before: int) -> None:
    for search in (Search(), known(16)):
        best = of_family("slow", BEST)
        search.forecaster.add(100, best)
        entered(search, 100, curve(best)[:rungs_before])
        search.rule.enter(100, RUNGS[max(rungs_before - 1, 0)] + 0.5, gain)
        assert search.rule.decide(100) is STOP


def test_a_trial_that_was_never_heard_of_is_not_decided_on() -> None:
    with pytest.raises(KeyError):
        Search().rule.decide(0)


def story(count: int) -> list[tuple[int, float, float]]:
    """Reports of trials that run side by side, in the order in which they come."""
    rng, found = np.random.default_rng(2), []
    passes, trials = dict.fromkeys(range(count), 0), drawn(count)
    running, coming = list(range(4)), iter(range(4, count))
    while running:
        number = int(rng.choice(running))
        passes[number] += int(rng.integers(1, 3))
        reached = sum(passes[number] >= rung for rung in RUNGS)
        gain = curve(trials[number])[reached - 1] + 0.02 * float(rng.standard_normal())
        found.append((number, passes[number], math.nan if rng.random() < 0.02 else gain))
        if rng.random() < 0.3 or math.isnan(found[-1][2]) or passes[number] >= PASSES:
            running.remove(number)
            running += islice(coming, 1)
    return found


def test_a_decision_is_the_same_whenever_it_is_asked_for_and_after_a_replay() -> None:
    """As when the driver died before it was carried out: what has come since is not looked at."""
    live, replayed = Search(), Search()
    reports, trials = story(40), drawn(40)
    decided: dict[int, Decision] = {}
    for number, passes, gain in reports:
        live.forecaster.add(number, trials[number])
        live.rule.enter(number, passes, gain)
        decided[number] = live.rule.decide(number)
        live.forecaster.forecasts(begun=[number])  # as a sampler asks
    assert len(set(decided.values())) == 2
    assert {number: live.rule.decide(number) for number in decided} == decided
    for number in decided:
        replayed.forecaster.add(number, trials[number])
    for report in reports:
        replayed.rule.enter(*report)
    for number in reversed(decided):
        assert replayed.rule.decide(number) is decided[number]


@st.composite
def reports(draw: st.DrawFn) -> list[tuple[int, float, float]]:
    """Of trials in any order, by strides of any length and with any scores, stopped or not."""
    passes: dict[int, float] = {}
    found = []
    strides = st.tuples(st.integers(0, 9), st.sampled_from((0.5, 1.0, 2.0, 7.0, 30.0)), SCORES)
    for number, stride, gain in draw(st.lists(strides, min_size=8, max_size=40)):
        passes[number] = passes.get(number, 0.0) + stride
        found.append((number, passes[number], gain))
    return found


@pytest.fixture(scope="module")
def soon() -> Iterator[None]:
    """Forecasts begin after three trials, and learn less."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forecaster, "FEWEST", 3)
        patched.setattr(forecaster, "STEPS", 4)
        patched.setattr(scored, "MOST", 6)
        patched.setattr(scored, "BEST", 3)
        yield


@pytest.mark.usefixtures("soon")
@settings(deadline=None, max_examples=30)
@given(found=reports(), outside=st.sets(st.integers(0, 9), max_size=4))
def test_whatever_trials_report_there_is_a_decision_and_it_stays(
    found: list[tuple[int, float, float]], outside: set[int]
) -> None:
    live, replayed, trials = Search(), Search(), drawn(10)
    decided = {}
    for number in set(range(10)) - outside:
        replayed.forecaster.add(number, trials[number])
    for number, passes, gain in found:
        if number not in outside:
            live.forecaster.add(number, trials[number])
        before = live.asha.reached.count(number)
        live.rule.enter(number, passes, gain)
        replayed.rule.enter(number, passes, gain)
        decided[number] = live.rule.decide(number)
        assert decided[number] in (CONTINUE, STOP)
        if not math.isfinite(gain):
            assert decided[number] is STOP
        elif live.asha.reached.count(number) in (before, len(RUNGS)):
            assert decided[number] is CONTINUE
    assert {number: replayed.rule.decide(number) for number in decided} == decided


@pytest.mark.usefixtures("soon")
@settings(deadline=None, max_examples=20)
@given(found=reports())
def test_what_is_expected_to_end_best_of_all_goes_on(found: list[tuple[int, float, float]]) -> None:
    search, trials = Search(), drawn(10)
    for number, passes, gain in found:
        search.forecaster.add(number, trials[number])
        search.rule.enter(number, passes, gain)
        forecasts = search.forecaster.forecasts()
        if forecasts is not None and number in forecasts.ranked:
            own = forecasts.final[forecasts.ranked.index(number)]
            if (forecasts.final >= own).sum() == 1:
                assert search.rule.decide(number) is CONTINUE


@pytest.mark.usefixtures("soon")
@settings(deadline=None, max_examples=20)
@given(found=reports(), outside=st.sets(st.integers(0, 9), max_size=4))
def test_no_forecast_stops_what_goes_on_by_its_score(
    found: list[tuple[int, float, float]], outside: set[int]
) -> None:
    search, trials = Search(), drawn(10)
    for number, passes, gain in found:
        if number not in outside:
            search.forecaster.add(number, trials[number])
        search.rule.enter(number, passes, gain)
        if search.asha.decide(number) is CONTINUE:
            assert search.rule.decide(number) is CONTINUE
