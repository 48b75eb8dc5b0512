"""The rematch on the page: what is said of it, and what its figure shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.report import contest, facts
from search.report.facts import SearchView
from search.report.page import page_text
from search.report.style import colours
from search.trials.trials import Outcome, TrialRecord, ranked
from tests.finals import played
from tests.synthetic import synthetic_view


def test_without_a_rematch_there_is_nothing_to_say() -> None:
    view = synthetic_view()
    assert facts.rematch(view) is None
    assert "The rematch" not in page_text(view, facts.ranked_table(view))


def test_the_winner_is_the_leader_of_the_page_whatever_the_search_had_first() -> None:
    view = played(0.5, 0.9, 0.6)
    first, second = (record.number for record in ranked(view.records, view.metric)[:2])
    found = facts.rematch(view)
    assert found is not None
    assert found.winner.trial == second
    assert [one.place for one in found.contenders] == ["winner", "behind", "behind"]
    leader = facts.summary(view).leader
    assert leader is not None
    assert (leader.trial, leader.rematch) == (second, found.winner)
    assert facts.summary(view).headline.endswith(f" wins with {found.winner.mean:.1%} accuracy")
    assert found.sentences[1] == f"Trial {second} is the best of them, with 95% confidence."
    assert found.sentences[2].startswith(f"The search had trial {first} first, with ")


def test_the_sentences_tell_the_numbers_of_the_verdict() -> None:
    view = played(0.8, 0.8, left_out={3: "diverged in 1 of 3 runs"})
    assert view.rematch is not None
    found = facts.rematch(view)
    assert found is not None
    standings = view.rematch.verdict.standings
    for one, standing in zip(found.contenders, standings, strict=True):
        assert (one.trial, one.mean, one.scores) == (standing.trial, standing.mean, standing.scores)
        assert one.flattered == pytest.approx(one.search_score - np.mean(one.scores))
        assert one.spread == pytest.approx(np.std(one.scores, ddof=1))
    assert found.sentences[0] == (
        "The best 2 trials were trained again from scratch, 3 times each with fresh seeds, and then asked "
        "about 300 pictures that no trial had seen."
    )
    low, high = sorted(one.trial for one in found.contenders)
    assert found.sentences[1] == (
        f"Trials {low} and {high} cannot be told apart with 95% confidence; of these trial "
        f"{found.winner.trial} has the best mean."
    )
    points = 100 * np.mean([one.flattered for one in found.contenders])
    assert f"were {abs(points):.1f} points {'better' if points > 0 else 'worse'} than" in found.sentences[2]
    assert found.sentences[3] == "Trial 3 is not compared: diverged in 1 of 3 runs."


@pytest.mark.parametrize(
    ("prefer", "why"), [("cost", "whose epochs are the shortest"), ("latency", "which answers the quickest")]
)
def test_what_decided_among_the_tied_is_told(prefer: str, why: str) -> None:
    view = played(0.8, 0.8, prefer=prefer)
    second = ranked(view.records, view.metric)[1].number
    found = facts.rematch(view)
    assert found is not None
    assert found.winner.trial == second
    assert f"of these trial {second} wins, {why}." in found.sentences[1]


def test_one_contender_alone_has_an_interval_and_nobody_to_beat() -> None:
    view = played(0.8)
    found = facts.rematch(view)
    assert found is not None
    assert found.winner.interval is not None
    assert len(found.sentences) == 2
    assert found.sentences[0].startswith("The best trial was trained again from scratch, 3 times with fresh")


def test_the_figure_has_every_number_of_the_verdict() -> None:
    found = facts.rematch(played(0.8, 0.7, 0.6))
    assert found is not None
    figure = contest.contest(found, colours(sorted({one.family for one in found.contenders})))
    bars, dots, diamonds = figure.data[0::3], figure.data[1::3], figure.data[2::3]
    for one, bar, seeds, before in zip(found.contenders, bars, dots, diamonds, strict=True):
        assert one.interval is not None
        assert list(bar.x) == [one.interval[0], one.mean, one.interval[1]]
        assert list(seeds.x) == list(one.scores)
        assert list(before.x) == [one.search_score]
        assert {bar.y[0], seeds.y[0], before.y[0]} == {f"trial {one.trial}<br>{one.family}"}
    rows = [f"trial {one.trial}<br>{one.family}" for one in found.contenders]
    assert list(figure.layout.yaxis.categoryarray) == rows[::-1]  # plotly begins at the bottom


def test_the_table_has_the_contenders_means_with_their_intervals() -> None:
    view = played(0.8, 0.7)
    found = facts.rematch(view)
    assert found is not None
    table = facts.ranked_table(view).set_index("trial")
    for one in found.contenders:
        cells = tuple(table.loc[one.trial, ["rematch", "rematch_low", "rematch_high"]])
        assert cells == (one.mean, *(one.interval or ()))
    assert table["rematch"].notna().sum() == 2
    assert "rematch" not in facts.ranked_table(synthetic_view())


def test_the_page_shows_the_rematch() -> None:
    view = played(0.8, 0.7)
    page = page_text(view, facts.ranked_table(view))
    found = facts.rematch(view)
    assert found is not None
    assert "<h2>The rematch</h2>" in page
    assert (
        f"accuracy with fresh seeds on fresh pictures, 95% interval {found.winner.interval[0]:.1%} to" in page
    )
    for sentence in found.sentences:
        assert sentence.replace("'", "&#39;") in page


def test_those_that_are_tied_are_offered_together_as_long_as_there_is_no_model() -> None:
    def offers(view: SearchView) -> list[str]:
        return [one.line for one in facts.summary(view).commands if "--ensemble" in one.line]

    tied, apart = played(0.8, 0.79, 0.5), played(0.9, 0.5, 0.4)
    assert offers(tied) == ["python -m search.retrain results/simpsons --ensemble"]
    assert offers(apart) == offers(synthetic_view()) == []
    test = {"accuracy": 0.9, "macro_f1": 0.9, "log_loss": 0.3, "n": 100}
    assert offers(replace(tied, model={"test": test, "trial": 1})) == []
    # Of an ensemble the summary names the members.
    joined = {"kept": True, "trials": [3, 8, 1]}
    about = facts.summary(replace(tied, model={"test": test, "trial": None, "ensemble": joined})).test
    assert about is not None
    assert "It is an ensemble of trials 3, 8 and 1, retrained." in about.about


def runs_of(view: SearchView, *states: Outcome | None) -> list[TrialRecord]:
    """Runs of the best three trials, one after the other, that ended so or go on."""
    best = ranked(view.records, view.metric)[:3]
    found = []
    for number, outcome in enumerate(states):
        contender = best[number % 3]
        trial = replace(
            contender.trial, number=number, params={}, origin="rematch", source=str(contender.number)
        )
        found.append(
            replace(contender, trial=trial, history=contender.history[: 2 + number], outcome=outcome)
        )
    return found


def test_of_a_rematch_that_still_runs_every_run_is_told_with_its_score_so_far() -> None:
    view = synthetic_view(state="running")
    assert facts.rematch_runs(view) is None
    runs = runs_of(view, Outcome.COMPLETE, Outcome.DIVERGED, None, None)
    found = facts.rematch_runs(replace(view, rematch_runs=runs))
    assert found is not None
    first, second, third = (record.number for record in ranked(view.records, view.metric)[:3])
    assert [(one.trial, one.place, one.outcome) for one in found.runs] == [
        (first, 1, "complete"),
        (first, 2, "running"),
        (second, 1, "diverged"),
        (third, 1, "running"),
    ]
    by_run = {(one.trial, one.place): one for one in found.runs}
    assert by_run[first, 2].score == runs[3].history[-1].metrics["val_accuracy"]
    assert (by_run[first, 2].epochs, by_run[first, 2].of) == (5, runs[3].trial.epochs)
    assert by_run[second, 1].score is None
    assert "fresh seeds: 2 runs ended, 2 going." in found.sentence
    cut = facts.rematch_runs(replace(view, rematch_runs=runs, state="cut off"))
    assert cut is not None
    assert "2 runs ended, 2 cut off." in cut.sentence
    page = page_text(shown := replace(view, rematch_runs=runs), facts.ranked_table(shown))
    assert "<h2>The rematch, so far</h2>" in page
    assert page.count("<td>running</td>") == 2


def test_the_time_of_the_rematch_is_told_apart_from_that_of_the_trials() -> None:
    view = replace(synthetic_view(), elapsed_s=600.0, rematch_s=120.0)
    assert ", in 8\u00a0min, and 2\u00a0min for the rematch." in facts.summary(view).sentences[0]


def test_a_finished_search_whose_runs_came_to_nothing_has_no_more_to_decide() -> None:
    view = synthetic_view()
    diverged = replace(view, rematch_runs=runs_of(view, *[Outcome.DIVERGED] * 3))
    found = facts.rematch_runs(diverged)
    assert found is not None
    assert "3 runs ended" in found.sentence
    assert found.sentence.endswith(
        "These runs came to no verdict, so the best trial is the one with the best score in the search."
    )
    page = page_text(diverged, facts.ranked_table(diverged))
    assert "<h2>The rematch</h2>" in page
    assert "decides" not in found.sentence


def test_runs_of_trials_that_are_contenders_no_more_are_left_out() -> None:
    view = synthetic_view()
    runs = runs_of(view, *[Outcome.COMPLETE] * 3, None)

    def shown(rematch: int, state: str) -> facts.Runs | None:
        asked = view.settings | {"rematch": rematch}
        return facts.rematch_runs(replace(view, rematch_runs=runs, state=state, settings=asked))

    first = ranked(view.records, view.metric)[0].number
    found = shown(1, "running")
    assert found is not None
    assert [(one.trial, one.place) for one in found.runs] == [(first, 1), (first, 2)]
    assert "fresh seeds: 1 run ended, 1 going." in found.sentence
    for state in ("running", "finished", "interrupted"):  # resumed with --rematch 0
        assert shown(0, state) is None


def test_when_there_is_a_verdict_the_runs_are_told_no_more() -> None:
    view = played(0.8, 0.7)
    assert facts.rematch_runs(replace(view, rematch_runs=runs_of(view, Outcome.COMPLETE))) is None
