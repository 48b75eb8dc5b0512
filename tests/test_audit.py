"""The audit of the stopping rule: who runs on as a control, and what the leaderboard makes of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import chisquare, spearmanr

from search.policy.asha import Asha
from search.policy.audit import Audit
from search.policy.rungs import Rungs
from search.report import facts
from search.report.page import csv_text, write_leaderboard
from search.run import main, parser, settings_from
from search.settings.settings import Settings
from search.statistics.intervals import wilson
from search.trials import records
from search.trials.records import RecordFile
from search.trials.trials import METRICS, Outcome, TrialRecord
from spaces.space import Space
from tests.simulated import Workers, engine, epoch, finish, finish_interrupted, record, space, story, trial
from tests.synthetic import synthetic_view

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def taken(share: float, stops: int, seed: int = 0) -> list[int]:
    audit = Audit(share, seed=seed)
    return [stop for stop in range(stops) if audit.takes(stop)]


# Who is one.


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 1.0])
def test_the_first_stop_is_a_control_so_that_every_search_that_stops_anything_has_one(share: float) -> None:
    assert [taken(share, 1, seed) for seed in range(20)] == [[0]] * 20


def test_a_share_of_nothing_takes_none_and_one_of_everything_all() -> None:
    assert taken(0.0, 1000) == []
    assert taken(1.0, 1000) == list(range(1000))


@pytest.mark.parametrize("seed", range(5))
def test_each_stretch_of_twenty_stops_has_one_control_of_a_twentieth(seed: int) -> None:
    assert [stop // 20 for stop in taken(0.05, 2000, seed)] == list(range(100))


@pytest.mark.parametrize("percent", [3, 7, 10, 30, 45, 70, 95])
def test_a_share_is_exact_at_the_end_of_each_stretch(percent: int) -> None:
    found = taken(percent / 100, 1000)
    assert [sum(stop < 100 * hundreds for stop in found) for hundreds in range(11)] == [
        percent * hundreds for hundreds in range(11)
    ]


def test_after_the_first_stretch_each_stop_is_as_likely_to_be_a_control() -> None:
    places = Counter(stop for seed in range(1000) for stop in taken(0.1, 20, seed) if stop >= 10)
    assert chisquare([places[stop] for stop in range(10, 20)]).pvalue > 0.01


def test_the_seed_decides() -> None:
    assert taken(0.05, 500, seed=3) == taken(0.05, 500, seed=3)
    assert taken(0.05, 500, seed=3) != taken(0.05, 500, seed=4)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=f"share is 0 to 1, got {share}"):
        Audit(share, seed=0)


# In the records.


def test_a_control_is_an_event_of_the_records(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "records.jsonl", clock=lambda: 7.0)
    for number in range(4):
        file.trial(trial(number))
        file.epoch(epoch(number, 3))
    file.control(0, 3.0)
    file.end(1, Outcome.STOPPED)
    file.end(2, Outcome.STOPPED, "ended by the budget")
    written = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert {"event": "control", "trial": 0, "passes": 3.0, "time": 7.0} in written
    found = records.read(file.path)
    assert [entry.control for entry in found.all()] == [3.0, None, None, None]
    # Neither what the budget ended nor what still runs is a stop of the rule.
    assert found.stops == 2


# In a search.


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def controls(entries: list[TrialRecord]) -> dict[int, float]:
    return {entry.number: entry.control for entry in entries if entry.control is not None}


def test_a_control_runs_on_to_its_own_end_whatever_the_rule_says(path: Path, searched: Space) -> None:
    driven = finish(engine(path, searched, trials=60, audit=0.2))
    found = [entry for entry in driven.records if entry.control is not None]
    stopped = [entry for entry in driven.records if entry.ended_by_rule]
    assert len(found) == len(taken(0.2, len(found) + len(stopped))) >= 5
    for entry in found:
        assert entry.outcome in (Outcome.COMPLETE, Outcome.DIVERGED)
        assert entry.outcome is Outcome.DIVERGED or entry.epochs_done == entry.trial.epochs
        assert entry.control in Asha(Rungs(9)).rungs
    # Some would have been stopped again at a later rung.
    rule, again = Asha(Rungs(9)), set()
    for report in driven._file.records.order:
        decision = rule.report(report.trial, report.passes, report.metrics["val_accuracy"])
        if decision.value == "stop" and report.passes > (controls(found).get(report.trial) or 9):
            again.add(report.trial)
    assert again


def test_the_order_of_the_stops_decides_who_is_one(path: Path, searched: Space) -> None:
    driven = finish(engine(path, searched, trials=60, audit=0.2))
    events = [json.loads(line) for line in path.read_text().splitlines()]
    stops = [
        event["event"] == "control"
        for event in events
        if event["event"] == "control" or event.get("outcome") == "stopped"
    ]
    assert [place for place, control in enumerate(stops) if control] == taken(0.2, len(stops))
    assert len(stops) == driven._file.records.stops


@pytest.mark.parametrize(("share", "stopped"), [(0.0, True), (1.0, False)])
def test_without_an_audit_nobody_runs_on_and_with_all_as_controls_nobody_is_stopped(
    path: Path, searched: Space, share: float, stopped: bool
) -> None:
    driven = finish(engine(path, searched, trials=20, audit=share))
    assert any(entry.ended_by_rule for entry in driven.records) is stopped
    assert bool(controls(driven.records)) is not stopped


def test_a_trial_becomes_a_control_once_however_often_it_would_be_stopped(
    path: Path, searched: Space
) -> None:
    driven = finish(engine(path, searched, trials=20, audit=1.0))
    events = [json.loads(line) for line in path.read_text().splitlines()]
    marked = [event["trial"] for event in events if event["event"] == "control"]
    assert sorted(marked) == sorted(controls(driven.records))


@pytest.mark.parametrize("seed", range(6))
def test_interrupted_anywhere_a_search_has_the_same_controls(
    tmp_path: Path, searched: Space, seed: int
) -> None:
    whole = finish(engine(tmp_path / "whole.jsonl", searched, trials=16, audit=0.3), Workers(1))
    path = tmp_path / "cut.jsonl"
    driven = finish_interrupted(lambda: engine(path, searched, trials=16, audit=0.3), seed=seed)
    assert story(driven.records) == story(whole.records)
    assert len(controls(whole.records)) >= 2
    assert controls(driven.records) == controls(whole.records)


def test_a_driver_that_died_before_it_recorded_a_control_records_it_when_it_starts(
    path: Path, searched: Space
) -> None:
    finish(engine(path, searched, trials=12, audit=0.3), Workers(1))
    lines = path.read_text().splitlines(keepends=True)
    place = [json.loads(line)["event"] for line in lines].index("control")
    control = json.loads(lines[place])
    path.write_text("".join(lines[:place]))
    resumed = engine(path, searched, trials=12, audit=0.3)
    assert controls(resumed.records) == {control["trial"]: control["passes"]}
    again = engine(path, searched, trials=12, audit=0.3)
    assert path.read_text().count('"control"') == 1
    made = again.ask()
    assert made is not None
    assert made.number == control["trial"]


def test_the_budget_ends_a_control_as_any_other_trial(path: Path, searched: Space) -> None:
    driven = finish(engine(path, searched, trials=None, total_passes=20, audit=1.0))
    ended = [entry for entry in driven.records if entry.control is not None and entry.ended_by_budget]
    assert ended
    assert sum(entry.passes for entry in driven.records) <= 20


# As a setting.


def test_a_twentieth_is_audited_unless_told_otherwise(tmp_path: Path) -> None:
    assert settings_from({}, resume=False).audit == 0.05
    given = vars(parser().parse_args(["--audit", "0.2"]))
    assert Settings(name="a", space="demo", cache_dir="c", **_of(given)).audit == 0.2


def _of(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name == "audit"}


@pytest.mark.parametrize(("value", "rule"), [("-0.1", "at least 0"), ("5", "at most 1"), ("nan", "finite")])
def test_an_audit_that_is_no_share_is_refused(
    capsys: pytest.CaptureFixture[str], value: str, rule: str
) -> None:
    assert main(["--audit", value]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --audit ")
    assert rule in error


def test_a_resumed_search_must_have_the_same_audit() -> None:
    plain = Settings(name="a", space="demo", cache_dir="c")
    assert plain.model_copy(update={"audit": 0.1}).what_matters() != plain.what_matters()


# On the leaderboard.

SETTINGS = {"data": "pictures", "space": "scratch", "max_epochs": 9, "reduction": 3}
RAN = {0: (0.50, 0.70, 0.90), 1: (0.60, 0.75, 0.80), 2: (0.40, 0.60, 0.85)}
"""By trial, scores at the rungs, 1 and 3 passes, and at the end, 9."""


def ran(number: int, scores: tuple[float, float, float], **changes: Any) -> TrialRecord:
    """A trial of full length."""
    first, third, last = scores
    return record(trial(number), [first, 0.1, third, *[0.2] * 5, last], **changes)


def stopped(number: int, *scores: float) -> TrialRecord:
    return record(trial(number), list(scores), Outcome.STOPPED)


def audited(*further: TrialRecord) -> list[TrialRecord]:
    return [*(ran(number, scores) for number, scores in RAN.items()), stopped(3, 0.3), *further]


def judged(found: list[TrialRecord], **changes: Any) -> facts.Stopping:
    return facts.stopping(synthetic_view(found, settings=SETTINGS, **changes))


def test_a_control_that_ends_above_all_other_trials_would_have_been_a_lost_winner() -> None:
    found = judged(
        audited(ran(4, (0.2, 0.3, 0.95), control=1.0), ran(5, (0.2, 0.3, 0.89), control=3.0), stopped(6, 0.2))
    )
    assert (found.stopped, found.controls, found.ended, found.better) == (2, 2, 2, 1)
    assert (found.best_control, found.best_other) == (0.95, 0.90)
    assert found.interval == wilson(1, 2)
    # Each epoch takes two seconds: 8 and 6 of 47 epochs.
    assert found.passes == 14
    assert found.time_share == pytest.approx(14 / 47)


def test_a_control_that_is_only_as_good_as_the_best_is_no_loss_and_controls_do_not_beat_each_other() -> None:
    level = judged(audited(ran(4, (0.2, 0.3, 0.90), control=1.0)))
    assert level.better == 0
    two = judged(
        audited(ran(4, (0.2, 0.3, 0.95), control=1.0), ran(5, (0.2, 0.3, 0.92), control=1.0)),
    )
    assert two.better == 2


def test_a_lower_loss_is_better() -> None:
    found = audited(record(trial(4), [0.9] * 9, control=1.0), record(trial(5), [0.99] * 9, control=1.0))
    assert judged(found, metric=METRICS["val_loss"]).better == 1


def test_a_control_that_diverged_would_not_have_won_and_one_that_failed_says_nothing() -> None:
    found = judged(
        audited(
            record(trial(4), [0.99] * 2, Outcome.DIVERGED, control=1.0),
            record(trial(5), [0.99] * 2, Outcome.FAILED, control=1.0),
            record(trial(6), [0.99] * 2, Outcome.STOPPED, control=1.0, error="ended by the budget"),
            record(trial(7), [0.99] * 2, None, control=1.0),
        )
    )
    assert (found.stopped, found.controls, found.unended, found.ended, found.better) == (1, 4, 1, 1, 0)
    assert found.best_control is None
    told = " ".join(found.sentences)
    assert "2 controls ended by a failure or the budget: not judged." in told
    assert "1 control has not ended yet." in told


def test_each_rung_is_compared_with_the_end_as_scipy_does_over_complete_trials_controls_included() -> None:
    found = judged(audited(ran(4, (0.2, 0.8, 0.5), control=1.0), stopped(5, 0.5, 0.5, 0.1)))
    complete = [*RAN.values(), (0.2, 0.8, 0.5)]
    first, third = found.rungs
    assert (first.passes, first.stopped, first.controls, first.trials) == (1, 1, 1, 4)
    assert (third.passes, third.stopped, third.controls, third.trials) == (3, 1, 0, 4)
    for place, rung in enumerate(found.rungs):
        wanted = spearmanr([scores[place] for scores in complete], [scores[-1] for scores in complete])
        assert rung.correlation == pytest.approx(wanted.statistic)


def test_ties_share_their_ranks() -> None:
    scores = [(0.2, 0.5, 0.5), (0.2, 0.6, 0.6), (0.4, 0.6, 0.6), (0.5, 0.6, 0.4)]
    found = judged([ran(number, entry) for number, entry in enumerate(scores)])
    wanted = spearmanr([entry[0] for entry in scores], [entry[-1] for entry in scores])
    assert found.rungs[0].correlation == pytest.approx(wanted.statistic)


def test_two_trials_or_equal_scores_give_no_correlation() -> None:
    two = [ran(0, RAN[0]), ran(1, RAN[1])]
    assert [rung.correlation for rung in judged(two).rungs] == [None, None]
    level = [ran(number, (0.1, 0.2 * number, 0.3 * number)) for number in range(4)]
    assert [rung.correlation for rung in judged(level).rungs] == [None, pytest.approx(1.0)]


def test_a_trial_that_ended_by_its_own_patience_at_a_rung_says_nothing_about_it() -> None:
    found = [*(ran(number, scores) for number, scores in RAN.items()), record(trial(3), [0.1, 0.2, 0.3])]
    assert [rung.trials for rung in judged(found).rungs] == [4, 3]


def test_a_rung_has_the_score_of_the_weights_that_a_recipe_keeps() -> None:
    losses = [0.5, 0.9, 0.8, *[0.9] * 5, 0.1]  # with `keep: best` the rung at 3 passes has the first epoch's
    found = []
    for number, scores in RAN.items():
        entry = ran(number, scores)
        entry.trial.recipe["keep"] = "best"
        for report, loss in zip(entry.history, losses, strict=True):
            report.metrics["val_loss"] = loss
        found.append(entry)
    first, third = judged(found).rungs
    assert first.correlation == third.correlation == pytest.approx(-0.5)


def test_a_search_that_stopped_nothing_has_nothing_to_tell() -> None:
    found = judged([ran(number, scores) for number, scores in RAN.items()])
    assert found.sentences == []
    assert found.interval is None


def test_without_controls_it_says_that_the_price_is_not_known() -> None:
    told = judged(audited()).sentences
    assert told == [
        "1 trial was stopped as too weak.",
        "None ran on as a control: what stopping cost is not known.",
    ]


def test_one_control_is_told_in_words_that_fit_one() -> None:
    told = " ".join(judged(audited(ran(4, (0.2, 0.3, 0.8), control=1.0))).sentences)
    assert "1 trial was stopped as too weak; 1 other would have been, and ran on as a control." in told
    assert "0 of 1 control that came to an end of its own beat all trials that are no controls." in told
    assert "the share of the stopped trials that would have won is between 0.0% and 79.3%." in told
    assert "The best control ended with 80.0%, the best other trial with 90.0%." in told
    assert "Running on took 8 passes" in told


def test_no_settings_no_rungs() -> None:
    assert facts.stopping(synthetic_view(audited(), settings={})).rungs == []


def test_the_table_has_a_column_of_controls_where_there_are_any() -> None:
    found = facts.ranked_table(synthetic_view(audited(ran(4, (0.2, 0.3, 0.8), control=1.0)))).set_index(
        "trial"
    )
    assert found["control"].to_dict() == {0: None, 1: None, 2: None, 3: None, 4: 1.0}
    plain = facts.ranked_table(synthetic_view(audited()))
    assert "control" not in plain.columns
    assert "control" not in csv_text(plain).splitlines()[0]


def test_the_page_states_the_price_and_the_rungs(tmp_path: Path) -> None:
    view = synthetic_view(audited(ran(4, (0.2, 0.3, 0.95), control=1.0)), settings=SETTINGS)
    page = write_leaderboard(tmp_path, view).read_text()
    section = page.split("<h2>What stopping cost</h2>")[1].split("</section>")[0]
    assert "1 of 1 control" in section
    assert section.count("<tr>") == 3
    nothing = synthetic_view([ran(0, RAN[0])], settings=SETTINGS)
    page = write_leaderboard(tmp_path, nothing).read_text()
    assert "No trial has been stopped as too weak." in page
