"""The search itself: whatever interrupts it, its records lead to the same end."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search.costs.networks import Networks
from search.engine.engine import Engine
from search.engine.starting import starts as known_starts
from search.engine.starting import turn
from search.planning.warm_start import store_formers, stored_formers, warm_start
from search.policy import forecast_search, forecaster, sampler
from search.policy.asha import Decision
from search.settings.allowance import EndedBy
from search.settings.settings import Settings
from search.trials import records
from search.trials.lengths import length_epochs
from search.trials.losses import Cause, Loss
from search.trials.trials import METRICS, Epoch, Outcome, Start, Trial, ranked
from spaces.recipe import Optim, Recipe
from spaces.space import Space
from tests.simulated import (
    Workers,
    engine,
    epoch,
    finish,
    finish_interrupted,
    record,
    scores,
    search_folder,
    space,
    story,
    trial,
)

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

CONTINUE, STOP = Decision.CONTINUE, Decision.STOP
ACCURACY, LOSS = METRICS["val_accuracy"], METRICS["val_loss"]
FLAT = """
description: every trial of one length
base:
  model: {name: plain_cnn}
parameters:
  optim.lr: {log: [1.0e-4, 1.0e-2]}
"""


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def assert_whole(driven: Engine, path: Path) -> None:
    """Every trial ended, once, and every epoch is recorded once, none after the end."""
    assert driven.finished
    assert driven.ask() is None
    events = [json.loads(line) for line in path.read_text().splitlines()]
    ends = [event["trial"] for event in events if event["event"] == "end"]
    assert sorted(ends) == list(range(len(driven.records)))
    trials = [event["trial"]["number"] for event in events if event["event"] == "trial"]
    assert trials == list(range(len(driven.records)))
    epochs = [(event["trial"], event["epoch"]) for event in events if event["event"] == "epoch"]
    assert len(epochs) == len(set(epochs))
    for entry in driven.records:
        assert [found.epoch for found in entry.history] == list(range(1, entry.epochs_done + 1))


def test_every_trial_gets_an_end(path: Path, searched: Space) -> None:
    driven = finish(engine(path, searched, trials=30))
    assert_whole(driven, path)
    outcomes = [entry.outcome for entry in driven.records]
    assert {Outcome.COMPLETE, Outcome.STOPPED, Outcome.DIVERGED} == set(outcomes)
    assert outcomes.count(Outcome.STOPPED) >= 10
    for entry in driven.records:
        assert (entry.outcome is Outcome.COMPLETE) == (entry.epochs_done == entry.trial.epochs)


def test_trials_have_seeds_and_lengths_of_their_own(path: Path, searched: Space) -> None:
    trials = [entry.trial for entry in finish(engine(path, searched)).records]
    assert len({made.seed for made in trials}) == len(trials)
    assert {made.epochs for made in trials} == {9}


def test_the_same_seed_gives_the_same_search_and_another_another(tmp_path: Path, searched: Space) -> None:
    stories = [
        story(finish(engine(tmp_path / f"{place}.jsonl", searched, seed=seed, trials=20)).records)
        for place, seed in enumerate([3, 3, 4])
    ]
    assert stories[0] == stories[1]
    assert stories[0] != stories[2]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("forecast_from", [12, 4], ids=["by chance", "by forecasts"])
def test_interrupted_anywhere_one_trial_at_a_time_it_comes_to_the_very_same_end(
    tmp_path: Path, searched: Space, seed: int, forecast_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecaster, "FEWEST", forecast_from)
    monkeypatch.setattr(forecast_search, "GUIDED_FROM", forecast_from)
    whole = finish(engine(tmp_path / "whole.jsonl", searched, trials=16), Workers(1))
    path = tmp_path / "cut.jsonl"
    driven = finish_interrupted(lambda: engine(path, searched, trials=16), seed=seed)
    assert_whole(driven, path)
    assert story(driven.records) == story(whole.records)


@pytest.mark.parametrize("seed", range(12))
def test_interrupted_anywhere_with_several_trials_at_a_time_none_is_lost_or_repeated(
    path: Path, searched: Space, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    workers, driven = Workers(4), engine(path, searched, trials=20)
    while not driven.finished:
        left, before = int(rng.integers(1, 60)), story(driven.records)
        for _ in islice(workers.run(driven), left):
            pass
        content = path.read_text()
        driven = engine(path, searched, trials=20)
        assert path.read_text().startswith(content)
        for old, new in zip(before, story(driven.records), strict=False):
            assert new[0] == old[0]
            assert new[3].startswith(old[3].rstrip("]"))
            assert old[1] in (None, new[1])
    assert_whole(driven, path)


def test_killed_at_any_byte_of_its_records_it_goes_on_to_the_same_end(
    tmp_path: Path, searched: Space
) -> None:
    # tests/test_records.py has every offset: only whole lines count. So: after, before and within each.
    whole = finish(engine(tmp_path / "whole.jsonl", searched, trials=12, seed=3), Workers(1))
    assert {Outcome.COMPLETE, Outcome.STOPPED, Outcome.DIVERGED} == {entry.outcome for entry in whole.records}
    content, path = (tmp_path / "whole.jsonl").read_bytes(), tmp_path / "cut.jsonl"
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for offset in sorted({0, *ends, *(end - 1 for end in ends), *(end - 150 for end in ends)}):
        path.write_bytes(content[:offset])
        driven = engine(path, searched, trials=12, seed=3)
        saved = {entry.number: entry.epochs_done for entry in driven.records if entry.epochs_done}
        finish(driven, Workers(1, checkpoints=saved))
        assert_whole(driven, path)
        assert story(driven.records) == story(whole.records)
        driven._file.close()


def test_trials_that_were_cut_off_are_handed_out_first(path: Path, searched: Space) -> None:
    driven = engine(path, searched)
    cut_off = [driven.ask(), driven.ask()]
    assert cut_off[0] is not None
    driven.report(epoch(0, 1, 0.5))
    again = engine(path, searched)
    assert [again.ask(), again.ask()] == cut_off
    new = again.ask()
    assert new is not None
    assert new.number == 2


def test_a_decision_that_was_due_when_the_driver_died_is_taken_at_the_start(
    path: Path, searched: Space
) -> None:
    driven = engine(path, searched, trials=2)
    driven.ask(), driven.ask()
    driven.report(epoch(0, 1, 0.9))
    assert driven.report(epoch(1, 1, 0.1)) is STOP
    lines = path.read_bytes().splitlines(keepends=True)
    assert json.loads(lines[-1])["event"] == "end"
    path.write_bytes(b"".join(lines[:-1]))  # the epoch is there, and its consequence is not

    again = engine(path, searched, trials=2)
    assert records.read(path).trials[1].outcome is Outcome.STOPPED
    assert [made.number for made in iter(again.ask, None)] == [0]


def test_rungs_are_rebuilt_without_trials_that_diverged(path: Path, searched: Space) -> None:
    lived = engine(path, searched)
    for number in range(5):
        lived.ask()
        if number < 3:  # with fine scores, as networks have them whose loss is no number any more
            lived.report(epoch(number, 1, 0.99, val_loss=math.nan))
    assert [entry.outcome for entry in lived.records[:3]] == [Outcome.DIVERGED] * 3
    rebuilt = engine(path, searched)
    assert rebuilt._rule.reached.entries == lived._rule.reached.entries
    assert rebuilt.report(epoch(3, 1, 0.5)) is CONTINUE


@pytest.mark.parametrize("name", ["train_loss", "val_loss"])
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_an_outcome(path: Path, searched: Space, name: str, loss: float) -> None:
    driven = engine(path, searched)
    driven.ask()
    assert driven.report(replace(epoch(0, 1), metrics={**epoch(0, 1).metrics, name: loss})) is STOP
    (entry,) = driven.records
    assert entry.outcome is Outcome.DIVERGED
    assert entry.error == "the loss was no longer a finite number"
    assert entry.traceback is None
    assert entry.score(ACCURACY) is None


def test_an_epoch_that_is_known_changes_nothing(path: Path, searched: Space) -> None:
    driven = engine(path, searched)
    driven.ask()
    driven.report(epoch(0, 1, 0.5))
    driven.report(epoch(0, 2, 0.6))
    content = path.read_bytes()
    assert driven.report(epoch(0, 1, 0.1)) is CONTINUE
    assert driven.report(epoch(0, 2, math.nan)) is CONTINUE
    assert path.read_bytes() == content


def test_what_comes_after_a_trial_has_ended_changes_nothing(path: Path, searched: Space) -> None:
    driven = engine(path, searched)
    driven.ask()
    driven.end(0, Outcome.TIMED_OUT, "no report for 60 s")
    content = path.read_bytes()
    assert driven.report(epoch(0, 1)) is STOP
    driven.end(0, Outcome.COMPLETE)
    assert path.read_bytes() == content
    assert driven.records[0].outcome is Outcome.TIMED_OUT


def test_a_retry_is_counted_and_the_trial_goes_on(path: Path, searched: Space) -> None:
    driven = engine(path, searched)
    driven.ask()
    driven.report(epoch(0, 1))
    driven.lost(0, Loss(Cause.PROCESS, "its process died"))
    assert driven.ask() == driven.records[0].trial
    assert driven.report(epoch(0, 1)) is CONTINUE
    assert driven.report(epoch(0, 2)) is CONTINUE
    assert engine(path, searched).records[0].retries == 1


def test_crashed_trials_neither_stop_the_search_nor_count_as_bad(path: Path, searched: Space) -> None:
    def crash(made: Trial, number: int) -> Outcome | None:
        return {1: Outcome.FAILED, 4: Outcome.OUT_OF_MEMORY}.get(made.number % 6) if number == 1 else None

    driven = finish(engine(path, searched, trials=24), Workers(3, crash=crash))
    assert_whole(driven, path)
    outcomes = {entry.outcome for entry in driven.records}
    assert {Outcome.FAILED, Outcome.OUT_OF_MEMORY} <= outcomes
    states = [entry.state.name for entry in driven._sampler.history.trials]
    for entry, state in zip(driven.records, states, strict=True):
        assert (state == "FAIL") == (entry.outcome in (Outcome.FAILED, Outcome.OUT_OF_MEMORY))


def test_a_finished_search_takes_more_trials(tmp_path: Path, searched: Space) -> None:
    whole = finish(engine(tmp_path / "whole.jsonl", searched, trials=18), Workers(1))
    path = tmp_path / "extended.jsonl"
    finish(engine(path, searched, trials=11), Workers(1))
    driven = engine(path, searched, trials=18)
    assert not driven.finished
    finish(driven, Workers(1))
    assert_whole(driven, path)
    assert story(driven.records) == story(whole.records)  # as if it had been asked for all at once


def test_the_lower_the_loss_the_better_where_a_loss_is_the_metric(path: Path, searched: Space) -> None:
    driven = engine(path, searched, metric="val_loss", trials=3)
    for _ in range(3):
        driven.ask()
    assert driven.report(epoch(0, 1, val_loss=0.5)) is CONTINUE
    assert driven.report(epoch(1, 1, val_loss=0.7)) is STOP
    assert driven.report(epoch(2, 1, val_loss=0.3)) is CONTINUE


def test_a_metric_that_is_missing_or_no_number_stops_the_trial(path: Path, searched: Space) -> None:
    driven = engine(path, searched, metric="val_macro_f1")
    driven.ask()
    assert driven.report(epoch(0, 1)) is STOP
    assert driven.records[0].outcome is Outcome.STOPPED
    assert driven.records[0].score(METRICS["val_macro_f1"]) is None


def recipe(**fields: Any) -> Recipe:
    return Recipe.model_validate({"model": {"name": "plain_cnn"}, **fields})


@pytest.mark.parametrize(
    ("steps", "batch", "pictures", "passes", "epochs"),
    [
        (None, 64, 1000, 9, 9),
        (10, 10, 100, 9, 9),  # ten steps are a pass
        (5, 10, 100, 9, 18),
        (3, 10, 100, 2, 7),  # 20 steps: the seventh epoch takes it over two passes
        (1, 10, 95, 3, 30),  # the last, smaller batch is a step too
        (20, 10, 100, 3, 2),  # an epoch of two passes
    ],
)
def test_a_trial_has_as_many_epochs_as_make_its_passes(
    steps: int | None, batch: int, pictures: int, passes: int, epochs: int
) -> None:
    made = recipe(steps_per_epoch=steps, optim={"batch_size": batch})
    assert length_epochs(made, passes=passes, pictures=pictures) == epochs


SHORT_EPOCHS = """
description: epochs of a quarter of a pass
base:
  model: {name: plain_cnn}
  optim: {batch_size: 16}
  steps_per_epoch: 25
