"""What is suggested by forecasts: that it is of the space, repeatable, and where most is to be gained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from search.policy import forecast_search
from search.policy.forecast_search import (
    AROUND,
    CHANGES,
    COST_POWER,
    GUIDED_FROM,
    LEADERS,
    LEAST,
    OFFERED,
    suggested,
)
from search.policy.forecaster import FEWEST, Forecasts
from search.policy.history import Turn
from search.policy.points import Points
from spaces.domains import Choice, Fixed, Range
from spaces.parameters import Parameter
from spaces.space_files import load_space
from spaces.tree import Tree
from tests.forecasting import BEST, RUNGS, Search, curve, families, known, of_family, place_of_rate, tree


def params(search: Search, turn: Turn, begun: list[int] | None = None) -> dict[str, object]:
    """What is suggested, which must be of the space."""
    at = suggested(search.forecaster, turn, begun or [])
    assert ((at >= 0) & (at <= 1)).all()
    found = search.forecaster.points.params(at)
    search.forecaster.points.tree.drawn(found)
    return found


def of_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every suggestion come from the model, from the first forecast on."""
    monkeypatch.setattr(forecast_search, "AROUND", 0.0)
    monkeypatch.setattr(forecast_search, "RANDOM", 0.0)
    monkeypatch.setattr(forecast_search, "GUIDED_FROM", 0)


def forecasts(search: Search) -> Forecasts:
    found = search.forecaster.forecasts()
    assert found is not None
    return found


def branches(count: int) -> Tree:
    """So many branches, each with a number of its own."""
    names = tuple(f"b{number}" for number in range(count))
    own = [Parameter(f"{name}.x", f"{name}.x", Range("float", 0, 1), {"name": (name,)}, ()) for name in names]
    return Tree("branches", "", (Parameter("name", "name", Choice(names), {}, ()), *own), {})


def fed(searched: Tree, score: Callable[[np.ndarray], float], count: int = 18, **changes: object) -> Search:
    """A search that has seen random points of a space score so, at two rungs."""
    search = Search(searched, **changes)  # type: ignore[arg-type]
    points = search.forecaster.points
    for number, at in enumerate(np.random.default_rng(0).random((count, points.size))):
        search.forecaster.add(number, points.params(at))
        for passes in RUNGS[:2]:
            search.rule.enter(number, passes, score(at))
    return search


@pytest.mark.parametrize("space", ["demo", "finetune", "full"])
def test_suggestions_are_recipes_of_the_spaces_that_ship(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    search = fed(load_space(space), lambda at: float(at[:3].mean()), count=FEWEST - 1)
    assert search.forecaster.forecasts() is None
    for number in range(3):
        params(search, Turn(0, number))
    search = fed(load_space(space), lambda at: float(at[:3].mean()), count=FEWEST)
    of_model(monkeypatch)
    for number in range(3):
        params(search, Turn(0, number))


@pytest.mark.parametrize(
    "searched",
    [
        tree(x=Range("float", 0, 1)),
        tree(c=Choice(("a", "b", "c"))),
        tree(x=Range("log", 1e-3, 1), c=Choice((8,))),
        Tree(
            "names",
            "",
            (*branches(2).parameters[:1], Parameter("y", "y", Fixed(1), {"name": ("b0",)}, ())),
            {},
        ),
    ],
)
def test_the_smallest_spaces_have_suggestions(searched: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    search = fed(searched, lambda at: float(at[0]), count=GUIDED_FROM)
    for around, random in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)):
        monkeypatch.setattr(forecast_search, "AROUND", around)
        monkeypatch.setattr(forecast_search, "RANDOM", random)
        for number in range(4):
            params(search, Turn(0, number))


def test_a_space_of_a_single_recipe_suggests_it() -> None:
    assert params(Search(tree(c=Fixed(1))), Turn(0, 0)) == {}


