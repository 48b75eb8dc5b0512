"""The peers of the search benchmark: each drives a toy objective to its end by its own decisions."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import peers
from benchmarks.quality.interface import Config, Job, Method, Objective
from benchmarks.quality.objective_files import load_tree
from benchmarks.quality.peers import PEERS
from benchmarks.quality.peers.continued import Continued, Request
from benchmarks.quality.peers.plain import params, plain, varied
from benchmarks.quality.random_params import random_params
from benchmarks.quality.simulator import History, Setting, simulate
from spaces.domains import Choice, Range

EPOCHS = 27
NEEDS = {
    "random": "numpy",
    "random+asha": "ray.tune",
    "optuna+asha": "ray.tune",
    "optuna-tpe+hyperband": "optuna",
    "syne-asha": "syne_tune",
    "syne-bohb": "syne_tune",
    "neps-asha": "neps",
    "neps-async-hb": "neps",
    "neps-priorband": "neps",
    "smac-mf": "smac",
}
STOPPING = [name for name in NEEDS if name != "random"]
PROMOTING = ["neps-asha", "neps-async-hb", "neps-priorband", "smac-mf"]
SPACE = """
description: a cheap and a dear family, one with a width, each with its own learning rate
parameters:
  family: {choice: [cheap, dear]}
  width: {int: [8, 64], step: 8, when: {family: dear}}
  depth: {int: [1, 4]}
  lr:
    - {log: [1.0e-4, 1.0e-1], when: {family: cheap}}
    - {log: [1.0e-5, 1.0e-2], when: {family: dear}}
  smooth: {choice: [null, true, 0.5]}
  drop: {float: [0.0, 0.5]}
