"""Priors of the user: read from space files, drawn from, believed while they are right, then forgotten."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.stats import truncnorm

from search.policy.history import History, Turn
from search.policy.priors import CERTAINTY, SPREAD, draw, likelihoods, shares, with_priors
from search.policy.sampler import Sampler
from search.policy.unit_cube import value_at
from search.trials.trials import METRICS, Outcome, Trial, TrialRecord
from spaces.domains import Choice, Range
from spaces.faults import SpaceError
from spaces.parameters import Parameter
from spaces.priors import CONFIDENCES, Prior
from spaces.space_files import load_space
from spaces.tree import Tree
from tests.simulated import epoch, space

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
ACCURACY = METRICS["val_accuracy"]

SPACE = """
base: {geometry: {size_px: 48}}
parameters:
  model.name: {choice: [plain_cnn, vgg4_cnn], prior: {centre: vgg4_cnn, confidence: low}}
  model.args.width:
    {int: [16, 48], step: 8, prior: {centre: 40, confidence: high}, when: {model.name: plain_cnn}}
  optim.lr:
    - {log: [1e-4, 1e-2], when: {model.name: plain_cnn}, prior: {centre: 1e-3, confidence: medium}}
    - {log: [1e-5, 1e-3], when: {model.name: vgg4_cnn}}
  augment.strength: {float: [0, 1], prior: {centre: 1, confidence: low}}
  freeze.epoch: {share: [0, 0.5], prior: {centre: 0.2, confidence: low}}
