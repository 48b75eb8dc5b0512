"""What trackers are told is what the records say, under names that every tracker takes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from search.settings.settings import Settings
from search.storage.folder import State
from search.tracking.runs import Status, identity, plain, plain_names, search_run, trial_run
from search.trials.trials import Outcome
from spaces.flat import flatten
from spaces.recipe_files import TrialConfig
from tests.simulated import record, trial
from tests.synthetic import EPOCHS, synthetic_search
from tests.tracked import events, tell, told_folder

SETTINGS = Settings(name="mine", space="scratch", cache_dir="cache", max_epochs=EPOCHS)


def test_a_trials_run_has_its_recipe_and_every_metric_of_every_epoch() -> None:
    for entry in synthetic_search():
        run = trial_run(entry, SETTINGS, State.FINISHED)
        asked = {"epochs": EPOCHS, "seed": entry.trial.seed, **flatten(entry.trial.recipe)}
        assert run.settings == asked
        assert [(point.step, point.time) for point in run.points] == [
            (e.epoch, e.time) for e in entry.history
        ]
        for point, epoch in zip(run.points, entry.history, strict=True):
            assert repr(point.values) == repr({**epoch.metrics, "passes": epoch.passes})
        assert (run.started, run.ended, run.final) == (entry.started, entry.ended, True)


def test_a_trials_run_says_what_it_came_to() -> None:
    found = {entry.number: trial_run(entry, SETTINGS, State.FINISHED) for entry in synthetic_search()}
    records = {entry.number: entry for entry in synthetic_search()}
    for number, run in found.items():
        assert run.summary["outcome"] == records[number].outcome
        assert run.summary.get("score") == records[number].score(SETTINGS.scored_by)
        assert run.summary["seconds"] == records[number].seconds
    assert found[0].summary["origin"] == "given"
    assert found[6].summary["error"] == records[6].error
    assert "score" not in found[4].summary


@pytest.mark.parametrize(
    ("outcome", "state", "status"),
    [
        (None, State.RUNNING, Status.RUNNING),
        (None, State.INTERRUPTED, Status.KILLED),
        (None, State.CUT_OFF, Status.KILLED),
        (Outcome.COMPLETE, State.RUNNING, Status.FINISHED),
        (Outcome.STOPPED, State.FINISHED, Status.FINISHED),
        (Outcome.DIVERGED, State.FINISHED, Status.FAILED),
        (Outcome.OUT_OF_MEMORY, State.RUNNING, Status.FAILED),
        (Outcome.FAILED, State.FINISHED, Status.FAILED),
        (Outcome.TIMED_OUT, State.FINISHED, Status.FAILED),
    ],
)
def test_a_trial_is_final_when_it_has_an_outcome_and_else_goes_on(
    outcome: Outcome | None, state: State, status: Status
) -> None:
    run = trial_run(record(trial(), [0.5], outcome), SETTINGS, state)
    assert (run.status, run.final) == (status, outcome is not None)
    assert (run.ended is None) == (run.summary == {}) == (status is Status.RUNNING)


def test_it_says_at_which_rung_a_trial_was_stopped_and_of_a_control_where_it_would_have_been() -> None:
    """The rungs of 9 passes are 1 and 3."""
    early, late = record(trial(), [0.5], Outcome.STOPPED), record(trial(), [0.5] * 4, Outcome.STOPPED)
    assert trial_run(early, SETTINGS, State.FINISHED).summary["stopped_at_rung"] == 1
    assert trial_run(late, SETTINGS, State.FINISHED).summary["stopped_at_rung"] == 3
    by_budget = replace(late, error="ended by the budget (--time), not by its score")
    assert "stopped_at_rung" not in trial_run(by_budget, SETTINGS, State.FINISHED).summary
    control = replace(record(trial(), [0.5] * 9), control=3.0)
    assert trial_run(control, SETTINGS, State.FINISHED).summary["control_from_rung"] == 3


def test_the_recipe_of_a_trial_can_be_trained_as_it_is() -> None:
    entry = synthetic_search()[5]
    text = trial_run(entry, SETTINGS, State.RUNNING).files["recipe.yaml"]
    config = TrialConfig.model_validate(yaml.safe_load(text))
    assert (config.recipe.to_dict(), config.epochs, config.seed) == (
        entry.trial.recipe,
        EPOCHS,
        entry.trial.seed,
    )


def test_the_searchs_run_has_its_best_score_whenever_a_trial_ended(tmp_path: Path) -> None:
    folder = told_folder(tmp_path / "mine", events(synthetic_search()), max_epochs=EPOCHS, space="scratch")
    records = folder.records()
    run = search_run(records, SETTINGS, State.FINISHED, {"a.csv": "1"}, winner=2)
    ended = sorted(records.all(), key=lambda entry: entry.ended or 0.0)
    scores = [entry.score(SETTINGS.scored_by) for entry in ended]
    for point in run.points:
        so_far = [score for score in scores[: point.step] if score is not None]
        assert point.values == {"best_score": max(so_far)}
        assert point.time == ended[point.step - 1].ended
    assert [point.step for point in run.points] == [
        place for place, score in enumerate(scores, start=1) if score is not None
    ]
    score = records.trials[2].score(SETTINGS.scored_by)
    assert (run.summary["winner"], run.summary["winner_score"]) == (2, score)
    assert run.summary["trials"] == len(ended)
    assert run.summary["trials_out_of_memory"] == 1
    assert (run.status, run.files, run.final) == (Status.FINISHED, {"a.csv": "1"}, False)


def test_of_a_loss_the_best_is_the_lowest(tmp_path: Path) -> None:
    records = told_folder(tmp_path / "mine", events(synthetic_search())).records()
    settings = SETTINGS.model_copy(update={"metric": "val_loss"})
    run = search_run(records, settings, State.FINISHED, {})
    scores = [entry.score(settings.scored_by) for entry in records.all()]
    assert run.points[-1].values == {"best_score": min(score for score in scores if score is not None)}


def test_what_may_change_on_a_resume_is_no_setting_of_the_searchs_run(tmp_path: Path) -> None:
    records = told_folder(tmp_path / "mine", events(synthetic_search(2))).records()
    more = SETTINGS.model_copy(update={"trials": 99, "time": "4h", "concurrency": 7, "mlflow": True})
    before, after = (search_run(records, asked, State.RUNNING, {}) for asked in (SETTINGS, more))
    assert before.settings == after.settings
    assert before.settings["max_epochs"] == EPOCHS


def test_a_search_is_the_same_after_a_resume_and_another_one_of_its_name_is_not(tmp_path: Path) -> None:
    happened = events(synthetic_search())
    folder = told_folder(tmp_path / "mine", happened[:20])
    first = identity(folder.records(), SETTINGS)
    later = [(moment + 5000, what) for moment, what in happened]
    assert identity(told_folder(tmp_path / "other", later).records(), SETTINGS) != first
    tell(folder, happened[20:])
    assert identity(folder.records(), SETTINGS) == first


NAMES = st.text(max_size=300) | st.sampled_from(["model.args.größe", "optim.lr@1", "a b", "a_b", "a/b", ""])


@given(st.lists(NAMES, unique=True, max_size=20))
def test_every_name_is_one_that_every_tracker_takes_and_no_value_is_lost(names: list[str]) -> None:
    found = plain_names({name: place for place, name in enumerate(names)})
    assert list(found.values()) == list(range(len(names)))
    assert all(re.fullmatch(r"\w[A-Za-z0-9_.-]{,249}", name) for name in found)


def test_ordinary_names_stay_as_they_are() -> None:
    names = [*flatten(trial().recipe), "val_accuracy", "penalised_val_loss", "model.args.width"]
    assert list(plain_names(dict.fromkeys(names))) == names


def test_values_are_plain() -> None:
    given = {"a": [1, "b"], "c": None, "d": True, "e": 3, "f": 0.5, "g": "x" * 5000, "h": math.inf}
    assert plain(given) == {**given, "a": '[1, "b"]', "g": "x" * 1000}
