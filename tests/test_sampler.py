"""What the study is told, and that what is suggested depends on nothing else."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers._tpe.sampler import _split_trials
from optuna.trial import TrialState

from search.policy import optuna_samplers
from search.policy import sampler as module
from search.policy.sampler import NothingFitsError, Sampler, write_study
from search.trials.trials import METRICS, Outcome, Trial, TrialRecord
from spaces.space import Space
from tests.simulated import engine, epoch, finish, space

ACCURACY, LOSS = METRICS["val_accuracy"], METRICS["val_loss"]
# Known and chosen, here as in search.policy.sampler.
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

RATES = """
description: one learning rate
base:
  model: {name: plain_cnn}
parameters:
  optim.lr: {log: [1.0e-5, 1.0e-1]}
"""


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path)


@pytest.fixture
def rates(tmp_path: Path) -> Space:
    return space(tmp_path, RATES)


def asked(sampler: Sampler, number: int) -> TrialRecord:
    """The record of a trial as it starts."""
    params = sampler.ask(number)
    recipe = sampler.tree.recipe(params, epochs=9)
    return TrialRecord(Trial(number, recipe.to_dict(), params, number, 9), started=float(number))


def told(sampler: Sampler, number: int, scores: list[float], outcome: Outcome) -> optuna.trial.FrozenTrial:
    """Asks for a trial, tells its end, and returns what the study holds of it."""
    entry = asked(sampler, number)
    entry.history = [epoch(number, place, score) for place, score in enumerate(scores, start=1)]
    entry.outcome = outcome
    sampler.tell(entry)
    return sampler.history.trials[number]


@pytest.mark.parametrize(("metric", "values"), [(ACCURACY, [0.5, 0.7, 0.6]), (LOSS, [0.5, 0.3, 0.4])])
def test_a_complete_trial_is_told_with_its_last_value_and_all_others_by_epoch(
    searched: Space, metric: Any, values: list[float]
) -> None:
    sampler = Sampler(searched, metric, seed=0)
    frozen = told(sampler, 0, [0.5, 0.7, 0.6], Outcome.COMPLETE)
    assert frozen.state is TrialState.COMPLETE
    assert frozen.value == pytest.approx(values[-1])
    assert frozen.intermediate_values == pytest.approx(dict(enumerate(values, start=1)))
    assert frozen.user_attrs == {"trial": 0, "outcome": "complete"}


def test_a_stopped_trial_is_told_as_pruned_with_all_its_values(searched: Space) -> None:
    frozen = told(Sampler(searched, ACCURACY, seed=0), 0, [0.5, 0.7, 0.6], Outcome.STOPPED)
    assert frozen.state is TrialState.PRUNED
    assert frozen.intermediate_values == {1: 0.5, 2: 0.7, 3: 0.6}


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY])
def test_a_trial_that_says_nothing_about_its_recipe_is_told_as_failed(
    searched: Space, outcome: Outcome
) -> None:
    frozen = told(Sampler(searched, ACCURACY, seed=0), 0, [0.5, 0.7], outcome)
    assert frozen.state is TrialState.FAIL
    assert frozen.value is None


def test_where_the_best_weights_are_kept_the_values_are_theirs(searched: Space) -> None:
    sampler = Sampler(searched, ACCURACY, seed=0)
    entry = asked(sampler, 0)
    entry.trial.recipe["keep"] = "best"
    losses, scores = [0.5, 0.3, 0.4, 0.2], [0.5, 0.7, 0.8, 0.6]
    entry.history = [
        epoch(0, place, score, val_loss=loss)
        for place, (score, loss) in enumerate(zip(scores, losses, strict=True), start=1)
    ]
    entry.outcome = Outcome.COMPLETE
    sampler.tell(entry)
    # Of the lowest validation loss so far, not the best value so far.
    assert sampler.history.trials[0].intermediate_values == {1: 0.5, 2: 0.7, 3: 0.7, 4: 0.6}
    assert sampler.history.trials[0].value == 0.6


def test_a_trial_that_never_reported_can_be_told(searched: Space) -> None:
    assert told(Sampler(searched, ACCURACY, seed=0), 0, [], Outcome.FAILED).state is TrialState.FAIL


@pytest.mark.parametrize("metric", [ACCURACY, LOSS])
def test_a_diverged_trial_ranks_behind_every_other_one(searched: Space, metric: Any) -> None:
    sampler = Sampler(searched, metric, seed=0)
    diverged = told(sampler, 0, [0.99, 0.99, 0.99, 0.99], Outcome.DIVERGED)
    assert diverged.state is TrialState.PRUNED
    assert diverged.intermediate_values == {}
    told(sampler, 1, [0.01], Outcome.STOPPED)
    told(sampler, 2, [0.02, 0.03], Outcome.STOPPED)
    told(sampler, 3, [0.0], Outcome.COMPLETE)
    told(sampler, 4, [0.1], Outcome.COMPLETE)
    order = []
    study = optuna.create_study(direction="maximize" if metric.mode == "max" else "minimize")
    for best in range(5):  # what optuna itself counts among the best `best`
        below, _ = _split_trials(study, sampler.history.trials, best + 1)
        order += [entry.number for entry in below if entry.number not in order]
    assert order[-1] == 0
    assert set(order[:2]) == {3, 4}


def test_what_diverges_is_hardly_suggested_any_more(rates: Space) -> None:
    def share_over_one_percent(outcome: Outcome) -> float:
        """How many of the later suggestions lie in the highest quarter, where all trials end so."""
        sampler, later = Sampler(rates, ACCURACY, seed=2), []
        rng = np.random.default_rng(0)
        for number in range(60):
            entry = asked(sampler, number)
            high = entry.trial.params["optim.lr"] > 1e-2
            entry.outcome = outcome if high else Outcome.COMPLETE
            # In the end it had been doing well, up to where it broke.
            entry.history = [epoch(number, 1, 0.99 if high else float(rng.random()))]
            sampler.tell(entry)
            later += [high] * (number >= 20)
        return float(np.mean(later))

    assert share_over_one_percent(Outcome.DIVERGED) < 0.12  # 0.25 by chance
    assert share_over_one_percent(Outcome.COMPLETE) > 0.5


@pytest.mark.parametrize("metric", [ACCURACY, LOSS])
def test_suggestions_go_where_the_metric_is_good(rates: Space, metric: Any) -> None:
    sampler, found = Sampler(rates, metric, seed=1), []
    for number in range(40):
        entry = asked(sampler, number)
        off = abs(math.log10(entry.trial.params["optim.lr"]) + 4)
        entry.outcome, entry.history = Outcome.COMPLETE, [epoch(number, 1, 1 - off / 4)]
        sampler.tell(entry)
        found.append(off)
    assert np.mean(found[25:]) < 0.5 * np.mean(found[:10])


def test_what_the_sampler_does_not_find_is_drawn_at_random(
    searched: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OF_OTHERS", 3)
    monkeypatch.setattr(module, "MOST_DRAWS", 5)
    used = []

    def noted(name: str, *others: Any) -> dict[str, Any]:
        used.append(name)
        return optuna_samplers.suggest(name, *others)

    monkeypatch.setattr(module, "suggest", noted)

    def drawn(refused: int) -> tuple[Any, Sampler]:
        used.clear()
        allowed = iter([False] * refused + [True])
        sampler = Sampler(searched, ACCURACY, seed=0, fits=lambda params: next(allowed))
        return sampler.ask(0), sampler

    assert drawn(3)[0] != drawn(4)[0]
    params, sampler = drawn(4)
    assert used == ["tpe"] * 3 + ["random"] * 2
    assert params == drawn(4)[0]
    # What was refused left nothing.
    assert [trial.state for trial in sampler.history.trials] == [TrialState.RUNNING]
    with pytest.raises(
        NothingFitsError, match=r"none of 5 recipes drawn for trial 0 .* is within the limits"
    ):
        drawn(5)


def test_the_first_suggestions_depend_on_seed_and_number_alone(searched: Space) -> None:
    first, second, other = (Sampler(searched, ACCURACY, seed=seed) for seed in (7, 7, 8))
    for number in range(6):
        if number != 3:  # and not on what was asked before
            first.ask(number)
    assert first.ask(3) == second.ask(3)
    assert other.ask(3) != second.ask(3)


def test_global_random_state_changes_nothing(searched: Space) -> None:
    suggestions = []
    for state in (1, 2):
        np.random.seed(state)
        suggestions.append(Sampler(searched, ACCURACY, seed=0).ask(0))
    assert suggestions[0] == suggestions[1]


def test_what_is_suggested_are_the_parameters_of_a_recipe(searched: Space) -> None:
    sampler = Sampler(searched, ACCURACY, seed=0)
    for number in range(8):
        params = sampler.ask(number)
        recipe = searched.recipe(params, epochs=1000)  # so long that whole epochs tell shares apart
        assert searched.params_of(recipe, epochs=1000) == pytest.approx(params, abs=1e-3)


@pytest.mark.parametrize("metric", [ACCURACY, LOSS])
@pytest.mark.parametrize("at_a_time", [1, 4])
def test_a_sampler_rebuilt_from_records_suggests_the_same(
    searched: Space, metric: Any, at_a_time: int
) -> None:
    lived, rng, records = Sampler(searched, metric, seed=5), np.random.default_rng(0), []
    outcomes = [*Outcome, Outcome.COMPLETE, Outcome.STOPPED, Outcome.COMPLETE]
    for number in range(30):
        records.append(asked(lived, number))
        running = [entry for entry in records if entry.outcome is None]
        if len(running) >= at_a_time:  # then one of them ends: in another order than they started in
            ended = running[rng.integers(len(running))]
            scores = rng.random(rng.integers(1, 9)).tolist()
            ended.history = [epoch(ended.number, place, score) for place, score in enumerate(scores, start=1)]
            ended.outcome = outcomes[ended.number % len(outcomes)]
            lived.tell(ended)
    assert sum(entry.outcome is None for entry in records) == at_a_time - 1

    rebuilt = Sampler(searched, metric, seed=5)
    for entry in records:
        rebuilt.restore(entry)
        if entry.outcome is not None:
            rebuilt.tell(entry)

    for number in range(30, 40):  # some later ones, each with the earlier ones running
        assert rebuilt.ask(number) == lived.ask(number)


def test_a_trial_that_still_runs_counts_with_what_it_took_and_nothing_else(searched: Space) -> None:
    sampler = Sampler(searched, ACCURACY, seed=0)
    for number in range(15):
        told(sampler, number, [0.1 * (number % 7)], Outcome.COMPLETE)
    running = asked(sampler, 15)
    frozen = sampler.history.trials[15]
    assert frozen.state is TrialState.RUNNING
    assert frozen.params == running.trial.params
    assert frozen.system_attrs == {}


@pytest.fixture
def study_file(tmp_path: Path, searched: Space) -> Path:
    """The study of a small search with every kind of end, and a trial that still runs."""
    sampler, records = Sampler(searched, ACCURACY, seed=0), []
    for number, outcome in enumerate([*Outcome, None]):
        entry = asked(sampler, number)
        entry.history = [epoch(number, 1, 0.4), epoch(number, 2, math.nan if number == 1 else 0.6)]
        entry.outcome, entry.ended = outcome, None if outcome is None else 60.0 + number
        if outcome is not None:
            sampler.tell(entry)
        records.append(entry)
    path = tmp_path / "study.db"
    write_study(path, "my search", sampler, records)
    return path


def test_the_copy_of_the_study_opens_in_optuna_with_all_trials(study_file: Path) -> None:
    study = optuna.load_study(study_name="my search", storage=f"sqlite:///{study_file}")
    states = [entry.state.name for entry in study.trials]
    assert states == ["COMPLETE", "PRUNED", "PRUNED", "FAIL", "FAIL", "FAIL", "RUNNING"]
    assert [entry.user_attrs.get("outcome") for entry in study.trials] == [*map(str, Outcome), None]
    assert study.best_trial.number == 0
    assert study.metric_names == ["val_accuracy"]
    assert study.trials[0].intermediate_values == {1: 0.4, 2: 0.6}
    assert [path.name for path in study_file.parent.glob(".*")] == []


def test_the_copy_of_the_study_has_the_times_of_the_records(study_file: Path) -> None:
    study = optuna.load_study(study_name="my search", storage=f"sqlite:///{study_file}")
    assert [entry.duration.total_seconds() for entry in study.trials[:-1] if entry.duration] == [60.0] * 6
    assert study.trials[-1].datetime_complete is None


def test_the_copy_of_a_study_replaces_the_one_before(study_file: Path, searched: Space) -> None:
    write_study(study_file, "my search", Sampler(searched, LOSS, seed=0), [])
    study = optuna.load_study(study_name="my search", storage=f"sqlite:///{study_file}")
    assert study.trials == []
    assert study.direction.name == "MINIMIZE"


def test_a_whole_search_leaves_a_study_that_agrees_with_its_records(tmp_path: Path, searched: Space) -> None:
    driven = finish(engine(tmp_path / "records.jsonl", searched, trials=25))
    for entry, frozen in zip(driven.records, driven._sampler.history.trials, strict=True):
        full = entry.outcome is Outcome.COMPLETE
        assert (frozen.state is TrialState.COMPLETE) == full == (entry.epochs_done == entry.trial.epochs)
        if full:
            assert frozen.value == entry.score(ACCURACY)
        assert frozen.params == entry.trial.params


@pytest.mark.slow
def test_the_dashboard_shows_the_study(study_file: Path) -> None:
    command = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("optuna-dashboard is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [command, "--host", "127.0.0.1", "--port", str(port), f"sqlite:///{study_file}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        studies = _fetch(server, f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
        assert [study["study_name"] for study in studies] == ["my search"]
        place = f"http://127.0.0.1:{port}/api/studies/{studies[0]['study_id']}"
        trials = _fetch(server, f"{place}?after=0")["trials"]
        assert [entry["state"] for entry in trials][:3] == ["Complete", "Pruned", "Pruned"]
    finally:
        server.terminate()
        server.communicate()


def _fetch(server: subprocess.Popen[str], url: str) -> Any:
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
