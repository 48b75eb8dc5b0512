"""Forecasts of a search's trials: whom they are of, what they depend on, and that no scores break them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from search.policy import scored
from search.policy.forecaster import FEWEST, Forecasts
from search.policy.scored import BEST, MOST
from spaces.domains import Choice, Fixed, Range
from tests.forecasting import BEST as BEST_PLACE
from tests.forecasting import RUNGS, Search, curve, drawn, known, of_family, place_of_rate, tree


def forecast(search: Search, until: int | None = None, begun: tuple[int, ...] = ()) -> Forecasts:
    found = search.forecaster.forecasts(until=until, begun=begun)
    assert found is not None
    return found


def numbers(found: Forecasts) -> tuple[list[int], list[float], list[float], list[int], float]:
    """All that a forecast says of the trials."""
    return (
        found.ranked,
        found.final.tolist(),
        found.spread.tolist(),
        found.reached.tolist(),
        found.best_now,
    )


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(np.argsort(np.argsort(one)), np.argsort(np.argsort(other)))[0, 1])


def spread_of(search: Search, params: dict[str, object], begun: tuple[int, ...] = ()) -> float:
    """How uncertain the end of a configuration is."""
    points = search.forecaster.points
    at = points.point(params, np.random.default_rng(0))[None]
    return float(forecast(search, begun=begun).model.forecast(points.features(at))[1][0] ** 0.5)


def test_nothing_is_forecast_before_enough_trials_came_to_the_first_rung() -> None:
    search = Search()
    assert search.forecaster.forecasts() is None
    for number, params in enumerate(drawn(FEWEST)):
        assert search.forecaster.forecasts() is None
        search.reach(number, curve(params)[:2], params)
    assert forecast(search).ranked == list(range(FEWEST))
    assert search.forecaster.forecasts(until=2 * FEWEST - 2) is None  # two entries of each


def test_forecasts_say_how_far_each_trial_came_and_where_it_is() -> None:
    search = known(15, lengths=(4, 1, 2))
    found = forecast(search)
    assert found.reached.tolist() == [4, 1, 2] * 5
    assert found.weight.tolist() == [1.0] * 15
    assert found.branch.tolist() == [number % 2 for number in range(15)]
    assert [found.points.params(at) for at in found.at] == [pytest.approx(params) for params in drawn(15)]
    np.testing.assert_array_equal(found.points.features(found.at), found.features)


def test_forecasts_order_trials_by_their_ends_and_not_by_where_they_are() -> None:
    found = forecast(known(40, lengths=(4, 1, 2)))
    trials = drawn(40)
    ends = np.array([curve(params)[-1] for params in trials])
    now = np.array(
        [curve(params)[reached - 1] for params, reached in zip(trials, found.reached, strict=True)]
    )
    short = found.reached < 4
    assert rank_correlation(found.final[short], ends[short]) > 0.9
    assert rank_correlation(now[short], ends[short]) < 0.3


def test_trials_outside_of_the_space_are_not_forecast_and_change_nothing() -> None:
    search, other = known(15), known(15)
    other.reach(100, [0.99, 0.99])
    assert numbers(forecast(other)) == numbers(forecast(search))


def test_a_trial_that_diverged_is_not_ranked_and_speaks_against_what_is_like_it() -> None:
    search = Search()
    for number, place in enumerate(np.linspace(0, 0.7, 16).tolist()):
        params = of_family("slow" if number % 2 else "fast", place)
        search.reach(number, curve(params)[: 1 + 3 * (number % 4 < 2)], params)
    before = forecast(search)
    edge = search.forecaster.points.point(of_family("fast", 0.95), np.random.default_rng(0))[None]
    hoped, _ = before.model.forecast(before.points.features(edge))
    for number, place in enumerate((0.90, 0.93, 0.97), start=16):
        search.reach(number, [math.nan], of_family("fast", place))
    found = forecast(search)
    assert found.ranked == before.ranked
    feared, _ = found.model.forecast(found.points.features(edge))
    assert feared[0] < hoped[0] - 0.3


def test_a_trial_that_diverges_late_loses_what_it_had_scored() -> None:
    search = known(16, lengths=(2,))
    search.reach(16, [0.99, 0.99], of_family("fast", 0.5))
    assert 16 in forecast(search).ranked
    before = len(search.asha.reached.entries)
    search.reach(16, [math.nan])
    assert 16 not in forecast(search).ranked
    assert 16 in forecast(search, until=before).ranked


def test_a_trial_that_diverged_stays_out_whatever_it_reports_later() -> None:
    search, other = known(16, lengths=(2,)), known(16, lengths=(2,))
    for number, gains in ((16, [0.5, math.nan, 0.9]), (17, [math.nan, math.nan])):
        search.reach(number, gains, of_family("fast", 0.5))
        other.reach(number, [*gains[: gains.index(math.nan)], math.nan], of_family("fast", 0.5))
    assert numbers(forecast(search)) == numbers(forecast(other))


def test_forecasts_depend_on_the_entries_and_their_order_alone() -> None:
    """Whatever was asked before, in between and how often: a search that is resumed goes on as it was."""
    asked, resumed = Search(), Search()
    trials = drawn(24)
    for number, params in enumerate(trials):
        asked.reach(number, curve(params)[: 1 + number % 4], params)
        asked.forecaster.forecasts(begun=[number])
    for number, params in enumerate(trials):
        resumed.forecaster.add(number, params)
    resumed.asha.reached.entries.extend(asked.asha.reached.entries)
    count = len(asked.asha.reached.entries)
    for until in (count, 30, count - 1, count):
        assert numbers(forecast(resumed, until)) == numbers(forecast(asked, until))
        np.testing.assert_array_equal(forecast(resumed, until).at, forecast(asked, until).at)
    other = Search(seed=1)
    for number, params in enumerate(trials):
        other.forecaster.add(number, params)
    # What a recipe leaves open is drawn by the seed.
    assert not np.array_equal(other.forecaster._places[0].point, asked.forecaster._places[0].point)


def test_what_was_known_at_some_moment_does_not_change_with_what_came_later() -> None:
    search, then = known(16), known(16)
    count = len(then.asha.reached.entries)
    for number, params in enumerate(drawn(10, seed=5), start=16):
        search.reach(number, curve(params), params)
    assert numbers(forecast(search, count)) == numbers(forecast(then))
    assert numbers(forecast(search)) != numbers(forecast(then))


def test_scores_of_others_change_the_forecasts_of_a_trial_that_has_none_of_its_own() -> None:
    """Late bloomers are known by their kind: those of the slow family end best from the first rung on."""
    search = known(24, lengths=(4,))
    for number, name in ((24, "fast"), (25, "slow")):
        params = of_family(name, BEST_PLACE)
        search.reach(number, curve(params)[:1], params)
    found = forecast(search)
    fast, slow = found.final[-2:]
    assert curve(of_family("slow", BEST_PLACE))[0] < curve(of_family("fast", BEST_PLACE))[0]
    assert slow > fast


def test_trials_that_have_begun_lower_the_uncertainty_beside_them_and_nothing_else() -> None:
    search = known(16)
    for number, place in ((16, 0.10), (17, 0.14)):
        search.forecaster.add(number, of_family("slow", place))
    beside, far = of_family("slow", 0.12), of_family("fast", 0.9)
    less_beside, less_far = (spread_of(search, at) - spread_of(search, at, (16, 17)) for at in (beside, far))
    assert less_beside > 0.02 * spread_of(search, beside)
    assert abs(less_far) < 0.1 * less_beside
    without, found = forecast(search), forecast(search, begun=(16, 17))
    assert found.ranked == without.ranked
    np.testing.assert_allclose(found.final, without.final, atol=1e-6)  # they turn out as expected


def test_forecasts_stay_as_they_are_when_others_are_made() -> None:
    search = known(16)
    search.forecaster.add(16, of_family("slow", 0.1))
    features = search.forecaster.points.features(np.random.default_rng(0).random((3, 4)))
    early = forecast(search)
    before = early.model.forecast(features)
    forecast(search, begun=(16,))
    np.testing.assert_array_equal(early.model.forecast(features), before)


def test_of_many_trials_some_are_modelled_and_stand_for_all() -> None:
    search, trials = Search(), drawn(MOST + 60)
    for number, params in enumerate(trials):
        search.forecaster.add(number, params)
        for passes, gain in zip(RUNGS[: 1 + (number % 9 == 0)], curve(params), strict=False):
            search.rule.enter(number, passes, gain)
    found = forecast(search)
    assert len(found.ranked) == MOST
    assert found.ranked == sorted(found.ranked)
    assert found.weight.sum() == pytest.approx(len(trials))
    further = {number for number in range(len(trials)) if number % 9 == 0}
    assert further <= set(found.ranked)  # they came furthest
    rest = sorted(set(range(len(trials))) - further, key=lambda number: -curve(trials[number])[0])
    best = further | set(rest[: BEST - len(further)])
    assert best <= set(found.ranked)
    others = [number for number in range(len(trials)) if number not in best]
    assert set(found.ranked) - best == set(others[-(MOST - BEST) :])
    one = [weight for number, weight in zip(found.ranked, found.weight, strict=True) if number in best]
    assert one == [1.0] * BEST


def test_the_trial_that_came_to_a_rung_last_is_always_modelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that is decided on, however many have begun since and are better."""
    monkeypatch.setattr(scored, "MOST", 20)
    monkeypatch.setattr(scored, "BEST", 10)
    search = known(40, lengths=(2,))
    search.reach(40, [0.01], of_family("slow", 0.0))
    for number, params in enumerate(drawn(30, seed=4), start=41):
        search.forecaster.add(number, params)
        for passes in RUNGS[:2]:
            search.rule.enter(number, passes, 0.9)
    assert 40 not in forecast(search).ranked
    search.rule.enter(40, 3, 0.01)
    assert 40 in forecast(search).ranked


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param(lambda score: -math.log(score), id="loss"),
        pytest.param(lambda score: 1e6 * score, id="large"),
        pytest.param(lambda score: 1e-6 * score - 1e-3, id="small"),
    ],
)
def test_unbounded_scores_are_forecast_as_well_as_shares(metric: Callable[[float], float]) -> None:
    sign = -1 if metric(0.9) < metric(0.1) else 1
    search, trials = Search(), drawn(40)
    for number, params in enumerate(trials):
        gains = [sign * metric(score) for score in curve(params)]
        search.reach(number, gains[: (4, 1, 2)[number % 3]], params)
    found = forecast(search)
    ends = np.array([curve(params)[-1] for params in trials])
    short = found.reached < 4
    assert rank_correlation(found.final[short], ends[short]) > 0.9