@pytest.mark.parametrize("gain", [0.1, 0.0, -5.0])
def test_equal_scores_do_not_stop_suggestions(gain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    of_model(monkeypatch)
    search = fed(families(), lambda at: gain)
    assert len({str(params(search, Turn(0, number))) for number in range(4)}) == 4


@pytest.mark.parametrize("trials", [4, GUIDED_FROM])
def test_the_same_turn_has_the_same_suggestion_and_another_one_another(trials: int) -> None:
    search, again = known(trials), known(trials)
    turns = [
        Turn(seed, number, draw)
        for seed in (0, 1)
        for number in range(30, 34)
        for draw in (0, 1, OFFERED + 1)
    ]
    found = {turn: suggested(search.forecaster, turn, []).tolist() for turn in turns}
    for turn in reversed(turns):  # whatever was asked before
        assert suggested(again.forecaster, turn, []).tolist() == found[turn]
    assert len({tuple(at) for at in found.values()}) == len(turns)


@pytest.mark.parametrize("random", [0.0, 1.0])
def test_what_was_refused_is_followed_by_something_else(
    random: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast_search, "AROUND", 0.0)
    monkeypatch.setattr(forecast_search, "RANDOM", random)
    search = known(GUIDED_FROM)
    offered = [suggested(search.forecaster, Turn(3, 40, draw), []) for draw in range(OFFERED + 3)]
    assert len({str(search.forecaster.points.params(at)) for at in offered}) == OFFERED + 3
    if not random:
        branches_of = search.forecaster.points.branches(np.array(offered[:OFFERED]))
        assert len(set(branches_of.tolist())) == 1  # it is chosen once


def test_where_all_around_the_best_is_refused_others_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_search, "AROUND", 1.0)
    monkeypatch.setattr(forecast_search, "RANDOM", 1.0)
    monkeypatch.setattr(forecast_search, "LEADERS", 1)
    search = known(GUIDED_FROM)
    branches_of = search.forecaster.points.branches
    offered = np.array([suggested(search.forecaster, Turn(3, 40, draw), []) for draw in range(3 * OFFERED)])
    assert len(set(branches_of(offered[:OFFERED]).tolist())) == 1
    assert len({tuple(at) for at in offered[:OFFERED]}) > OFFERED / 2
    assert set(branches_of(offered[OFFERED:]).tolist()) == {0, 1}


def test_what_has_been_tried_is_not_offered_again() -> None:
    """Beside the best trials are those that have the same parameters where theirs do not apply."""
    steps = Range("float", 0, 1, step=0.25)
    search = fed(tree(x=steps, y=steps, z=Range("float", 0, 1)), lambda at: float(at[:2].sum()), count=24)
    found = forecasts(search)
    tried = {tuple(row) for row in found.features}
    offered = found.points.features(forecast_search._best(found, 0, np.random.default_rng(0)))
    assert not tried & {tuple(row) for row in offered}
    assert len({tuple(row) for row in offered}) == OFFERED


def test_a_quarter_of_the_suggestions_are_around_the_trials_that_are_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = known(GUIDED_FROM)
    monkeypatch.setattr(forecast_search, "RANDOM", 1.0)
    found = forecasts(search)
    leaders = found.at[np.argsort(-found.final)[:LEADERS]]
    branch_place = found.points.branch_place
    assert branch_place is not None
    others = np.arange(found.points.size) != branch_place
    asked = np.array([suggested(search.forecaster, Turn(0, number), []) for number in range(800)])
    same = (asked[:, None] == leaders)[:, :, others]
    # One in 2^3 has none of the leader's other coordinates; one that is random has none by chance.
    of = np.where(same.any((1, 2)), same.sum(2).argmax(1), -1)
    assert (of >= 0).mean() == pytest.approx(AROUND * 7 / 8, abs=0.045)  # three standard deviations
    assert set(of) == {-1, *range(LEADERS)}
    for leader in range(LEADERS):
        near = asked[of == leader]
        np.testing.assert_array_equal(near[:, branch_place], leaders[leader, branch_place])
    away = (asked - leaders[of])[of >= 0][:, others]
    # Normal of a quarter, drawn anew where that leaves the range.
    assert 0.1 < np.median(np.abs(away[away != 0])) < 0.3


def test_half_of_the_other_suggestions_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    search = known(GUIDED_FROM)
    monkeypatch.setattr(forecast_search, "AROUND", 0.0)
    monkeypatch.setattr(forecast_search, "_shares", lambda found, rng: np.ones(2))
    monkeypatch.setattr(forecast_search, "_best", lambda found, branch, rng: np.full((1, 4), -1.0))
    found = [suggested(search.forecaster, Turn(0, number), []) for number in range(400)]
    by_chance = np.array([at for at in found if at[0] >= 0])
    assert 0.43 < len(by_chance) / 400 < 0.57  # three standard deviations
    np.testing.assert_allclose(
        np.quantile(by_chance, [0.25, 0.5, 0.75], axis=0).T, [[0.25, 0.5, 0.75]] * 4, atol=0.1
    )


