"""What a comparison says in words: how sure it is, and what to bear in mind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.compare.cohorts import Cohort, cohorts
from search.compare.entry import Entry, Identity, read_entries
from search.compare.match import Match, Pair
from search.compare.overview import overview
from search.compare.told import interval, pair, said
from search.report import facts
from search.text import difference, listed
from search.trials.trials import METRICS
from tests.compared import made
from tests.synthetic import synthetic_search, synthetic_view
from tests.test_report_rematch import played

SAME = Identity("abc", ("anna", "bert"), "split", "val_accuracy")
ACCURACY, LOSS = METRICS["val_accuracy"], METRICS["val_loss"]


def cohort(*changes: dict[str, Any]) -> Cohort:
    """Searches that compare, called a, b, c and so on, each with these settings."""
    given = [
        Entry(name, Path("results") / name, synthetic_view(synthetic_search(seed=seed), **more), SAME)
        for seed, (name, more) in enumerate(zip("abcdefgh", changes, strict=False))
    ]
    (found,) = cohorts(given)
    return found


def remarks_on(found: Cohort) -> str:
    return "\n".join(said(found, None, {}).remarks)


def test_searches_that_differ_in_nothing_else_have_nothing_to_bear_in_mind() -> None:
    assert remarks_on(cohort({}, {})) == ""


def test_what_makes_numbers_differ_for_other_reasons_is_told() -> None:
    found = cohort(
        {"settings": {"max_epochs": 9}, "test_readings": 2},
        {"settings": {"max_epochs": 12, "warm_start": ["results/old"]}, "test_readings": 1},
        {"settings": {"max_epochs": 9}, "state": "interrupted"},
    )
    told = remarks_on(found)
    short = listed(one.name for one in found.entries if one.name != "b")
    assert f"different full lengths, in epochs: 9 for {short}; 12 for b." in told
    assert "b learned from former searches (--warm-start), whose time does not count here." in told
    assert "the same test part, which has been read 3 times in all" in told
    assert "c is not finished: a resume may still change what is shown." in told


def test_machines_and_versions_are_told_apart() -> None:
    found = cohort({}, {})
    for environments, words in (
        (({"cpus": 2, "git_commit": "a" * 40}, {"cpus": 8, "git_commit": "a" * 40}), ["different machines"]),
        (({"cpus": 2, "git_commit": "a" * 40}, {"cpus": 2, "git_commit": "b" * 40}), ["different versions"]),
        (({"cpus": 2}, {}), []),
    ):
        entries = [
            replace(entry, view=replace(entry.view, environment=known))
            for entry, known in zip(found.entries, environments, strict=True)
        ]
        told = remarks_on(Cohort(entries, []))
        assert [word for word in ("different machines", "different versions") if word in told] == words


def test_a_reading_by_one_search_alone_needs_no_warning() -> None:
    assert remarks_on(cohort({"test_readings": 3}, {})) == ""


def test_differences_are_in_points_or_in_the_losses_unit() -> None:
    assert difference(0.0132, "val_accuracy") == "1.3 points"
    assert difference(-0.132, "val_loss") == "-0.132"
    small = [0.00096, 0.0004, -0.0004, 0.00001, -0.00001, 0.0]
    assert [difference(value, "val_macro_f1") for value in small] == [
        *("0.1 points", "0.04 points", "-0.04 points", "0.0 points", "0.0 points", "0.0 points")
    ]
    names = {1: "a", 2: "b"}
    tied, apart = Pair(1, 2, 0.01, (-0.012, 0.032)), Pair(1, 2, 0.05, (0.012, 0.088))
    assert pair(tied, names, ACCURACY) == "a and b are tied: 1.0 points apart (-1.2 to 3.2)"
    assert pair(apart, names, ACCURACY) == "a is better than b by 5.0 points (1.2 to 8.8)"
    assert pair(apart, names, LOSS) == "a is better than b by 0.05 (0.012 to 0.088)"
    assert pair(Pair(1, 2, 0.05, None), names, ACCURACY) == "a has the better mean, by 5.0 points over b"
    assert interval(Pair(1, 2, 0.05, None), ACCURACY) == "not known"


@pytest.mark.parametrize(
    ("intervals", "words"),
    [
        ([(-0.01, 0.03), (0.01, 0.05), (0.02, 0.06)], "It is tied with b, and better than the rest"),
        ([(0.01, 0.03), (0.01, 0.05), (0.02, 0.06)], "It is better than each of the others"),
        ([(-0.01, 0.03), (-0.01, 0.05), (-0.02, 0.06)], "None of the others is shown to be worse"),
        ([None, None, None], "How sure that is cannot be told"),
    ],
)
def test_the_verdict_on_several_follows_from_the_pairs_of_the_first(intervals: list[Any], words: str) -> None:
    found = cohort({}, {}, {}, {})
    names = {entry.number: name for entry, name in zip(found.entries, "abcd", strict=True)}
    entries = [replace(entry, name=names[entry.number], view=played(0.8)) for entry in found.entries]
    pairs = [Pair(1, other, 0.02, known) for other, known in zip((2, 3, 4), intervals, strict=True)]
    pairs += [Pair(2, 3, 0.01, (0.001, 0.02))]
    told = said(Cohort(entries, []), Match(300, pairs), {})
    again = facts.rematch(entries[0].view)
    assert again is not None
    assert told.verdict.startswith(
        f"Of the winners, trained again, that of a has the best mean: {again.winner.mean:.1%}"
    )
    assert words in told.verdict
    assert told.first == overview(entries[0])


def test_a_recipe_trained_alone_is_a_search_of_one_trial(tmp_path: Path) -> None:
    made(tmp_path / "alone", records=synthetic_search(1), space=None, start_from=("plain_cnn",), readings=1)
    made(tmp_path / "search", seed=1)
    (found,) = cohorts(read_entries([tmp_path / "alone", tmp_path / "search"]))
    row = next(overview(entry) for entry in found.entries if entry.name == "alone")
    assert (row.space, row.sampler, row.trials, row.readings) == ("recipe plain_cnn", "", 1, 1)
    assert said(found, None, {}).verdict.startswith("search has the best validation accuracy")