"""


def test_a_space_knows_the_priors_of_its_parameters_and_of_each_alternative(tmp_path: Path) -> None:
    assert space(tmp_path, SPACE).priors == {
        "model.name": Prior("vgg4_cnn", "low"),
        "model.args.width": Prior(40, "high"),
        "optim.lr@1": Prior(0.001, "medium"),
        "augment.strength": Prior(1.0, "low"),
        "freeze.epoch": Prior(0.2, "low"),
    }


def test_priors_are_kept_where_a_space_is_written_out_and_compared(tmp_path: Path) -> None:
    searched = space(tmp_path, SPACE)
    again = space(tmp_path, searched.to_yaml())
    assert again.priors == searched.priors
    assert again.to_dict() == searched.to_dict()
    assert again.to_dict() != space(tmp_path, SPACE.replace("centre: 40", "centre: 16")).to_dict()


def test_a_prior_goes_with_the_values_around_its_centre(tmp_path: Path) -> None:
    searched = space(tmp_path, SPACE)
    left = searched.without(lambda parameter, value: value in ("vgg4_cnn", 40, 48)).priors
    assert searched.priors.keys() - left.keys() == {"model.name", "model.args.width"}
    assert searched.without(lambda parameter, value: value in ("plain_cnn", 16)).priors == searched.priors


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (
            "{log: [1e-4, 0.1], prior: 1e-3}",
            "prior must be a mapping such as {centre: 0.001, confidence: medium}",
        ),
        ("{log: [1e-4, 0.1], prior: {centre: 1e-3}}", "lr.prior.confidence is required"),
        ("{log: [1e-4, 0.1], prior: {confidence: low}}", "lr.prior.centre is required"),
        (
            "{log: [1e-4, 0.1], prior: {center: 1e-3, confidence: low}}",
            "lr.prior.center is not known in a prior; received 0.001. Did you mean centre?",
        ),
        (
            "{log: [1e-4, 0.1], prior: {centre: 1e-3, confidence: 0.9}}",
            "lr.prior.confidence must be one of low, medium, high; received 0.9",
        ),
        (
            "{log: [1e-4, 0.1], prior: {centre: 1, confidence: low}}",
            "lr.prior.centre must be a number from 0.0001 to 0.1; received 1",
        ),
        (
            "{log: [1e-4, 0.1], prior: {centre: null, confidence: low}}",
            "lr.prior.centre must be a number from 0.0001 to 0.1; received null",
        ),
        (
            "{choice: [0.1, 0.2], prior: {centre: 0.3, confidence: low}}",
            "lr.prior.centre must be one of 0.1, 0.2; received 0.3",
        ),
        ("{fixed: 0.1, prior: {centre: 0.1, confidence: low}}", "lr.prior must not go with fixed"),
    ],
)
def test_what_is_wrong_with_a_prior_is_told(tmp_path: Path, parameter: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"base: {{model: {{name: plain_cnn}}}}\nparameters:\n  optim.lr: {parameter}\n")
    with pytest.raises(SpaceError, match=r"own\.yaml: 1 fault\n") as error:
        load_space(path)
    assert "own.yaml:3: parameters.optim.lr.prior" in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ("model.args.width: {int: [16, 48], step: 8, prior: {centre: 17, confidence: low}}", "in steps of 8"),
        ("model.args.width: {int: [16, 48], prior: {centre: 17.5, confidence: low}}", "from 16 to 48"),
        ("model.name: {choice: [plain_cnn], prior: {centre: plain_cm, confidence: low}}", "mean plain_cnn?"),
        (
            "freeze.epoch: {share: [0, 0.5], prior: {centre: 3, confidence: low}}",
            "from 0 to 0.5 of the training",
        ),
    ],
)
def test_a_centre_must_be_of_the_domain(tmp_path: Path, domain: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    base = "" if "model.name" in domain else "base: {model: {name: plain_cnn}}\n"
    path.write_text(f"{base}parameters:\n  {domain}\n")
    with pytest.raises(SpaceError, match=r"prior\.centre must be") as error:
        load_space(path)
    assert message in str(error.value)


EVEN = (np.arange(4000) + 0.5) / 4000


def cut_off(centre: float, confidence: str) -> Any:
    spread = SPREAD[confidence]
    return truncnorm(-centre / spread, (1 - centre) / spread, loc=centre, scale=spread)


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize(
    ("entry", "centre", "place"),
    [
        (FloatDistribution(-1.0, 3.0), 0.0, 0.25),
        (FloatDistribution(1e-4, 1e-1, log=True), 1e-1, 1.0),
        (FloatDistribution(1e-4, 1e-1, log=True), 1e-3, 1 / 3),
    ],
)
def test_numbers_are_drawn_from_a_normal_distribution_that_is_cut_off(
    entry: BaseDistribution, centre: float, place: float, confidence: Any
) -> None:
    prior, wanted = Prior(centre, confidence), cut_off(place, confidence)
    values = [draw(entry, prior, even) for even in EVEN.tolist()]
    np.testing.assert_allclose(values, [value_at(entry, at) for at in wanted.ppf(EVEN)], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(likelihoods(entry, prior, values), wanted.pdf(wanted.ppf(EVEN)), rtol=1e-5)


@pytest.mark.parametrize("entry", [IntDistribution(8, 48, step=8), FloatDistribution(0.0, 1.25, step=0.25)])
def test_steps_are_drawn_as_often_as_the_distribution_has_mass_there(entry: Any) -> None:
    centre = entry.low + 4 * entry.step
    counts = Counter(draw(entry, Prior(centre, "medium"), even) for even in EVEN.tolist())
    masses = np.diff(cut_off(4.5 / 6, "medium").cdf(np.arange(7) / 6))
    found = [counts[entry.low + step * entry.step] / len(EVEN) for step in range(6)]
    np.testing.assert_allclose(found, masses, atol=1e-3)


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("choices", [("a", "b"), (None, True, 0.5, "x")])
def test_the_centre_is_drawn_more_often_than_any_other_choice(choices: Any, confidence: Any) -> None:
    entry, prior = CategoricalDistribution(choices), Prior(choices[1], confidence)
    counts = Counter(draw(entry, prior, even) for even in EVEN.tolist())
    certain, even = CERTAINTY[confidence], 1 / len(choices)
    for choice in choices:
        expected = certain * (choice == choices[1]) + (1 - certain) * even
        assert counts[choice] / len(EVEN) == pytest.approx(expected, abs=1e-3)
        assert likelihoods(entry, prior, [choice])[0] == pytest.approx(expected / even)


def believing(**priors: Prior) -> Tree:
    """Two numbers from 0 to 1 and a branch that one more depends on, with these priors."""
    domains = {"x": Range("float", 0, 1), "y": Range("float", 0, 1), "branch": Choice(("a", "b"))}
    parameters = [Parameter(name, name, domain, {}, ()) for name, domain in domains.items()]
    parameters.append(Parameter("b.z", "b.z", Range("log", 1e-4, 1), {"branch": ("b",)}, ()))
    given = [replace(parameter, prior=priors.get(parameter.name)) for parameter in parameters]
    return Tree("small", "a small one", tuple(given), {})


def history(tree: Tree, trials: int, worth: Any, seed: int = 0) -> History:
    """So many random trials, ended with these scores; None: diverged."""
    rng, ended = np.random.default_rng(seed), list[FrozenTrial]()
    for number in range(trials):
        params = {"x": rng.random(), "y": rng.random(), "branch": "a"}
        score = worth(params) + 0.1 * rng.normal()
        ended.append(
            create_trial(
                state=TrialState.COMPLETE,
                value=score,
                params=params,
                distributions=tree.distributions(params),
            )
        )
        ended[-1].number = number
    return History(tree, ended, "max")


NEAR = Prior(0.7, "medium")


def test_a_prior_is_mostly_followed_at_first() -> None:
    assert shares(history(believing(x=NEAR), 0, None)) == {"x": pytest.approx(0.74, abs=0.01)}


@pytest.mark.parametrize("seed", range(3))
def test_the_share_falls_to_nothing_where_trials_near_the_centre_are_worse(seed: int) -> None:
    wrong = [
        shares(history(believing(x=NEAR), n, lambda p: abs(p["x"] - 0.7), seed))["x"] for n in (10, 25, 60)
    ]
    assert wrong[0] > wrong[1] > wrong[2]
    assert wrong[1] < 0.1
    assert wrong[2] < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_a_prior_that_is_right_loses_only_what_the_sampler_has_learnt(seed: int) -> None:
    tree = believing(x=NEAR)
    for trials, learnt in ((30, 0.5), (270, 0.1)):
        right = shares(history(tree, trials, lambda params: -abs(params["x"] - 0.7), seed))["x"]
        assert right == pytest.approx(learnt, rel=0.02)


def test_of_two_priors_only_the_wrong_one_is_forgotten() -> None:
    known = history(believing(x=NEAR, y=NEAR), 50, lambda p: abs(p["y"] - 0.7) - abs(p["x"] - 0.7))
    found = shares(known)
    assert found["x"] > 0.35
    assert found["y"] < 0.01


def test_a_prior_that_no_trial_could_show_right_or_wrong_stays_as_it_is() -> None:
    tree = believing(**{"b.z": Prior(0.01, "high")})
    assert shares(history(tree, 50, lambda params: params["x"])) == shares(history(tree, 0, None))


def test_diverged_trials_speak_against_the_prior_they_are_near_to() -> None:
    known = history(believing(x=NEAR), 40, lambda params: params["y"])
    trials = [
        create_trial(state=TrialState.PRUNED, params=trial.params, distributions=trial.distributions)
        if abs(trial.params["x"] - 0.7) < 0.2
        else trial
        for trial in known.trials
    ]
    for number, trial in enumerate(trials):
        trial.number = number
    assert shares(History(known.tree, trials, "max"))["x"] < 0.01 < shares(known)["x"]


def test_a_suggestion_takes_from_the_priors_together_and_the_rest_from_the_sampler() -> None:
    tree = believing(x=NEAR, branch=Prior("b", "high"))
    known = history(tree, 0, None)
    drawn = []
    for number in range(300):
        given = with_priors(lambda name, entry: f"own {name}", known, Turn(0, number))
        drawn.append({name: given(name, entry) for name, entry in known.space.items()})
    assert {entry["y"] for entry in drawn} == {"own y"}
    followed = [entry for entry in drawn if entry["x"] != "own x"]
    assert len(followed) / 300 == pytest.approx(0.74, abs=0.08)
    assert all((entry["branch"] == "own branch") == (entry["x"] == "own x") for entry in drawn)
    places = [entry["x"] for entry in followed]
    assert statistics.mean(places) == pytest.approx(cut_off(0.7, "medium").mean(), abs=0.03)
    assert statistics.stdev(places) == pytest.approx(cut_off(0.7, "medium").std(), abs=0.02)
    # Neither a suggestion in place of one that was refused, nor one without priors, is touched.
    given = followed.append
    assert with_priors(given, known, Turn(0, 0, draw=1)) is given
    assert with_priors(given, history(believing(), 0, None), Turn(0, 0)) is given


def lived(sampler: Sampler, trials: int, worth: Any) -> list[TrialRecord]:
    """So many trials of a search, one at a time, whose scores say what a trial is worth."""
    records = []
    for number in range(len(sampler.history.trials), trials):
        entry = TrialRecord(Trial(number, {}, sampler.ask(number), number, 9), started=0.0)
        score = worth(entry.trial.params)
        stopped = score < 0.5
        entry.history = [epoch(number, place, score) for place in range(1, 2 if stopped else 10)]
        entry.outcome = Outcome.STOPPED if stopped else Outcome.COMPLETE
        sampler.tell(entry)
        records.append(entry)
    return records


def off(params: dict[str, Any]) -> float:
    """How far a trial is from the best that there is, at x = y = 0.2 and z = 0.01."""
    z = abs(math.log10(params["b.z"]) + 2) / 4 if "b.z" in params else 0.3
    return (abs(params["x"] - 0.2) + abs(params["y"] - 0.2) + z) / 2


@pytest.mark.parametrize("name", ["tpe", "cmaes", "random"])
def test_a_search_with_priors_that_is_resumed_goes_on_as_if_it_had_not_stopped(name: str) -> None:
    tree = believing(x=Prior(0.2, "low"), **{"b.z": Prior(0.9, "medium")})
    whole = Sampler(tree, ACCURACY, seed=3, name=name)
    records = lived(whole, 30, lambda params: 1 - off(params))
    resumed = Sampler(tree, ACCURACY, seed=3, name=name)
    for entry in records:
        resumed.restore(entry)
        resumed.tell(entry)
    later = [lived(sampler, 35, lambda params: 1 - off(params)) for sampler in (whole, resumed)]
    assert [entry.trial for entry in later[0]] == [entry.trial for entry in later[1]]


def test_a_search_is_helped_by_right_priors_and_gets_over_wrong_ones() -> None:
    priors = {
        "without": {},
        "right": {"x": Prior(0.2, "medium"), "y": Prior(0.2, "medium"), "branch": Prior("b", "high")},
        "wrong": {"x": Prior(0.9, "medium"), "y": Prior(0.9, "medium"), "branch": Prior("a", "high")},
    }
    early, late = {}, {}
    for case, given in priors.items():
        found = [
            [
                off(entry.trial.params)
                for entry in lived(
                    Sampler(believing(**given), ACCURACY, seed=seed), 60, lambda params: 1 - off(params)
                )
            ]
            for seed in range(4)
        ]
        early[case] = statistics.mean(value for values in found for value in values[:10])
        late[case] = statistics.mean(value for values in found for value in values[-20:])
    assert early["right"] < 0.6 * early["without"] < early["without"] < early["wrong"]
    assert late["right"] < 1.1 * late["without"]
    assert late["wrong"] < 1.25 * late["without"]