def test_an_outlier_does_not_hide_the_differences_between_the_others() -> None:
    search, other = known(24, lengths=(4, 1)), known(24, lengths=(4, 1))
    for tried, gain in ((search, -1e9), (other, -10.0)):
        tried.reach(24, [gain, gain], of_family("fast", 0.02))
    one, same = forecast(search), forecast(other)
    assert rank_correlation(one.final, same.final) > 0.95


@pytest.mark.parametrize("gain", [0.0, 0.1, 0.5, 1.0, -3.0, 1e12])
def test_equal_scores_are_forecast_as_equal(gain: float) -> None:
    search = Search()
    for number, params in enumerate(drawn(16)):
        search.reach(number, [gain] * (1 + number % 3), params)
    found = forecast(search)
    assert np.ptp(found.final) < 1e-6
    assert (found.spread > 0).all()


def test_the_unit_of_scores_does_not_come_from_a_first_rung_at_which_all_are_equal() -> None:
    """As where nobody is better than chance after a pass: later rungs tell trials apart all the same."""
    search, trials = Search(), drawn(40)
    for number, params in enumerate(trials):
        gains = [0.1, *curve(params)[1:]]
        search.reach(number, gains[: (4, 1, 2)[number % 3]], params)
    found = forecast(search)
    ends = np.array([curve(params)[-1] for params in trials])
    assert np.abs(found.final).max() < 50  # spreads, of which a model can be uncertain by some
    assert rank_correlation(found.final[1::3], ends[1::3]) > 0.8