@pytest.mark.parametrize("count", [5, 15])
def test_the_first_go_through_the_branches_from_the_cheap_to_the_dear(count: int) -> None:
    costs = {
        f"b{number}": float(cost)
        for number, cost in enumerate(np.random.default_rng(1).permutation(count) + 1)
    }
    search = Search(branches(count), cost=lambda params: costs[params["name"]])
    at_once = min(count, FEWEST)
    for first in (0, at_once, 2 * at_once):
        tried = [
            costs[str(params(search, Turn(0, number))["name"])] for number in range(first, first + at_once)
        ]
        assert tried == sorted(set(tried))
        again = params(search, Turn(0, first, draw=1))  # what was refused is replaced in its branch
        assert costs[str(again["name"])] == tried[0]
    assert len({str(params(search, Turn(0, number))) for number in range(30)}) == 30


@pytest.mark.parametrize("around", [0.0, 1.0])
def test_what_is_known_of_few_trials_guides_nobody(around: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_search, "AROUND", around)
    monkeypatch.setattr(forecast_search, "RANDOM", 0.0)
    few, none, enough = known(GUIDED_FROM - 1), Search(), known(GUIDED_FROM)
    assert forecasts(few).ranked
    found = {
        name: [suggested(search.forecaster, Turn(0, number), []).tolist() for number in range(4)]
        for name, search in (("few", few), ("none", none), ("enough", enough))
    }
    assert found["few"] == found["none"]
    assert not [at for at in found["enough"] if at in found["none"]]


def test_the_model_goes_where_trials_end_best(monkeypatch: pytest.MonkeyPatch) -> None:
    of_model(monkeypatch)
    search = known(30, lengths=(4, 2, 2))
    found = [params(search, Turn(0, number)) for number in range(100, 130)]
    slow = [entry for entry in found if entry["family"] == "slow"]
    assert len(slow) > 20  # it starts worst and ends best
    at_random = float(np.abs(np.random.default_rng(0).random(1000) - BEST).mean())
    assert np.mean([abs(place_of_rate(entry) - BEST) for entry in slow]) < at_random / 2


def test_a_branch_is_drawn_the_more_the_likelier_it_holds_the_best() -> None:
    rng = np.random.default_rng(0)
    far = fed(branches(3), lambda at: 0.2 + 0.6 * (at[0] < 1 / 3) + 0.01 * at[1], count=30)
    even = fed(branches(3), lambda at: 0.2 + 0.01 * float(at[1:].sum()), count=30)
    for search in (far, even):
        shares = forecast_search._shares(forecasts(search), rng)
        assert shares.shape == (3,)
        assert (shares >= LEAST).all()
        assert 1 <= shares.sum() <= 1 + 3 * LEAST
        if search is far:
            assert shares[0] > 0.9
        else:
            assert shares.max() < 0.75


def test_branches_are_drawn_by_the_root_of_their_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    known = forecasts(fed(branches(3), lambda at: 0.2 + 0.1 * (at[0] < 1 / 3) * at[1], count=30))
    monkeypatch.setattr(forecast_search, "LEAST", 0.0)
    drawn_by = forecast_search._shares(known, np.random.default_rng(0))
    monkeypatch.setattr(forecast_search, "TEMPERED", 1.0)
    probable = forecast_search._shares(known, np.random.default_rng(0))
    assert probable.max() > 0.5
    np.testing.assert_allclose(drawn_by, probable**0.5 / (probable**0.5).sum())


def test_a_branch_that_costs_much_is_chosen_less_than_one_that_is_as_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_model(monkeypatch)
    chosen = {}
    for dear in ("b0", "b1"):
        search = Search(branches(2), cost=lambda p, dear=dear: 1 + 400 * (p["name"] == dear))
        for number in range(20):  # the same in both
            name, x = f"b{number % 2}", number // 2 / 10
            search.reach(number, [0.2 + 0.6 * x], {"name": name, f"{name}.x": x})
        found = [params(search, Turn(0, number))["name"] for number in range(100, 140)]
        chosen[dear] = found.count(dear)
        assert 0 < chosen[dear] < 20
    assert sum(chosen.values()) < 30


