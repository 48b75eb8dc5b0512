"""Winners in pairs: the verdict of a rematch for two, wider for many, and how often it errs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from search.compare.cohorts import cohorts
from search.compare.entry import read_entries
from search.compare.match import Played, match, match_of
from search.compare.told import pair, said
from search.rematch.verdict import Contender, verdict
from search.trials.trials import METRICS
from tests.compared import made, pictures_split, selection_labels, winner_answers
from tests.predictions import runs

ACCURACY = METRICS["val_accuracy"]
ALONE = np.arange(300)
"""Groups of pictures that are of no group."""


def played(*abilities: float, seed: int = 0) -> tuple[list[Played], np.ndarray]:
    labels = np.random.default_rng(seed).integers(4, size=len(ALONE))
    found = [
        Played(number, runs(labels, 4, 100 * seed + number, ability, seeds=3))
        for number, ability in enumerate(abilities, start=1)
    ]
    return found, labels


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_of_two_it_is_the_verdict_of_a_rematch(metric) -> None:
    found, labels = played(1.2, 1.9)
    (only,) = match(metric, found, labels, ALONE).pairs
    known = verdict(metric, [Contender(one.number, 0.0, one.runs) for one in found], labels)
    first, second = known.standings
    assert (only.better, only.other) == (first.trial, second.trial) == (2, 1)
    assert only.by == pytest.approx(second.behind)
    assert only.interval == pytest.approx(second.behind_interval)
    assert only.apart is True


def test_every_two_are_compared_and_each_interval_is_bonferronis() -> None:
    found, labels = played(1.2, 1.9, 1.5, 1.7)
    known = match(ACCURACY, found, labels, ALONE)
    assert known.pictures == 300
    assert {frozenset((one.better, one.other)) for one in known.pairs} == {
        frozenset(couple) for couple in ((1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4))
    }
    means = {one.number: np.mean([(run.argmax(1) == labels).mean() for run in one.runs]) for one in found}
    alone = verdict(ACCURACY, [Contender(one.number, 0.0, one.runs) for one in found], labels)
    narrow = {standing.trial: standing.behind_interval for standing in alone.standings}
    for one in known.pairs:
        assert one.by == pytest.approx(means[one.better] - means[one.other])
        assert one.by >= 0
        assert one.interval is not None
        assert np.mean(one.interval) == pytest.approx(one.by)
        if one.better == known.pairs[0].better and (inner := narrow[one.other]):
            # Both t quantiles, of 8 and of 299 degrees of freedom, grow by the factor of their own tails.
            grown = (one.interval[1] - one.by) / (inner[1] - one.by)
            factors = [stats.t.ppf(1 - 0.025 / 6, df) / stats.t.ppf(1 - 0.05 / 3, df) for df in (299, 8)]
            assert factors[0] < grown < factors[1]
    assert [one.better for one in known.pairs[:3]] == [2, 2, 2]


def test_without_two_runs_of_anyone_nothing_is_known_of_the_difference() -> None:
    found, labels = played(1.2, 1.9)
    (only,) = match(ACCURACY, [one._replace(runs=one.runs[:1]) for one in found], labels, ALONE).pairs
    assert (only.interval, only.apart) == (None, None)
    assert only.by > 0


def test_equal_winners_are_seldom_called_apart_whatever_their_number() -> None:
    apart = 0
    for seed in range(200):
        found, labels = played(*[1.5] * 4, seed=seed)
        apart += any(one.apart for one in match(ACCURACY, found, labels, ALONE).pairs)
    assert apart <= 20  # of 200, where 5% are 10; more than 20 has a probability of 0.1%


def test_winners_are_read_from_their_folders(tmp_path: Path) -> None:
    made(tmp_path / "good", seed=1, ability=2.5)
    made(tmp_path / "bad", seed=2, ability=1.0)
    made(tmp_path / "without", seed=3)
    (cohort,) = cohorts(read_entries([tmp_path / name for name in ("bad", "good", "without")]))
    assert [one.name for one in cohort.entries] == ["good", "bad", "without"]
    found, unread = match_of(cohort)
    assert found is not None
    (only,) = found.pairs
    split = pictures_split()
    labels = selection_labels(split)
    means = [
        np.mean([(run.argmax(1) == labels).mean() for run in winner_answers(split, seed, ability)])
        for seed, ability in ((1, 2.5), (2, 1.0))
    ]
    assert (only.better, only.other, only.by) == (1, 2, pytest.approx(means[0] - means[1]))
    told = said(cohort, found, unread)
    assert told.first is not None
    assert told.first.name == "good"
    assert f"{means[0]:.1%} accuracy. It is better than that of bad by" in told.verdict
    assert told.against == {2: "behind"}
    assert told.remarks[0].startswith("without had no rematch")
    assert pair(only, {1: "good", 2: "bad"}, ACCURACY).startswith(
        f"good is better than bad by {100 * only.by:.1f}"
    )


def test_where_no_two_winners_compare_no_search_is_said_to_lack_a_rematch(tmp_path: Path) -> None:
    folders = [made(tmp_path / "alone", seed=1, ability=2.0), made(tmp_path / "without", seed=2)]
    (cohort,) = cohorts(read_entries([folder.path for folder in folders]))
    found, unread = match_of(cohort)
    assert found is None
    told = said(cohort, found, unread)
    assert told.remarks == []
    assert "without the rematches of two searches nothing tells by how much" in told.verdict


def test_answers_that_are_gone_leave_one_winner_out_and_say_so(tmp_path: Path) -> None:
    folders = [made(tmp_path / name, seed=seed, ability=2.0) for seed, name in enumerate(("a", "b", "c"))]
    (folders[1].rematch / "run-0.npz").unlink()
    (cohort,) = cohorts(read_entries([folder.path for folder in folders]))
    number = {one.name: one.number for one in cohort.entries}
    found, unread = match_of(cohort)
    assert found is not None
    assert {(one.better, one.other) for one in found.pairs} <= {
        (number["a"], number["c"]),
        (number["c"], number["a"]),
    }
    assert "run-0.npz" in unread[number["b"]]
    assert any("The winner of b cannot be compared" in line for line in said(cohort, found, unread).remarks)


def test_tied_winners_are_called_tied_and_chance_is_warned_of(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b", "c")):
        made(tmp_path / name, seed=seed, ability=2.0, readings=seed)
    (cohort,) = cohorts(read_entries([tmp_path / name for name in "abc"]))
    found, unread = match_of(cohort)
    told = said(cohort, found, unread)
    assert told.verdict.endswith("None of the others is shown to be worse: they are tied.")
    assert set(told.against.values()) == {"tied"}
    remarks = " ".join(told.remarks)
    assert "With 3 comparisons one would soon look like a difference by chance." in remarks
    assert "which has been read 3 times in all" in remarks


def test_without_rematches_the_best_score_is_no_proof(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        made(tmp_path / name, seed=seed)
    (cohort,) = cohorts(read_entries([tmp_path / name for name in "ab"]))
    found, unread = match_of(cohort)
    assert (found, unread) == (None, {})
    told = said(cohort, found, unread)
    assert told.first is not None
    best = max(one.best.score(ACCURACY) or 0.0 for one in cohort.entries if one.best)
    assert told.first.best == best
    assert "That is no proof" in told.verdict