"""


def evaluate(config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Curves towards a level that a good learning rate and width raise; large rates diverge."""
    rng = np.random.default_rng(seed)
    dear = config["family"] == "dear"
    off = abs(math.log10(config["lr"]) + (3.5 if dear else 2.5))
    level = (0.7 + config["width"] / 320 if dear else 0.8) - 0.15 * off - 0.2 * config["drop"]
    noiseless = level * (1 - np.exp(-np.arange(1, EPOCHS + 1) / (6 if dear else 2)))
    if config["lr"] > (1e-3 if dear else 1e-2):
        noiseless[rng.integers(0, EPOCHS) // 3 :] = np.nan
    return noiseless + rng.normal(0, 0.01, EPOCHS), noiseless, 10.0 if dear else 1.0


def toy() -> Objective:
    return Objective("toy", load_tree(SPACE, "toy"), EPOCHS, evaluate)


class Watched:
    """A method whose jobs are kept."""

    def __init__(self, method: Method) -> None:
        self.method, self.jobs = method, []

    def ask(self) -> Job | None:
        job = self.method.ask()
        self.jobs.append(job)
        return job

    def report(self, trial: int, epoch: int, score: float) -> bool:
        return self.method.report(trial, epoch, score)


def searched(name: str, seed: int) -> tuple[History, list[Job]]:
    objective = toy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's own affairs
        method = Watched(PEERS[name](objective, seed=seed, workers=4))
        history = simulate(objective, method, Setting(4, 1.0, 250.0), seed=seed)
    return history, method.jobs


@cache
def once(name: str) -> tuple[History, list[Job]]:
    """A search that several tests look at."""
    pytest.importorskip(NEEDS[name])
    return searched(name, 3)


def test_every_peer_is_tested() -> None:
    assert list(PEERS) == list(NEEDS)


@pytest.mark.parametrize("name", NEEDS)
def test_a_peer_searches_to_the_end_of_the_time_and_repeats_itself_with_its_seed(name: str) -> None:
    history = once(name)[0]
    again, other = searched(name, 3)[0], searched(name, 4)[0]
    assert history.started > 4
    assert history.times_s[-1] > 200  # it did not run out of trials, nor stand still
    assert any(map(math.isnan, history.observed)), "the toy must diverge now and then"
    assert (history.times_s, history.trials) == (again.times_s, again.trials)
    np.testing.assert_array_equal(history.observed, again.observed)
    assert history.observed != other.observed


@pytest.mark.parametrize("name", STOPPING)
def test_a_multi_fidelity_peer_gives_some_trials_few_epochs_and_some_many(name: str) -> None:
    lengths = Counter(once(name)[0].trials).values()
    assert max(lengths) > EPOCHS / 3
    share = sum(length < EPOCHS / 2 for length in lengths) / len(lengths)
    # NePS promotes a third of what its asynchronous brackets have not promoted yet, so nearly all in time.
    assert share > (0.3 if name in ("neps-asha", "neps-async-hb") else 0.5)


@pytest.mark.parametrize("name", PROMOTING)
def test_a_promoting_peer_pauses_a_trial_at_a_rung_and_goes_on_with_it_later(name: str) -> None:
    jobs = once(name)[1]
    assert {job.until_epoch for job in jobs} <= {1, 3, 9, 27}
    assert max(Counter(job.trial for job in jobs).values()) >= 2


def test_rays_asha_lets_ties_pass_as_it_comes() -> None:
    pytest.importorskip("ray.tune")
    method = PEERS["random+asha"](toy(), seed=0, workers=4)
    trials = [method.ask().trial for _ in range(20)]
    assert all(method.report(trial, 1, 0.1) for trial in trials)


def test_rays_optuna_search_tells_a_stopped_trial_as_complete_and_never_a_diverged_one() -> None:
    pytest.importorskip("ray.tune")
    method: Any = PEERS["optuna+asha"](toy(), seed=0, workers=4)
    good, weak, diverged = (method.ask().trial for _ in range(3))
    assert method.report(good, 1, 0.9)
    assert not method.report(weak, 1, 0.1)
    assert method.report(diverged, 1, math.nan)
    states = [(trial.state.name, trial.value) for trial in method._searcher._ot_study.trials]
    assert states == [("RUNNING", None), ("COMPLETE", 0.1), ("RUNNING", None)]


def test_smac_is_told_which_parameters_are_active() -> None:
    pytest.importorskip("smac")
    from benchmarks.quality.peers.smac_multi_fidelity import _space

    space = _space(toy().space)
    for config in space.sample_configuration(50):
        assert ("width" in config) == (config["family"] == 1) == ("lr@2" in config)


def test_steps_and_places_come_back_as_values() -> None:
    tree = toy().space
    given = {"family": 1, "width": 7, "depth": 4, "lr@2": 1e-2 * (1 + 1e-12), "smooth": 0, "drop": 0.25}
    found = params(tree, lambda name, entry: given[name])
    assert found == {"family": "dear", "width": 64, "depth": 4, "lr@2": 1e-2, "smooth": None, "drop": 0.25}
    assert list(map(type, found.values())) == [str, int, int, float, type(None), float]
    assert tree.drawn(found)["lr"] == 1e-2


@pytest.mark.parametrize(
    ("domain", "places"),
    [
        (Range("int", 1, 10, 4), 3),  # 1, 5, 9
        (Range("float", 0.0, 0.3, 0.1), 4),  # though 0.3 / 0.1 is just below 3
        (Choice(("a",)), 1),
    ],
)
def test_steps_are_counted(domain: Range | Choice, places: int) -> None:
    assert plain(domain).high + 1 == places


def test_a_parameter_with_one_value_is_no_business_of_a_library() -> None:
    tree = load_tree({"parameters": {"one": {"choice": ["a"]}, "two": {"choice": ["a", "b"]}}}, "toy")
    assert list(varied(tree)) == ["two"]


def test_random_configurations_are_even_on_their_own_scale() -> None:
    tree, rng = toy().space, np.random.default_rng(0)
    drawn = [random_params(tree, rng) for _ in range(2000)]
    rates = np.log10([one["lr@1"] for one in drawn if "lr@1" in one])
    assert np.histogram(rates, bins=3, range=(-4, -1))[0] / len(rates) == pytest.approx([1 / 3] * 3, abs=0.05)
    assert {one["width"] for one in drawn if "width" in one} == set(range(8, 65, 8))


class Scripted(Continued):
    """Asks for what it is given, and remembers what it is told."""

    def __init__(self, *requests: tuple[str, int]) -> None:
        super().__init__()
        self.requests, self.told = list(requests), []

    def request(self) -> Request:
        name, until_epoch = self.requests.pop(0)
        return Request(name, {}, until_epoch, None)

    def tell(self, request: Request, score: float) -> None:
        self.told.append((request.configuration, request.until_epoch, score))


def test_a_configuration_asked_for_again_goes_on() -> None:
    method = Scripted(("a", 1), ("a", 3))
    assert method.ask() == Job(0, {}, 1)
    method.report(0, 1, 0.5)
    assert method.ask() == Job(0, {}, 3)


def test_what_is_known_is_told_without_training() -> None:
    method = Scripted(("a", 2), ("a", 1), ("b", 1))
    method.ask()
    method.report(0, 1, 0.5)
    method.report(0, 2, 0.6)
    assert method.ask() == Job(1, {}, 1)
    assert method.told == [("a", 2, 0.6), ("a", 1, 0.5)]


def test_a_configuration_that_still_trains_is_trained_anew() -> None:
    method = Scripted(("a", 1), ("a", 3))
    assert [method.ask(), method.ask()] == [Job(0, {}, 1), Job(1, {}, 3)]


def test_a_diverged_configuration_is_not_trained_on() -> None:
    method = Scripted(("a", 3), ("a", 9), ("b", 1))
    method.ask()
    method.report(0, 1, math.nan)
    assert method.ask() == Job(1, {}, 1)
    assert [(name, until_epoch) for name, until_epoch, _ in method.told] == [("a", 3), ("a", 9)]


def test_a_missing_library_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'neps'", name="neps")

    monkeypatch.setattr(peers, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"needs neps.*bench"):
        PEERS["neps-asha"](toy(), seed=0, workers=1)