def test_a_branch_that_costs_twice_as_much_is_less_probable_by_the_power_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_model(monkeypatch)
    monkeypatch.setattr(forecast_search, "_shares", lambda found, rng: np.array([0.6, 0.4]))
    monkeypatch.setattr(forecast_search, "_best", lambda found, branch, rng: np.full((1, 3), float(branch)))
    search = fed(branches(2), lambda at: float(at[1]), cost=lambda p: 2.0 if p["name"] == "b0" else 1.0)
    found = [suggested(search.forecaster, Turn(0, number), [])[0] for number in range(2000)]
    weight = 0.6 * 2**-COST_POWER
    assert np.mean(found) == pytest.approx(0.4 / (0.4 + weight), abs=0.035)


def test_the_expected_improvement_is_the_integral_over_the_scores_that_improve() -> None:
    search = known(16)
    found = forecasts(search)
    at = np.random.default_rng(0).random((6, 4))
    mean, variance = found.model.forecast(found.points.features(at))
    gains = forecast_search._improvement(found, at)
    for gain, centre, spread in zip(gains, mean, np.sqrt(variance), strict=True):
        density = norm(centre, spread).pdf
        wanted, _ = quad(
            lambda score, density=density: (score - found.best_now) * density(score),
            found.best_now,
            max(centre, found.best_now) + 12 * spread,
        )
        assert gain == pytest.approx(wanted, rel=1e-4, abs=1e-12)


def test_offers_are_in_their_branch_and_the_best_comes_first() -> None:
    search = known(24)
    found = forecasts(search)
    for branch in (0, 1):
        best = forecast_search._best(found, branch, np.random.default_rng(branch))
        assert best.shape == (OFFERED, 4)
        assert (found.points.branches(best) == branch).all()
        gains = forecast_search._improvement(found, best)
        assert (np.diff(gains) <= 1e-12).all()
    drawn = found.points.moved(np.random.default_rng(9).random((400, 4)), 1)
    assert gains[0] >= forecast_search._improvement(found, drawn).max()


def test_there_is_less_to_gain_beside_a_trial_that_has_begun() -> None:
    search = known(24, lengths=(2, 1, 1))
    points = search.forecaster.points
    search.forecaster.add(24, of_family("slow", 0.95, depth=4))
    beside = points.point(of_family("slow", 0.95, depth=4), np.random.default_rng(0))[None]
    before = forecast_search._improvement(forecasts(search), beside)
    found = search.forecaster.forecasts(begun=[24])
    assert found is not None
    assert forecast_search._improvement(found, beside) < before


@pytest.mark.parametrize("space", [None, "finetune"])
def test_points_near_others_stay_in_their_branch_and_in_the_cube(space: str | None) -> None:
    points = Points(load_space(space) if space else families())
    rng = np.random.default_rng(0)
    at = np.vstack([rng.random((20, points.size)), np.zeros((1, points.size)), np.ones((1, points.size))])
    near = forecast_search._near(points, at, 30, rng)
    origin = np.repeat(at, 30, axis=0)
    assert near.shape == origin.shape
    assert ((near >= 0) & (near <= 1)).all()
    np.testing.assert_array_equal(points.branches(near), points.branches(origin))
    changed = (near != origin).sum(1)
    assert changed.max() == CHANGES
    assert (changed > 0).mean() > 0.7  # others had nothing but their branch to change
    assert points.branch_place is not None
    others = np.delete(np.arange(points.size), points.branch_place)
    assert (near != origin)[:, others].any(0).all()


def test_near_means_a_little_away_or_anywhere() -> None:
    points = Points(tree(x=Range("float", 0, 1)))
    near = forecast_search._near(points, np.full((1, 1), 0.5), 4000, np.random.default_rng(0))[:, 0]
    # Half moved by a normal step of 0.15, half drawn anew: 0.5 of 0.683 and 0.5 of 0.3 are within a step.
    assert (np.abs(near - 0.5) < 0.15).mean() == pytest.approx(0.49, abs=0.03)
    assert (np.abs(near - 0.5) > 0.45).mean() == pytest.approx(0.05, abs=0.015)


def test_a_curve_of_the_slow_family_ends_best() -> None:
    fast, slow = (curve(of_family(name, BEST)) for name in ("fast", "slow"))
    assert fast[0] > slow[0]
    assert slow[-1] > fast[-1]