def test_all_diverging_is_no_forecast_and_no_failure() -> None:
    search = Search()
    for number, params in enumerate(drawn(30)):
        search.reach(number, [(math.nan, math.inf, -math.inf)[number % 3]], params)
    assert search.forecaster.forecasts() is None


def test_forecasts_begin_when_enough_trials_have_not_diverged() -> None:
    search, trials = Search(), drawn(60)
    for number, params in enumerate(trials):
        search.reach(number, [math.nan if number % 5 else 0.5 + 0.01 * number], params)
    assert forecast(search).ranked == list(range(0, 60, 5))


def test_trials_of_a_single_configuration_are_forecast_to_end_alike() -> None:
    search, rng = Search(), np.random.default_rng(0)
    for number in range(16):
        search.reach(
            number, (0.5 + 0.01 * rng.standard_normal(1 + number % 4)).tolist(), of_family("fast", 0.5)
        )
    found = forecast(search)
    assert np.isfinite(found.final).all()
    assert found.best_now < 5


@pytest.mark.parametrize("searched", [tree(c=Choice(("a", "b"))), tree(x=Range("float", 0, 1))])
def test_the_smallest_spaces_are_searched(searched: object) -> None:
    search = Search(searched)  # type: ignore[arg-type]
    points = search.forecaster.points
    for number, at in enumerate(np.random.default_rng(0).random((14, 1))):
        search.reach(number, [float(at[0])], points.params(at))
    assert np.corrcoef(forecast(search).final, forecast(search).at[:, 0])[0, 1] > 0.5


def test_a_space_of_a_single_recipe_has_a_forecaster() -> None:
    search = Search(tree(c=Fixed(1)))
    search.reach(0, [0.5], {})
    assert search.forecaster.forecasts() is None
    assert search.forecaster.costs().tolist() == [1.0]


def test_a_branch_costs_what_its_trainings_do() -> None:
    search = Search(cost=lambda params: {"fast": 2.0, "slow": 70.0}[params["family"]])
    assert search.forecaster.costs().tolist() == [2.0, 70.0]


def test_the_best_score_now_is_that_of_the_best_trial_where_it_is() -> None:
    found = forecast(known(24, lengths=(4,)))
    now, _ = found.model.forecast(found.features, np.arange(24), found.reached - 1)
    assert found.best_now == pytest.approx(now.max())
    assert found.best_now == pytest.approx(found.final.max(), abs=0.1)  # all are at their ends
    best = found.ranked[int(np.argmax(found.final))]
    assert place_of_rate(drawn(24)[best]) == pytest.approx(BEST_PLACE, abs=0.25)


def test_rungs_are_as_this_file_takes_them_to_be() -> None:
    assert tuple(Search().asha.reached.levels) == RUNGS