parameters:
  optim.lr: {log: [1.0e-4, 1.0e-2]}
  freeze.epoch: {share: [0.5, 0.5]}
"""


def test_limited_epochs_lengthen_a_trial_and_its_freeze_epoch_keeps_its_share(
    tmp_path: Path, path: Path
) -> None:
    made = engine(path, space(tmp_path, SHORT_EPOCHS), passes=8, pictures=1600).ask()
    assert made is not None
    assert made.epochs == 8 * 4
    assert made.recipe["freeze"]["epoch"] == 16


def test_rungs_are_reached_by_passes_and_not_by_epochs(tmp_path: Path, path: Path) -> None:
    driven = engine(path, space(tmp_path, SHORT_EPOCHS), passes=8, pictures=1600)
    driven.ask(), driven.ask()
    for number in range(1, 5):
        assert driven.report(Epoch(0, number, number / 4, epoch(0, number, 0.9).metrics)) is CONTINUE
    for number in range(1, 4):
        assert driven.report(Epoch(1, number, number / 4, epoch(1, number, 0.1).metrics)) is CONTINUE
    assert driven.report(Epoch(1, 4, 1.0, epoch(1, 4, 0.1).metrics)) is STOP


def test_a_trial_at_its_full_length_is_complete_even_where_that_is_a_rung(tmp_path: Path, path: Path) -> None:
    # One epoch of two passes is the whole trial; its only report is the first beyond the rung at one.
    coarse = SHORT_EPOCHS.replace("25", "200").replace("quarter of a pass", "two passes")
    driven = engine(path, space(tmp_path, coarse), passes=2, pictures=1600)
    for number, score in enumerate([0.9, 0.1]):
        made = driven.ask()
        assert made is not None
        assert made.epochs == 1
        assert driven.report(Epoch(number, 1, 2.0, epoch(number, 1, score).metrics)) is CONTINUE
        driven.end(number, Outcome.COMPLETE)
    assert [entry.outcome for entry in engine(path, space(tmp_path, coarse), passes=2).records] == [
        Outcome.COMPLETE
    ] * 2


def test_trials_are_ranked_by_their_last_score() -> None:
    made = [
        record(trial(0), [0.9, 0.5]),
        record(trial(1), [0.1, 0.6]),
        record(trial(2), [0.7], Outcome.STOPPED),
    ]
    assert [entry.number for entry in ranked(made, ACCURACY)] == [2, 1, 0]
    assert [entry.number for entry in ranked(made, LOSS)] == [2, 1, 0]  # the losses are 1 - score


def test_ties_go_to_the_trial_that_came_further_and_then_to_the_earlier_one() -> None:
    made = [
        record(trial(0), [0.5], Outcome.STOPPED),
        record(trial(1), [0.5, 0.5]),
        record(trial(2), [0.5, 0.5]),
    ]
    assert [entry.number for entry in ranked(made, ACCURACY)] == [1, 2, 0]


def test_trials_without_a_score_come_last() -> None:
    made = [
        record(trial(0), [0.9, 0.9], Outcome.DIVERGED),
        record(trial(1), [], Outcome.FAILED),
        record(trial(2), [math.nan], Outcome.STOPPED),
        record(trial(3), [0.0]),
        record(trial(4), [0.1], None),
    ]
    assert [entry.number for entry in ranked(made, ACCURACY)] == [4, 3, 0, 2, 1]


# What is tried first.


INSIDE = {
    "model.name": "plain_cnn",
    "model.args.width": 16,
    "optim.lr@1": 1e-3,
    "augment.strength": 0.5,
    "freeze.epoch": 1 / 3,
}


def starts(searched: Space) -> tuple[Start, ...]:
    """Two recipes, one of the space and one that is not."""
    inside = searched.recipe(INSIDE, epochs=9)
    outside = inside.model_copy(update={"optim": Optim(lr=0.5)})
    return (
        Start("outside.yaml", outside.to_dict(), 9, {}),
        Start("inside.yaml", inside.to_dict(), 9, searched.params_of(inside, epochs=9) or {}),
    )


def test_starting_recipes_are_tried_first_and_count_among_the_trials(path: Path, searched: Space) -> None:
    given = starts(searched)
    driven = finish(engine(path, searched, starts=given, trials=6))
    assert_whole(driven, path)
    made = [entry.trial for entry in driven.records]
    assert [(entry.origin, entry.source) for entry in made] == [
        ("given", "outside.yaml"),
        ("given", "inside.yaml"),
        *[("sampled", "")] * 4,
    ]
    assert [entry.recipe for entry in made[:2]] == [start.recipe for start in given]
    assert len({entry.seed for entry in made}) == 6
    assert driven.records[0] in ranked(driven.records, ACCURACY)


def test_many_starting_recipes_take_every_second_turn(path: Path, searched: Space) -> None:
    recipe = searched.recipe(INSIDE, epochs=9)
    many = [
        Start(f"{place}.yaml", recipe.model_copy(update={"optim": Optim(lr=0.5 + place)}).to_dict(), 9, {})
        for place in range(6)
    ]
    finish(engine(path, searched, starts=many, trials=5))
    driven = finish(engine(path, searched, starts=many, trials=12))  # a resume takes its turn, too
    given = {entry.trial.source: entry.number for entry in driven.records if entry.trial.origin == "given"}
    assert given == {"0.yaml": 0, "1.yaml": 1, "2.yaml": 2, "3.yaml": 4, "4.yaml": 6, "5.yaml": 8}
    assert list(given.values()) == [turn(place) for place in range(6)]


def test_a_starting_recipe_that_waits_for_its_turn_is_not_suggested_before_it(
    path: Path, tmp_path: Path
) -> None:
    """A space of six recipes: all are tried, each once, the given ones by their turns or in the end."""
    sizes = "{choice: [16, 24, 32, 40, 48, 64]}"
    parameters = f"{{model.name: {{fixed: plain_cnn}}, geometry.size_px: {sizes}}}"
    small = space(tmp_path, f"description: six\nparameters: {parameters}")
    given = []
    for size_px in (64, 16, 48, 24, 40):
        recipe = small.recipe({"geometry.size_px": size_px}, epochs=9)
        given.append(Start(str(size_px), recipe.to_dict(), 9, small.params_of(recipe, epochs=9) or {}))
    driven = finish(engine(path, small, starts=given, trials=12))
    tried = [(entry.trial.recipe["geometry"]["size_px"], entry.trial.origin) for entry in driven.records]
    assert tried == [
        (64, "given"),
        (16, "given"),
        (48, "given"),
        (32, "sampled"),
        (24, "given"),
        (40, "given"),
    ]
    assert driven.ended_by is EndedBy.SPACE


def test_a_recipe_outside_of_the_space_is_ranked_and_not_shown_to_the_sampler(
    path: Path, searched: Space
) -> None:
    driven = finish(engine(path, searched, starts=starts(searched), trials=8))
    told = {frozen.user_attrs["trial"]: frozen for frozen in driven._sampler.history.trials}
    assert sorted(told) == list(range(1, 8))
    assert told[1].params == driven.records[1].trial.params != {}
    for entry in driven.records[1:]:
        assert driven._sampler.history.get(entry.number) == told[entry.number]
    assert driven._sampler.history.get(driven.records[0].number) is None


def test_what_was_given_in_the_space_teaches_the_sampler_what_a_sampled_trial_would(
    tmp_path: Path, searched: Space
) -> None:
    first = finish(engine(tmp_path / "first.jsonl", searched, trials=1)).records[0]
    again = Start("again.yaml", first.trial.recipe, 9, first.trial.params)
    sampled = engine(tmp_path / "sampled.jsonl", searched, trials=20)
    given = engine(tmp_path / "given.jsonl", searched, trials=20, starts=[again])
    plain, seen = (finish(driven, Workers(1)).records for driven in (sampled, given))
    assert [entry.trial.params for entry in seen] == [entry.trial.params for entry in plain]


@pytest.mark.parametrize("seed", range(4))
def test_a_search_with_starting_recipes_interrupted_anywhere_comes_to_the_very_same_end(
    tmp_path: Path, searched: Space, seed: int
) -> None:
    given = starts(searched)
    whole = finish(engine(tmp_path / "whole.jsonl", searched, starts=given, trials=16), Workers(1))
    path = tmp_path / "cut.jsonl"
    driven = finish_interrupted(lambda: engine(path, searched, starts=given, trials=16), seed=seed)
    assert story(driven.records) == story(whole.records)


@pytest.mark.parametrize("sampler", ["forecast", "tpe"])
@pytest.mark.parametrize("seed", range(3))
def test_a_search_with_a_warm_start_interrupted_anywhere_comes_to_the_very_same_end(
    tmp_path: Path, searched: Space, sampler: str, seed: int
) -> None:
    """What it learns from is what its folder keeps: the former search has gone on meanwhile."""
    old = search_folder(tmp_path / "old", max_epochs=9)
    finish(engine(old.records_file, searched, trials=20, seed=7))
    settings = Settings(name="new", space="space", cache_dir="c", warm_start=(str(old.path),))
    networks = Networks(None, None, classes=2, device=torch.device("cpu"))
    known = warm_start(settings, searched, networks, passes=9, pictures=160)
    assert all(former.can_forecast for former in known.formers)
    folder = search_folder(tmp_path / "new", warm_start=(str(old.path),))
    folder.space_file.write_text(searched.to_yaml())
    store_formers(folder, known.formers)
    first = known_starts(known.best, searched, passes=9, pictures=160)[0]
    asked: dict[str, Any] = {"sampler": sampler, "starts": first, "trials": 18}

    live = engine(tmp_path / "whole.jsonl", searched, former=known.formers, **asked)
    whole = finish(live, Workers(1))
    plain = finish(engine(tmp_path / "plain.jsonl", searched, **asked), Workers(1))
    if sampler == "forecast":  # the others learn from it only what to stop
        assert story(whole.records) != story(plain.records)
    finish(engine(old.records_file, searched, trials=30, seed=7))
    path = tmp_path / "cut.jsonl"
    driven = finish_interrupted(
        lambda: engine(path, searched, **asked | {"former": stored_formers(folder, [])}), seed=seed
    )
    assert story(driven.records) == story(whole.records)


def test_fewer_trials_than_starting_recipes_try_the_first_ones_and_a_resume_the_others(
    path: Path, searched: Space
) -> None:
    given = starts(searched)
    finish(engine(path, searched, starts=given, trials=1))
    driven = finish(engine(path, searched, starts=given, trials=3))
    sources = [entry.trial.source for entry in driven.records]
    assert sources == ["outside.yaml", "inside.yaml", ""]


# Limits.


def narrow(recipe: Recipe) -> bool:
    return recipe.model.args.get("width", 8) == 8


def test_what_does_not_fit_is_drawn_again_and_takes_no_trials_number(path: Path, searched: Space) -> None:
    driven = finish(engine(path, searched, fits=narrow, trials=20))
    assert_whole(driven, path)
    made = [Recipe.model_validate(entry.trial.recipe) for entry in driven.records]
    assert all(map(narrow, made))
    assert {recipe.model.name for recipe in made} == {"plain_cnn", "mini_xception"}


def test_a_suggestion_that_fits_is_the_one_that_a_search_without_limits_gives(
    tmp_path: Path, searched: Space
) -> None:
    free = engine(tmp_path / "free.jsonl", searched).ask()
    assert free is not None
    alike = engine(tmp_path / "alike.jsonl", searched, fits=lambda recipe: recipe.to_dict() == free.recipe)
    assert alike.ask() == free


def test_draws_that_did_not_fit_mislead_no_later_suggestion(tmp_path: Path, searched: Space) -> None:
    whole = finish(engine(tmp_path / "whole.jsonl", searched, fits=narrow, trials=24), Workers(1))
    path = tmp_path / "cut.jsonl"
    finish(engine(path, searched, fits=narrow, trials=15), Workers(1))
    # Rebuilt from the records, the study does not hold what was drawn in vain.
    driven = finish(engine(path, searched, fits=narrow, trials=24), Workers(1))
    assert story(driven.records) == story(whole.records)
    for entry in whole.records:
        frozen = whole._sampler.history.get(entry.number)
        assert frozen is not None
        assert frozen.params == entry.trial.params


def test_where_nothing_more_fits_the_search_ends_and_says_why(
    path: Path, searched: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "MOST_DRAWS", 20)
    allowed = iter([True] * 5)
    driven = finish(engine(path, searched, fits=lambda recipe: next(allowed, False)))
    assert driven.finished
    assert len(driven.records) == 5
    assert driven.ended_by is EndedBy.SPACE
    assert driven.nothing_fits == "none of 20 recipes drawn for trial 5 from space space is within the limits"
    assert_whole(driven, path)
    # With more room it goes on.
    assert len(finish(engine(path, searched, trials=8)).records) == 8


def test_trials_that_run_go_on_where_nothing_more_fits(
    path: Path, searched: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "MOST_DRAWS", 20)
    allowed = iter([True])
    driven = engine(path, searched, fits=lambda recipe: next(allowed, False))
    running = driven.ask()
    assert running is not None
    assert driven.ask() is None
    assert not driven.finished
    driven.report(epoch(running.number, 1))
    driven.end(running.number, Outcome.COMPLETE)
    assert driven.finished


# Which weights a trial comes out with.


def test_a_trial_that_keeps_the_best_weights_has_their_score() -> None:
    scores = [0.5, 0.7, 0.6]
    assert record(trial(0, keep="last"), scores).score(ACCURACY) == 0.6
    assert record(trial(0, keep="best"), scores).score(ACCURACY) == 0.7
    # By the lowest loss, not by the best score.
    kept = record(trial(0, keep="best"), scores)
    kept.history[2] = epoch(0, 3, 0.6, val_loss=0.1)
    assert kept.score(ACCURACY) == 0.6
    assert kept.kept(2).epoch == 2


def test_the_first_of_equals_is_kept() -> None:
    made = record(trial(0, keep="best"), [0.5, 0.7, 0.7])
    assert made.kept().epoch == 2


BEST = """
description: one learning rate, the best weights are kept
base:
  model: {name: plain_cnn}
  keep: best
