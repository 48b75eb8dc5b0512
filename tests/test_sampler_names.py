"""Every sampler that has a name: what it models, and that it goes on as if it had not stopped."""

from __future__ import annotations

import math
import statistics
import time
from typing import Any

import numpy as np
import optuna
import pytest
from cmaes import CMA
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import NSGAIISampler, TPESampler
from optuna.samplers._tpe.sampler import _split_trials
from optuna.trial import TrialState, create_trial

from search.policy import optuna_samplers
from search.policy.forecast_search import GUIDED_FROM
from search.policy.forecaster import FEWEST
from search.policy.history import History, Turn
from search.policy.optuna_samplers import SAMPLERS, TPE_MODELS, _normal_scores, suggest
from search.policy.policy import make_policy
from search.policy.sampler import NothingFitsError, Sampler
from search.policy.sampler_names import SAMPLERS as NAMES
from search.policy.unit_cube import place_of, value_at
from search.settings.settings import Settings
from search.trials.trials import METRICS, Metric, Outcome, Trial, TrialRecord
from spaces.domains import Choice, Domain, Range
from spaces.parameters import Parameter
from spaces.space_files import load_space
from spaces.tree import Tree
from tests.simulated import epoch

ACCURACY, LOSS = METRICS["val_accuracy"], METRICS["val_loss"]
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def tree(**domains: Domain) -> Tree:
    """A space without conditions."""
    parameters = [Parameter(name, name, domain, {}, ()) for name, domain in domains.items()]
    return Tree("small", "a small one", tuple(parameters), {})


def branched() -> Tree:
    """A space of two branches, with a number and a choice of each."""
    parameters = [Parameter("branch", "branch", Choice(("a", "b")), {}, ())]
    for branch in ("a", "b"):
        when = {"branch": (branch,)}
        parameters.append(Parameter(f"{branch}.x", f"{branch}.x", Range("float", 0, 1), when, ()))
        parameters.append(Parameter(f"{branch}.c", f"{branch}.c", Choice((1, 2, 3)), when, ()))
    parameters.append(Parameter("lr", "lr", Range("log", 1e-4, 1e-1), {}, ()))
    return Tree("branched", "two branches", tuple(parameters), {})


def sampler_of(name: str, searched: Tree, metric: Metric, **changes: Any) -> Sampler:
    """The sampler of a search whose trials have 9 epochs."""
    return make_policy(searched, metric, name=name, max_passes=9, **{"seed": 0, **changes}).sampler


def asked(sampler: Sampler, number: int) -> TrialRecord:
    return TrialRecord(Trial(number, {}, sampler.ask(number), number, 9), started=0.0)


def end(sampler: Sampler, entry: TrialRecord, scores: list[float], outcome: Outcome) -> None:
    entry.history = [epoch(entry.number, place, score) for place, score in enumerate(scores, start=1)]
    entry.outcome, entry.ended = outcome, time.time()
    told(sampler, entry)


def told(sampler: Sampler, entry: TrialRecord) -> None:
    """Tells a sampler, and the rungs that it knows, how a trial came to its end."""
    assert sampler.history.forecaster is not None
    for reported in entry.history:
        gain = sampler.metric.gain(reported.metrics[sampler.metric.name])
        diverged = entry.outcome is Outcome.DIVERGED and reported is entry.history[-1]
        worth = math.nan if diverged else gain
        sampler.history.forecaster.reached.enter(entry.number, reported.passes, worth)
    sampler.tell(entry)


def lived(sampler: Sampler, trials: int, at_a_time: int = 4) -> list[TrialRecord]:
    """So many trials of a search in which every kind of end occurs, and not in the order of the starts."""
    rng, records = np.random.default_rng(0), []
    outcomes = [*Outcome, Outcome.COMPLETE, Outcome.STOPPED, Outcome.COMPLETE]
    for number in range(trials):
        records.append(asked(sampler, number))
        running = [entry for entry in records if entry.outcome is None]
        if len(running) >= at_a_time:
            ended = running[rng.integers(len(running))]
            scores = rng.random(rng.integers(1, 9)).tolist()
            end(sampler, ended, scores, outcomes[ended.number % len(outcomes)])
    return records


def test_every_name_has_a_sampler_and_a_purpose() -> None:
    assert SAMPLERS.keys() == NAMES.keys()
    assert Settings(name="a", space="demo", cache_dir="c").sampler in NAMES
    with pytest.raises(ValueError, match="must be one of forecast, tpe, gp, cmaes, nsga2, random, qmc"):
        Settings(name="a", space="demo", cache_dir="c", sampler="grid")


