"""What a rematch concludes, against textbook intervals, and on simulated searches whose truth is known."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from search.rematch.noise import noise
from search.rematch.verdict import Contender, Standing, Verdict, verdict
from search.statistics.intervals import of_model, wilson
from search.statistics.resampling import score_of, summands
from search.trials.trials import METRICS, Metric
from tests.predictions import certain, runs
from tests.test_benchmarks import script

ACCURACY, MACRO_F1, LOSS = (METRICS[name] for name in ("val_accuracy", "val_macro_f1", "val_loss"))
LABELS = np.random.default_rng(0).integers(4, size=300)


def contender(
    trial: int, ability: float = 1.5, seeds: int = 3, constant: float = 0.0, cost: float | None = None
) -> Contender:
    return Contender(trial, 0.8, runs(LABELS, 4, trial, ability, seeds), constant, cost)


def standing(found: Verdict, trial: int) -> Standing:
    return next(one for one in found.standings if one.trial == trial)


def of_losses(losses: Sequence[float], count: int = 50) -> list[np.ndarray]:
    """A run for each loss, which is the same on all pictures of class 0."""
    return [certain(np.zeros(count, int), 2, math.exp(-loss)) for loss in losses]


def test_where_pictures_are_all_alike_it_is_the_t_interval_with_the_pooled_variance() -> None:
    losses = {1: (0.20, 0.24, 0.22), 2: (0.30, 0.32)}
    contenders = [Contender(trial, 0.2, of_losses(values)) for trial, values in losses.items()]
    found = verdict(LOSS, contenders, np.zeros(50, int))
    pooled = math.sqrt((2 * np.var(losses[1], ddof=1) + np.var(losses[2], ddof=1)) / 3)
    assert found.freedom == 3
    assert found.seed_sd == pytest.approx(pooled, rel=1e-5)
    for trial, values in losses.items():
        one = standing(found, trial)
        low, high = one.interval or (math.nan, math.nan)
        half = stats.t.ppf(0.975, 3) * pooled / math.sqrt(len(values))
        spread = half**2 / one.mean
        assert one.scores == pytest.approx(values, rel=1e-5)
        assert one.mean == pytest.approx(np.mean(values), rel=1e-5)
        assert one.spread == pytest.approx(np.std(values, ddof=1), rel=1e-4)
        # Symmetry would make it `mean` +- `half`; see `search.statistics.intervals.around`.
        assert (low + high) / 2 == pytest.approx(one.mean + spread / 2, rel=1e-4)
        assert low * high == pytest.approx(one.mean**2, rel=1e-4)
    behind = standing(found, 2).behind_interval or (math.nan, math.nan)
    half = stats.t.ppf(0.975, 3) * pooled * math.sqrt(1 / 3 + 1 / 2)
    assert behind == pytest.approx((0.09 - half, 0.09 + half), rel=1e-4)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("grouped", [False, True])
def test_where_seeds_are_all_alike_it_is_the_interval_over_pictures(metric: Metric, grouped: bool) -> None:
    groups = np.arange(300) // 5 if grouped else None
    (run,) = runs(LABELS, 4, seed=1)
    found = verdict(metric, [Contender(1, 0.8, [run, run, run])], LABELS, groups)
    expected = of_model(metric, LABELS, run, groups)
    # Wilson's interval needs no bootstrap, which is known to a few percent.
    assert found.standings[0].interval == pytest.approx(expected, abs=0.003)
    assert found.units == (60 if grouped else 300)
    assert found.seed_sd == pytest.approx(0)


def test_seeds_and_pictures_add_up_as_in_an_analysis_of_variance() -> None:
    hits = np.stack([run.argmax(axis=1) == LABELS for run in runs(LABELS, 4, 1, seeds=6)]).astype(float)
    of = summands_of(runs(LABELS, 4, 1, seeds=6))
    known = noise([of], np.arange(300))
    assert known is not None
    by_seed, by_picture = hits.mean(axis=1), hits.mean(axis=0)
    rest = hits - by_seed[:, None] - by_picture + hits.mean()
    of_seeds = 300 * np.var(by_seed, ddof=1)
    of_pictures = 6 * np.var(by_picture, ddof=1)
    of_rest = (rest**2).sum() / (5 * 299)
    found = known.of_seeds / 6 + known.of_pictures.item()
    # Two crossed random factors: Searle, Casella and McCulloch 1992, "Variance Components".
    assert found == pytest.approx((of_seeds + of_pictures - of_rest) / (6 * 300), rel=0.05)
    assert of_pictures > 1.5 * of_rest


def test_what_two_have_in_common_does_not_count_in_their_difference() -> None:
    hard = np.random.default_rng(1).random(300) < 0.3
    wrong = (LABELS + 1) % 4
    mostly = certain(np.where(hard, wrong, LABELS), 4)
    better = certain(np.where(hard & (np.arange(300) % 20 > 0), wrong, LABELS), 4)
    found = verdict(ACCURACY, [Contender(1, 0.7, [mostly] * 2), Contender(2, 0.7, [better] * 2)], LABELS)
    low, high = standing(found, 1).behind_interval or (math.nan, math.nan)
    gained = (mostly.argmax(1) != LABELS) & (better.argmax(1) == LABELS)
    half = stats.t.ppf(0.975, 299) * gained.std(ddof=1) / math.sqrt(300)
    assert (low, high) == pytest.approx((gained.mean() - half, gained.mean() + half), abs=0.002)
    alone = standing(found, 1).interval or (math.nan, math.nan)
    assert high - low < (alone[1] - alone[0]) / 3


def test_the_clearly_worse_is_not_tied_and_the_rest_is() -> None:
    found = verdict(ACCURACY, [contender(1), contender(2), contender(3, ability=0.5)], LABELS)
    assert [one.trial for one in found.standings][-1] == 3
    assert [one.tied for one in found.standings] == [True, True, False]
    low, _ = found.standings[-1].behind_interval or (math.nan, math.nan)
    assert low > 0
    assert found.standings[0].behind == 0
    assert found.standings[0].behind_interval is None
    assert (found.winner, found.won_by) == (found.standings[0].trial, "score")


@pytest.mark.parametrize("count", [3, 6])
def test_those_are_tied_whose_interval_of_the_difference_reaches_zero(count: int) -> None:
    outcomes = set()
    for seed in range(40):
        abilities = np.random.default_rng(seed).uniform(1, 2, count)
        contenders = [contender(10 * seed + place, ability) for place, ability in enumerate(abilities)]
        for one in verdict(ACCURACY, contenders, LABELS).standings[1:]:
            assert one.behind_interval is not None
            assert one.tied == (one.behind_interval[0] <= 0)
            outcomes.add(one.tied)
    assert outcomes == {True, False}


def test_the_more_contenders_the_further_reach_the_differences_from_the_luckiest() -> None:
    coverage = script("coverage")
    setting = coverage.Setting(pictures=200, seed_sd=0.01, contenders=10, gap=0.0)
    held, ordinary = [], []
    for seed in range(100):
        search = coverage.searched(setting, np.random.default_rng(seed))
        for one in search.found.standings[1:]:
            low, high = one.behind_interval or (math.nan, math.nan)
            held.append(low <= 0 <= high)  # all are equally good
            # As wide as a comparison of two by themselves: ten contenders with three seeds each.
            ordinary.append(
                one.behind <= (high - low) / 2 * stats.t.ppf(0.975, 20) / stats.t.ppf(1 - 0.05 / 9, 20)
            )
    assert 0.93 < np.mean(held) < 0.98
    assert np.mean(ordinary) < 0.9


def test_among_more_contenders_it_takes_more_not_to_be_tied() -> None:
    few = noise([summands_of(runs(LABELS, 4, trial, 1.5, 3)) for trial in range(2)], np.arange(300))
    assert few is not None
    assert few.between(0, 1, 0.05 / 4) > few.between(0, 1) > few.between(0, 1, 0.05)


def summands_of(of_seeds: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [summands(ACCURACY, LABELS, run) for run in of_seeds]


def test_among_the_tied_the_cheapest_wins_and_never_one_that_is_not() -> None:
    given = [contender(1, cost=2.0), contender(2, cost=1.0), contender(3, ability=0.5, cost=0.1)]
    found = verdict(ACCURACY, given, LABELS)
    assert (found.winner, found.won_by) == (2, "cost")
    dearer = [contender(1, cost=1.0), contender(2, cost=2.0), contender(3, ability=0.5, cost=0.1)]
    assert verdict(ACCURACY, dearer, LABELS).winner == 1


def test_of_equals_the_earlier_trial_leads_in_whatever_order_they_come() -> None:
    early, late = (Contender(trial, 0.8, contender(1).runs) for trial in (3, 8))
    found = verdict(ACCURACY, [early, late], LABELS)
    assert [one.trial for one in found.standings] == [3, 8]
    assert found.winner == 3
    assert verdict(ACCURACY, [late, early], LABELS) == found


def test_equal_costs_leave_it_to_the_score_and_so_does_one_that_is_not_known() -> None:
    leader, second, third = (
        one.trial for one in verdict(ACCURACY, [contender(trial) for trial in (1, 2, 3)], LABELS).standings
    )

    def found(costs: dict[int, float | None]) -> tuple[int, str]:
        of = verdict(ACCURACY, [contender(trial, cost=cost) for trial, cost in costs.items()], LABELS)
        assert all(one.tied for one in of.standings)
        return of.winner, of.won_by

    assert found({leader: 3.0, second: 3.0, third: 3.0}) == (leader, "cost")
    assert found({leader: 3.0, second: 2.0, third: 2.0}) == (second, "cost")
    for unknown in ((third,), (leader,), (leader, third), (leader, second, third)):
        costs = {leader: 3.0, second: 2.0, third: 1.0} | dict.fromkeys(unknown)
        assert found(costs) == (leader, "score")


def test_what_costs_add_counts_for_ranks_and_ties_and_not_for_the_metric() -> None:
    plain = verdict(ACCURACY, [contender(1), contender(2)], LABELS)
    leader, other = (one.trial for one in plain.standings)
    found = verdict(ACCURACY, [contender(leader, constant=-0.5), contender(other, constant=-0.1)], LABELS)
    assert [one.trial for one in found.standings] == [other, leader]
    assert standing(found, leader).tied is False
    for trial in (leader, other):
        assert standing(found, trial).mean == standing(plain, trial).mean
        assert standing(found, trial).interval == standing(plain, trial).interval
        assert standing(found, trial).flattered == standing(plain, trial).flattered
    gap = standing(plain, leader).mean - standing(plain, other).mean
    assert standing(found, leader).behind == pytest.approx(0.4 - gap)
    assert standing(found, leader).ranked_by == pytest.approx(standing(plain, leader).mean - 0.5)


def test_of_log_losses_the_lowest_is_the_best_and_a_cost_makes_it_higher() -> None:
    found = verdict(LOSS, [contender(1, 2.0), contender(2, 0.5)], LABELS)
    best, worst = found.standings
    assert (best.trial, worst.tied) == (1, False)
    assert worst.behind == pytest.approx(worst.mean - best.mean)
    assert best.flattered == pytest.approx(best.mean - 0.8)
    dear = verdict(LOSS, [contender(1, 2.0, constant=2.0), contender(2, 0.5)], LABELS)
    assert dear.standings[0].trial == 2


def test_the_winners_curse_is_what_the_search_promised_too_much() -> None:
    (one,) = verdict(ACCURACY, [contender(1)], LABELS).standings
    assert one.flattered == pytest.approx(0.8 - np.mean(one.scores))


def test_with_one_seed_each_nothing_is_told_apart_and_the_highest_score_wins() -> None:
    given = [contender(1, seeds=1, cost=2.0), contender(2, ability=0.5, seeds=1, cost=1.0)]
    found = verdict(ACCURACY, given, LABELS)
    assert (found.winner, found.won_by, found.seed_sd, found.freedom) == (1, "score", None, 0)
    for one in found.standings:
        assert (one.spread, one.interval, one.behind_interval, one.tied) == (None, None, None, None)
    assert found.standings[1].behind > 0


def test_pictures_of_a_single_group_tell_nothing_of_others() -> None:
    found = verdict(ACCURACY, [contender(1)], LABELS, np.zeros(300, int))
    assert (found.units, found.standings[0].interval) == (1, None)


def test_one_seed_among_contenders_with_several_varies_as_theirs_do() -> None:
    found = verdict(ACCURACY, [contender(1), contender(2, seeds=1)], LABELS)
    several, single = standing(found, 1), standing(found, 2)
    assert (found.freedom, single.spread) == (2, None)
    assert several.interval is not None
    assert single.interval is not None
    assert single.interval[1] - single.interval[0] > several.interval[1] - several.interval[0]
    assert single.tied is not None


def test_a_lone_contender_wins() -> None:
    found = verdict(ACCURACY, [contender(5)], LABELS)
    assert (found.winner, found.standings[0].tied) == (5, True)
    assert found.standings[0].interval is not None


def test_without_an_error_the_interval_is_wilsons_and_not_a_point() -> None:
    found = verdict(ACCURACY, [Contender(1, 1.0, [certain(LABELS, 4)] * 3)], LABELS)
    assert found.standings[0].interval == pytest.approx(wilson(300, 300))


def test_as_many_errors_in_all_seeds_do_not_pass_for_certainty() -> None:
    one_wrong = [certain(np.where(np.arange(300) == seed, (LABELS + 1) % 4, LABELS), 4) for seed in range(2)]
    found = verdict(ACCURACY, [Contender(1, 1.0, one_wrong)], LABELS)
    low, high = found.standings[0].interval or (math.nan, math.nan)
    assert found.standings[0].spread == 0
    assert high - low > 0.005


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_more_pictures_and_more_seeds_make_intervals_narrower(metric: Metric) -> None:
    def width(count: int, seeds: int) -> float:
        labels = np.random.default_rng(count).integers(4, size=count)
        found = []
        for seed in range(8):
            (one,) = verdict(metric, [Contender(1, 0.8, runs(labels, 4, seed, 1.5, seeds))], labels).standings
            assert one.interval is not None
            found.append(one.interval[1] - one.interval[0])
        return float(np.mean(found))

    assert width(800, 3) < 0.7 * width(200, 3)
    assert width(200, 6) < 0.9 * width(200, 3) < 0.7 * width(200, 2)


@st.composite
def rematches(draw: st.DrawFn) -> list[Contender]:
    trials = draw(st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True))
    return [
        contender(
            trial,
            ability=draw(st.floats(0, 6)),
            seeds=draw(st.integers(1, 4)),
            constant=draw(st.sampled_from([0.0, -0.05])),
            cost=draw(st.sampled_from([None, 1.0, 2.0])),
        )
        for trial in trials
    ]


@settings(max_examples=40, deadline=None)
@given(given=rematches(), metric=st.sampled_from(list(METRICS.values())), data=st.data())
def test_whatever_the_contenders(given: list[Contender], metric: Metric, data: st.DataObject) -> None:
    found = verdict(metric, given, LABELS)
    json.dumps(asdict(found), allow_nan=False)
    leader = found.standings[0]
    assert [one.behind for one in found.standings] == sorted(one.behind for one in found.standings)
    assert metric.gain(leader.ranked_by) == max(metric.gain(one.ranked_by) for one in found.standings)
    assert standing(found, found.winner).tied is not False
    assert leader.tied is not False
    for one in found.standings:
        if one.interval is not None:
            low, high = one.interval
            assert low - 1e-9 <= one.mean <= high + 1e-9
            assert low >= 0
            assert high <= 1 or metric is LOSS
        if one.behind_interval is not None:
            assert one.behind_interval[0] <= one.behind <= one.behind_interval[1]
    shuffled = data.draw(st.permutations(given))
    assert verdict(metric, shuffled, LABELS) == found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "at least one contender"),
        ([Contender(1, 0.8, [])], "trial 1 has no run"),
        ([contender(1), contender(1)], "given twice"),
        ([Contender(4, 0.8, [certain(LABELS[:-1], 4)])], r"trial 4: .* must be \(300, classes\).*\(299, 4\)"),
        ([Contender(4, 0.8, [np.full((300, 4), np.nan, np.float32)])], "trial 4: .*not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(given: list[Contender], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        verdict(ACCURACY, given, LABELS)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_simulated_truth_is_what_very_many_seeds_and_pictures_come_to(metric: Metric) -> None:
    coverage = script("coverage")
    setting = coverage.Setting(metric.name, pictures=2_000, classes=5, grouped=True)
    rng = np.random.default_rng(0)
    abilities, deviations = np.array([1.2]), np.array([0.3])
    scores = []
    for _ in range(100):
        part = coverage.draw_part(setting, rng)
        (trained,) = coverage.outputs(setting, part, abilities, deviations, 5, rng)
        scores.append(np.mean([score_of(summands(metric, part.labels, run)) for run in trained]))
    error = np.std(scores) / math.sqrt(len(scores))
    assert coverage.true_score(setting, 1.2, 0.3) == pytest.approx(np.mean(scores), abs=3 * error)
    assert error < 0.007


def test_the_intervals_cover_where_the_searchs_own_do_not() -> None:
    coverage = script("coverage")
    setting = coverage.Setting(pictures=300, seed_sd=0.015)
    searches = [coverage.searched(setting, np.random.default_rng(seed)) for seed in range(200)]
    held = [
        coverage.holds(one.interval, search.truth[one.trial])
        for search in searches
        for one in search.found.standings
    ]
    naive = [coverage.holds(search.first_interval, search.truth[search.first]) for search in searches]
    assert 0.93 < np.mean(held) < 0.98
    assert np.mean(naive) < 0.8
    best = [max(search.truth, key=lambda trial: search.truth[trial]) for search in searches]
    tied = [{one.trial for one in search.found.standings if one.tied} for search in searches]
    assert np.mean([trial in among for trial, among in zip(best, tied, strict=True)]) > 0.95
    assert np.mean([len(among) for among in tied]) < 2.9
