"""What a search learns from former ones: which configurations are good, on data of other difficulty too."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from search.policy import forecast_search
from search.policy.forecast_search import suggested
from search.policy.forecaster import FEWEST, Forecaster
from search.policy.former import ALIKE, BEST, FIRST, Former, former_search, trends_of, tried_first
from search.policy.history import Turn
from search.policy.policy import make_policy
from search.policy.rungs import Rungs
from search.policy.trend import Trend
from search.trials.trials import Epoch, Metric, Outcome, Trial, TrialRecord
from tests.forecasting import BEST as BEST_RATE
from tests.forecasting import PASSES, RUNGS, Search, curve, drawn, families, place_of_rate

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SCORE, LOSS = Metric("score", "score", "max"), Metric("loss", "loss", "min")


def former(
    trials: int = 30, score: Callable[[Mapping[str, Any]], list[float]] = curve, seed: int = 8
) -> Former:
    """A search of both families whose trials came to 4, 1 and 2 rungs by turns."""
    params = dict(enumerate(drawn(trials, seed)))
    reports = [
        (number, float(passes), gain)
        for number, given in params.items()
        for passes, gain in zip(RUNGS[: (4, 1, 2)[number % 3]], score(given), strict=False)
    ]
    return Former("results/old", trials, PASSES, 3, params, reports)  # type: ignore[arg-type]


def trend(given: Former) -> Trend:
    (found,) = trends_of([given], families(), seed=0)
    return found


def warm(formers: list[Former], trials: int, score: Callable[[Mapping[str, Any]], list[float]]) -> Search:
    """A search after these, in which so many trials have come to the first rungs."""
    search = Search()
    found = trends_of(formers, families(), seed=0)
    search.forecaster = Forecaster(families(), search.asha.reached, seed=0, trends=found)
    search.rule = type(search.rule)(search.asha, search.forecaster)
    for number, params in enumerate(drawn(trials, seed=1)):
        search.reach(number, score(params)[: (1, 1, 2)[number % 3]], params)
    return search


def expected(search: Search, of: list[dict[str, Any]]) -> np.ndarray:
    known = search.forecaster.forecasts()
    assert known is not None
    points, rng = known.points, np.random.default_rng(0)
    return known.model.forecast(known.inputs(np.array([points.point(one, rng) for one in of])))[0]


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def record(number: int, outcome: Outcome | None, scores: list[float], keep: str = "last") -> TrialRecord:
    made = TrialRecord(Trial(number, {"keep": keep}, {}, 0, 9), started=0.0, outcome=outcome)
    made.history = [
        Epoch(number, at, float(at), {"score": score, "loss": 1 - score, "val_loss": 1 - score})
        for at, score in enumerate(scores, start=1)
    ]
    return made


def kept(records: list[TrialRecord], metric: Metric = SCORE) -> Former:
    """What counts of these, whose epochs came trial after trial; number 9 is not in the space."""
    return former_search(
        "results/old",
        {record.number: {"x": record.number} for record in records if record.number != 9},
        {record.number: record for record in records},
        [epoch for record in records for epoch in record.history],
        metric,
        of=len(records),
        max_passes=9,
        reduction=3,
    )


def test_what_counts_is_what_trials_in_the_space_scored_at_rungs() -> None:
    one, other = record(1, Outcome.COMPLETE, [0.1 * at for at in range(1, 10)]), record(9, None, [0.5])
    found = kept([one, other])
    assert found.params == {1: {"x": 1}}
    assert found.reports == [(1, 1.0, 0.1), (1, 3.0, pytest.approx(0.3)), (1, 9.0, pytest.approx(0.9))]
    assert (found.of, found.scored, found.can_forecast) == (2, 1, False)


def test_a_trial_that_diverged_counts_as_diverged_and_one_that_was_stopped_by_its_score() -> None:
    found = kept([record(1, Outcome.DIVERGED, [0.1, 0.2]), record(2, Outcome.STOPPED, [0.3])])
    assert found.reports == [(1, 1.0, 0.1), (1, 2.0, None), (2, 1.0, 0.3)]
    assert kept([record(1, Outcome.DIVERGED, [0.1])]).scored == 0


def test_less_of_a_loss_is_more() -> None:
    assert kept([record(1, Outcome.STOPPED, [0.3])], LOSS).reports == [(1, 1.0, pytest.approx(-0.7))]


def test_a_score_is_that_of_the_weights_that_the_trial_would_have_kept() -> None:
    found = kept([record(1, Outcome.STOPPED, [0.3, 0.6, 0.4], keep="best")])
    assert found.reports == [(1, 1.0, 0.3), (1, 3.0, 0.6)]


@pytest.mark.parametrize("score", ["curve", "harder"])
def test_a_trend_has_mean_zero_and_spread_one_over_its_own_trials_however_high_they_score(score: str) -> None:
    given = former(score={"curve": curve, "harder": harder}[score])
    points, rng, trials = Search().forecaster.points, np.random.default_rng(0), list(given.params.values())
    values = trend(given).at(points.features(np.array([points.point(one, rng) for one in trials])))
    assert values.mean() == pytest.approx(0, abs=1e-6)
    assert values.std() == pytest.approx(1, abs=1e-6)
    assert correlation(values, np.array([curve(one)[-1] for one in trials])) > 0.95


def test_a_trend_is_the_forecast_of_a_search_that_had_these_trials() -> None:
    given, reached = former(), Rungs(PASSES)
    forecaster = Forecaster(families(), reached, seed=0)
    for number, params in given.params.items():
        forecaster.add(number, params)
    for trial, passes, gain in given.reports:
        reached.enter(trial, passes, gain or math.nan)
    known = forecaster.forecasts()
    assert known is not None
    features = known.points.features(np.random.default_rng(1).random((20, known.points.size)))
    found, (mean, _) = trend(given), known.model.forecast(features)
    np.testing.assert_allclose(found.at(features) * found.spread + found.middle, mean, atol=1e-8)
    assert len(found.best) == BEST
    np.testing.assert_array_equal(found.best[0], known.at[known.final.argmax()])


def test_a_former_search_kept_in_a_file_gives_the_very_same_trend() -> None:
    text = json.dumps([asdict(former())])
    (again,) = TypeAdapter(tuple[Former, ...]).validate_python(json.loads(text))
    assert again == former()
    features = np.random.default_rng(0).random((20, len(Search().forecaster.points.owner)))
    np.testing.assert_array_equal(trend(again).at(features), trend(former()).at(features))


@pytest.mark.parametrize(
    "given", [former(FEWEST - 1), former(score=lambda params: [0.5] * 4)], ids=["too few", "all alike"]
)
def test_what_says_nothing_is_no_trend(given: Former) -> None:
    assert trends_of([given], families(), seed=0) == []
    assert given.can_forecast == (len(given.params) >= FEWEST)


def harder(params: Mapping[str, Any]) -> list[float]:
    """The same order of configurations on data where all score less."""
    return [0.05 + 0.3 * score for score in curve(params)]


def other(params: Mapping[str, Any]) -> list[float]:
    """Another learning rate is best, and the other family."""
    off = 0.5 * (place_of_rate(params) - 0.1) ** 2
    slow, fast = (0.10, 0.15, 0.20, 0.20), (0.50, 0.60, 0.70, 0.75)
    return [score - off for score in (fast if params["family"] == "fast" else slow)]


def rising(params: Mapping[str, Any]) -> list[float]:
    """Curves that do not cross: where a learning rate is good, it is so from the start."""
    return [level - 0.8 * (place_of_rate(params) - 0.9) ** 2 for level in (0.80, 0.85, 0.90, 0.92)]


def test_a_former_search_on_harder_data_says_which_configurations_are_good() -> None:
    def hard(params: Mapping[str, Any]) -> list[float]:
        return [0.05 + 0.3 * score for score in rising(params)]

    asked = drawn(60, seed=2)
    ends = np.array([rising(params)[-1] for params in asked])
    without, after = (warm(formers, 22, noisy) for formers in ([], [former(score=hard)]))
    found, better = correlation(expected(without, asked), ends), correlation(expected(after, asked), ends)
    assert better > 0.9
    assert better > found + 0.1


def noisy(params: Mapping[str, Any]) -> list[float]:
    """The same, on few pictures."""
    rng = np.random.default_rng(int(1e6 * place_of_rate(params)))
    return [score + 0.3 * rng.standard_normal() for score in rising(params)]


def test_a_former_search_that_is_wrong_is_forgotten() -> None:
    asked = drawn(60, seed=2)
    without, after = (warm(formers, 80, curve) for formers in ([], [former(score=other)]))
    np.testing.assert_allclose(expected(after, asked), expected(without, asked), atol=0.5)
    assert correlation(expected(after, asked), expected(without, asked)) > 0.97


def test_a_former_search_that_is_right_does_not_make_rungs_seem_to_say_less() -> None:
    without, after = (
        known.model.foretold()
        for formers in ([], [former(score=rising)])
        if (known := warm(formers, 60, rising).forecaster.forecasts())
    )
    assert (after > without - 0.1).all()


def test_several_former_searches_are_each_believed_as_far_as_they_are_right() -> None:
    asked = drawn(60, seed=2)
    ends = np.array([rising(params)[-1] for params in asked])
    wrong, right = former(score=other), former(score=rising, seed=9)
    misled, both = (warm(formers, 22, noisy) for formers in ([wrong], [wrong, right]))
    assert correlation(expected(both, asked), ends) > correlation(expected(misled, asked), ends) + 0.1


def test_candidates_are_looked_for_near_the_best_of_former_searches_in_every_branch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = warm([former()], 14, curve)
    known, real, seen = search.forecaster.forecasts(), forecast_search._near, []
    assert known is not None
    (found,) = known.trends

    def near(points: Any, at: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        seen.append(at)
        return real(points, at, count, rng)

    monkeypatch.setattr(forecast_search, "_near", near)
    for branch in range(known.points.branch_count):
        seen.clear()
        offered = forecast_search._best(known, branch, np.random.default_rng(0))
        np.testing.assert_array_equal(seen[0][-BEST:], known.points.moved(found.best, branch))
        tried = {tuple(row) for row in known.points.features(known.at)}
        assert not tried & {tuple(row) for row in known.points.features(offered)}


def test_a_former_search_guides_as_soon_as_anything_is_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_search, "RANDOM", 0.0)
    off = {}
    for formers in ([], [former()]):
        search = warm(formers, FEWEST + 2, curve)
        ats = [suggested(search.forecaster, Turn(0, number), []) for number in range(100, 130)]
        params = [search.forecaster.points.params(at) for at in ats]
        off[len(formers)] = np.mean([abs(place_of_rate(entry) - BEST_RATE) for entry in params])
    assert off[1] < off[0] / 2


def test_former_searches_change_no_forecast_of_a_search_without_them() -> None:
    asked = drawn(10, seed=2)
    without = warm([], 20, curve)
    with_nothing = warm([replace(former(), reports=[])], 20, curve)
    np.testing.assert_array_equal(expected(without, asked), expected(with_nothing, asked))


# What is tried first.


def test_the_best_of_former_searches_are_tried_by_turns() -> None:
    ranked = [["a1", "b1", "c1"], ["d2", "e2"], []]
    assert tried_first(ranked, lambda item: item) == ["a1", "d2", "b1", "e2", "c1"]


def test_few_are_tried_first_and_fewer_of_one_network() -> None:
    ranked = [[f"a{place}" for place in range(9)] + [f"{name}0" for name in "bcdefg"]]
    found = tried_first(ranked, lambda item: item[0])
    assert found == ["a0", "a1", "b0", "c0", "d0"]
    assert (len(found), sum(item[0] == "a" for item in found)) == (FIRST, ALIKE)


def test_what_two_former_searches_found_is_tried_once() -> None:
    assert tried_first([["a", "b"], ["a", "c"]], lambda item: item) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["forecast", "random", "tpe"])
def test_a_search_with_a_former_ones_seed_does_not_draw_what_that_has_drawn(name: str) -> None:
    def drawn_by(*formers: Former) -> list[dict[str, Any]]:
        made = make_policy(families(), SCORE, name=name, seed=0, max_passes=PASSES, former=formers)
        return [made.sampler.ask(number) for number in range(4)]

    alone, after, later = drawn_by(), drawn_by(former()), drawn_by(replace(former(), source="results/new"))
    assert not [params for params in alone if params in after or params in later]
    assert not [params for params in after if params in later]
    assert drawn_by(former()) == after