parameters:
  optim.lr: {log: [1.0e-5, 1.0e-1]}
"""


def test_rungs_and_study_hear_of_the_weights_that_would_be_kept(tmp_path: Path, path: Path) -> None:
    driven = engine(path, space(tmp_path, BEST), trials=2)
    driven.ask(), driven.ask()
    for number, reported in enumerate([[0.5, 0.8, 0.4], [0.51, 0.61, 0.71]]):
        for place, score in enumerate(reported, start=1):
            driven.report(epoch(number, place, score))
    assert [(e.trial, e.gain) for e in driven._rule.reached.entries if e.level == 1] == [(0, 0.8), (1, 0.71)]
    assert driven.records[1].outcome is Outcome.STOPPED
    frozen = driven._sampler.history.get(driven.records[1].number)
    assert frozen is not None
    assert frozen.intermediate_values == pytest.approx({1: 0.51, 2: 0.61, 3: 0.71})
    driven.end(0, Outcome.COMPLETE)
    frozen = driven._sampler.history.get(driven.records[0].number)
    assert frozen is not None
    assert frozen.value == 0.8
    assert frozen.intermediate_values == {1: 0.5, 2: 0.8, 3: 0.8}
    rebuilt = engine(path, space(tmp_path, BEST), trials=2)
    assert rebuilt._rule.reached.entries == driven._rule.reached.entries


def test_the_simulated_scores_are_the_same_every_time() -> None:
    made = trial(3)  # what the claims about interruptions above stand on
    assert scores(made, 2) == scores(made, 2)
    assert scores(made, 2) != scores(made, 3)