def test_the_forecasts_purpose_tells_from_when_on_it_learns() -> None:
    assert (GUIDED_FROM, FEWEST) == (30, 12)
    assert NAMES["forecast"].endswith(
        "random for its first thirty trials, or its first dozen where it has learned from former searches"
    )


def test_a_resumed_search_must_have_the_same_sampler() -> None:
    assert Settings(name="a", space="demo", cache_dir="c", sampler="qmc").what_matters()["sampler"] == "qmc"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("space", "metric"), [("demo", ACCURACY), ("finetune", LOSS), ("full", ACCURACY)])
def test_every_sampler_searches_the_spaces_that_ship(name: str, space: str, metric: Metric) -> None:
    searched = load_space(space)
    sampler = sampler_of(name, searched, metric, seed=1)
    records = lived(sampler, 22 if name == "gp" else 36)
    for entry in records:
        searched.drawn(entry.trial.params)  # raises where something is missing, too much or out of range
        plain = {bool, int, float, str, type(None)}
        assert {type(value) for value in entry.trial.params.values()} <= plain
    assert len({frozenset(entry.trial.params.items()) for entry in records}) == len(records)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_is_resumed_goes_on_as_if_it_had_not_stopped(name: str) -> None:
    first, later = (20, 2) if name == "gp" else (70, 5)
    allowed = {"fits": lambda params: params["lr"] > 3e-4}  # what is drawn in vain leaves no trace either
    whole = sampler_of(name, branched(), ACCURACY, seed=5, **allowed)
    records = lived(whole, first)
    resumed = sampler_of(name, branched(), ACCURACY, seed=5, **allowed)
    for entry in records:
        resumed.restore(entry)
    for entry in sorted((entry for entry in records if entry.ended), key=lambda entry: entry.ended or 0.0):
        told(resumed, entry)
    for number in range(first, first + later):
        assert resumed.ask(number) == whole.ask(number)
    if name != "random":  # and it is that sampler, not what is drawn at random
        history = History(whole.tree, whole.history.trials, "max", whole.history.forecaster)
        assert suggest(name, history, Turn(5, 90)) != suggest("random", history, Turn(5, 90))


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes", "nsga2"])
@pytest.mark.parametrize("metric", [ACCURACY, LOSS])
def test_suggestions_go_where_the_metric_is_good(name: str, metric: Metric) -> None:
    sampler, off = sampler_of(name, branched(), metric, seed=1), []
    trials = 25 if name == "gp" else 120
    for number in range(trials):
        entry = asked(sampler, number)
        params = entry.trial.params
        off.append(abs(math.log10(params["lr"]) + 3) / 2 + 0.3 * (params["branch"] == "b"))
        # A third run on, among them the better ones; the others are stopped early, or diverge.
        outcome = (
            Outcome.COMPLETE if off[-1] < 0.4 else Outcome.STOPPED if off[-1] < 0.7 else Outcome.DIVERGED
        )
        end(sampler, entry, [1 - off[-1]] * (9 if outcome is Outcome.COMPLETE else 1), outcome)
    assert statistics.mean(off[-trials // 4 :]) < 0.75 * statistics.mean(off[:10])


@pytest.mark.parametrize("name", NAMES)
def test_parallel_suggestions_are_never_the_same_until_all_recipes_have_been_tried(name: str) -> None:
    small = tree(a=Choice((1, 2, 3)), b=Range("int", 1, 4))
    sampler, seen = sampler_of(name, small, ACCURACY, seed=0), []
    for number in range(12):  # the first end, by turns well and by crashes; the others run side by side
        entry = asked(sampler, number)
        if number < 6:
            end(sampler, entry, [0.5], [Outcome.COMPLETE, Outcome.FAILED][number % 2])
        seen.append(entry.trial.params)
    assert len({tuple(params.items()) for params in seen}) == 12
    with pytest.raises(NothingFitsError, match="every recipe of space small has been tried"):
        sampler.ask(12)


def test_the_last_recipe_of_a_space_is_found_without_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.policy.sampler.MOST_DRAWS", 1)  # as if the others came up again and again
    conditions = (
        Parameter("a", "a", Choice((1, 2)), {}, ()),
        Parameter("b", "b", Range("int", 1, 3), {"a": (2,)}, ()),
        Parameter("c", "c", Range("float", 0, 0.5, step=0.25), {"a": (1,)}, ()),
        Parameter("d", "d", Range("share", 0.5, 0.5), {}, ()),
    )
    sampler = Sampler(Tree("small", "", conditions, {}), ACCURACY, seed=0)
    assert sorted(str(sampler.ask(number)) for number in range(6)) == [
        *(f"{{'a': 1, 'c': {c}, 'd': 0.5}}" for c in (0.0, 0.25, 0.5)),
        *(f"{{'a': 2, 'b': {b}, 'd': 0.5}}" for b in (1, 2, 3)),
    ]
    with pytest.raises(NothingFitsError, match="every recipe of space small has been tried"):
        sampler.ask(6)


def test_a_space_with_hardly_anything_new_within_the_limits_says_so() -> None:
    sampler = Sampler(tree(a=Choice((1, 2, 3))), ACCURACY, seed=0, fits=lambda params: params["a"] == 2)
    assert sampler.ask(0) == {"a": 2}
    with pytest.raises(NothingFitsError, match=r"drawn for trial 1 .* is new and within the limits"):
        sampler.ask(1)


def test_a_restored_trial_is_not_suggested_again() -> None:
    small = tree(a=Choice((1, 2)))
    sampler = Sampler(small, ACCURACY, seed=0)
    given = Trial(0, {}, {"a": 1}, 0, 9, origin="given")
    sampler.restore(TrialRecord(given, started=0.0))
    assert sampler.ask(1) == {"a": 2}


def history(count: int, searched: Tree, mode: str = "max") -> History:
    """So many trials drawn at random, most of them stopped or diverged."""
    rng, trials = np.random.default_rng(1), []
    for number in range(count):
        params = suggest("random", History(searched, [], mode), Turn(0, number))
        ending = rng.integers(4)
        state = TrialState.COMPLETE if ending == 0 else TrialState.PRUNED
        values = {} if ending == 1 else {int(rng.choice([1, 3, 9])): float(rng.random())}
        made = create_trial(
            state=state,
            value=float(rng.random()) if ending == 0 else None,
            params=params,
            distributions=searched.distributions(params),
            intermediate_values=values,
        )
        made.number = number
        trials.append(made)
    return History(searched, trials, mode)


@pytest.mark.parametrize("mode", ["max", "min"])
def test_trials_are_ranked_as_tpe_does(mode: str) -> None:
    known = history(60, branched(), mode)
    study = optuna.create_study(direction="maximize" if mode == "max" else "minimize")
    ranked = sorted(known.ended, key=known.rank)
    diverged = sum(not trial.intermediate_values for trial in known.ended if trial.value is None)
    assert diverged > 5
    for best in range(60 - diverged + 1):
        below, _ = _split_trials(study, known.ended, best)
        assert {trial.number for trial in below} == {trial.number for trial in ranked[:best]}


def test_tpe_suggests_what_optunas_own_does_as_long_as_it_models_all() -> None:
    known = history(60, branched())
    study = optuna.create_study(
        direction="maximize",
        sampler=TPESampler(seed=Turn(3, 60).own_seed, multivariate=True, group=True, constant_liar=True),
    )
    study.add_trials(list(known.trials))
    trial = study.ask()
    branched().draw(trial)
    assert suggest("tpe", known, Turn(3, 60)) == trial.params


def test_tpe_takes_the_same_trials_for_good_whether_it_models_all_or_not() -> None:
    known = history(TPE_MODELS + 300, tree(x=Range("float", 0, 1)))
    study = optuna.create_study(direction="maximize")
    kept = known.modelled(TPE_MODELS, optuna_samplers.TPE_BEST)
    gamma = optuna.samplers._tpe.sampler.default_gamma
    of_all, _ = _split_trials(study, known.ended, gamma(len(known.ended)))
    of_kept, others = _split_trials(study, kept, gamma(len(kept)))
    assert [trial.number for trial in of_kept] == [trial.number for trial in of_all]
    assert len(kept) == TPE_MODELS
    assert [trial.number for trial in kept] == sorted(trial.number for trial in kept)
    good = {trial.number for trial in of_all}
    recent = [trial.number for trial in known.ended if trial.number not in good]
    assert [trial.number for trial in others] == recent[-len(others) :]


def test_cmaes_goes_the_way_that_its_library_goes() -> None:
    searched = tree(x=Range("float", 0, 1), lr=Range("log", 1e-4, 1.0))
    sampler = sampler_of("cmaes", searched, LOSS, seed=4)
    library = CMA(mean=np.full(2, 0.5), sigma=1 / 6, bounds=np.array([[0.0, 1.0]] * 2), n_max_resampling=10)
    told: list[tuple[np.ndarray, float]] = []
    for number in range(8 * library.population_size):
        entry = asked(sampler, number)
        library.reseed_rng(Turn(4, number).own_seed)
        point = library.ask()
        drawn = [
            place_of(sampler.history.trials[number].distributions[name], entry.trial.params[name])
            for name in ("x", "lr")
        ]
        assert drawn == pytest.approx(point.tolist(), abs=1e-6)
        loss = float(((point - [0.2, 0.9]) ** 2).sum())
        end(sampler, entry, [1 - loss], Outcome.COMPLETE)
        told.append((point, loss))
        if len(told) == library.population_size:
            library.tell(told)
            told = []


def test_the_parents_of_nsga2_are_those_of_optunas_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_samplers, "POPULATION", 6)
    searched = tree(x=Range("float", 0, 1), y=Choice((1, 2, 3)))
    study = optuna.create_study(sampler=NSGAIISampler(seed=0, population_size=6))
    for _ in range(31):
        trial = study.ask()
        searched.draw(trial)
        study.tell(trial, trial.params["x"])
    parents = study._storage.get_study_system_attrs(study._study_id)["NSGAIISampler:parent:5"]
    known = History(searched, study.trials, "min")
    shown: list[Any] = []
    monkeypatch.setattr(optuna_samplers, "_of", lambda sampler, trials, *others: shown.extend(trials))
    optuna_samplers._nsga2(known, Turn(0, 31))
    assert {trial.number for trial in shown} == {study.trials[place].number for place in parents}


@pytest.mark.parametrize("seed", [0, 1])
def test_qmc_puts_one_of_32_trials_into_each_32nd_of_every_range(seed: int) -> None:
    searched = tree(x=Range("float", 0, 1), lr=Range("log", 1e-4, 1.0), c=Choice(tuple("abcdefgh")))
    sampler = Sampler(searched, ACCURACY, seed=seed, name="qmc")
    drawn = [sampler.ask(number) for number in reversed(range(32))]  # whatever was asked before
    assert sorted(int(32 * params["x"]) for params in drawn) == list(range(32))
    assert sorted(int(32 * (4 + math.log10(params["lr"])) / 4) for params in drawn) == list(range(32))
    assert sorted(params["c"] for params in drawn) == sorted("abcdefgh" * 4)


def test_equal_ranks_have_equal_scores_and_better_ones_lower_scores() -> None:
    ranks = [(2, 0, 0.0), (0, 0, -0.9), (2, 0, 0.0), (1, -3, -0.7), (0, 0, -0.8)]
    scores = _normal_scores(ranks)
    normal = statistics.NormalDist()
    assert [normal.cdf(score) for score in scores] == pytest.approx([0.8, 0.1, 0.8, 0.5, 0.3])


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (CategoricalDistribution(("a", "b", "c", "d")), ["a", "b", "c", "d"]),
        (IntDistribution(3, 9, step=2), [3, 5, 7, 9]),
        (FloatDistribution(0.0, 0.75, step=0.25), [0.0, 0.25, 0.5, 0.75]),
    ],
)
def test_even_coordinates_give_a_few_values_equally_often(distribution: Any, values: list[Any]) -> None:
    assert [value_at(distribution, place / 8) for place in range(8)] == sorted(values * 2)
    assert value_at(distribution, 1.0) == values[-1]
    assert [place_of(distribution, value) for value in values] == [1 / 8, 3 / 8, 5 / 8, 7 / 8]


def test_coordinates_of_ranges_follow_their_scale() -> None:
    linear, log = FloatDistribution(-2.0, 2.0), FloatDistribution(1e-4, 1.0, log=True)
    for place in (0.0, 0.25, 1.0):
        assert value_at(linear, place) == pytest.approx(-2 + 4 * place)
        assert value_at(log, place) == pytest.approx(10 ** (4 * place - 4))
        assert place_of(linear, value_at(linear, place)) == pytest.approx(place)
        assert place_of(log, value_at(log, place)) == pytest.approx(place)
        assert log.low <= value_at(log, place) <= log.high
