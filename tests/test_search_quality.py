"""The search benchmark measures what it says: simulator, regrets and tables, on objectives known by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import command
from benchmarks.quality.interface import Config, Job, Objective
from benchmarks.quality.objective_files import load_objective, load_tree
from benchmarks.quality.ours import SCORE, Ours
from benchmarks.quality.regret import interval, regret, speed_up, yardstick
from benchmarks.quality.simulator import History, Setting, simulate
from benchmarks.quality.tables import printed, regrets
from search.policy.asha import Decision
from search.policy.policy import make_policy
from spaces.faults import SpaceError

# Known and chosen, as in search.policy.sampler.
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SPACE = """
description: two families, one with a parameter of its own
parameters:
  family: {choice: [quick, slow]}
  depth: {int: [1, 3], when: {family: slow}}
  rate: {log: [1.0e-4, 1.0]}
"""
OWN = f"""
import numpy as np
SPACE = '''{SPACE}'''
MAX_EPOCHS = 4
def evaluate(config, seed):
    return np.full(4, config["rate"]), np.full(4, config["rate"]), 2.0
"""


def evaluate(config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """A slow network scores more for each layer; a rate over 0.5 diverges after its first epoch."""
    height = 0.5 if config["family"] == "quick" else 0.5 + 0.1 * config["depth"]
    noiseless = height * (1 - 0.5 ** np.arange(1, 10))
    if config["rate"] > 0.5:
        noiseless[1:] = np.nan
    noise = np.random.default_rng([seed]).normal(0, 0.01, 9)
    return noiseless + noise, noiseless, 1.0 if config["family"] == "quick" else 10.0


OBJECTIVE = Objective("toy", load_tree(SPACE, "toy"), 9, evaluate)
QUICK, SLOW = {"family": "quick", "rate": 0.1}, {"family": "slow", "depth": 3, "rate": 0.1}


class Scripted:
    """Asks for what it is told to, and goes on as long as it is told to."""

    def __init__(self, jobs: list[Job | None], stop_at: dict[int, int] | None = None) -> None:
        self.jobs, self.stop_at = jobs, stop_at or {}
        self.heard: list[tuple[int, int]] = []

    def ask(self) -> Job | None:
        return self.jobs.pop(0) if self.jobs else None

    def report(self, trial: int, epoch: int, score: float) -> bool:
        self.heard.append((trial, epoch))
        return self.stop_at.get(trial) != epoch


def test_epochs_end_when_their_seconds_and_a_start_have_passed() -> None:
    method = Scripted([Job(0, QUICK, 3), Job(1, SLOW, 2)])
    history = simulate(OBJECTIVE, method, Setting(workers=2, startup_s=2.0, time_s=100), seed=0)
    assert list(zip(history.times_s, history.trials, strict=True)) == [
        (3.0, 0),
        (4.0, 0),
        (5.0, 0),
        (12.0, 1),
        (22.0, 1),
    ]


def test_a_trial_goes_on_where_it_was_and_pays_for_another_start() -> None:
    method = Scripted([Job(0, QUICK, 2), Job(0, QUICK, 3)])
    history = simulate(OBJECTIVE, method, Setting(workers=1, startup_s=2.0, time_s=100), seed=0)
    assert history.times_s == [3.0, 4.0, 7.0]
    assert history.noiseless == evaluate(QUICK, 0)[1][:3].tolist()
    assert history.started == 1


def test_a_worker_that_gets_nothing_asks_again_when_another_has_reported() -> None:
    method = Scripted([Job(0, QUICK, 1), None, Job(1, QUICK, 1)])
    history = simulate(OBJECTIVE, method, Setting(workers=2, startup_s=0.0, time_s=100), seed=0)
    assert history.times_s == [1.0, 2.0]


def test_what_ends_after_the_time_is_over_does_not_count() -> None:
    method = Scripted([Job(0, SLOW, 9)])
    history = simulate(OBJECTIVE, method, Setting(workers=1, startup_s=0.0, time_s=35), seed=0)
    assert history.times_s == [10.0, 20.0, 30.0]


def test_a_stop_and_a_divergence_free_the_worker() -> None:
    diverging = {"family": "quick", "rate": 0.9}
    method = Scripted([Job(0, QUICK, 9), Job(1, diverging, 9), Job(2, QUICK, 1)], stop_at={0: 2})
    history = simulate(OBJECTIVE, method, Setting(workers=1, startup_s=0.0, time_s=100), seed=0)
    assert method.heard == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)]
    assert np.isnan(history.observed[3])


def test_a_job_that_ends_before_its_trial_stands_is_refused() -> None:
    method = Scripted([Job(0, QUICK, 3), Job(0, QUICK, 3)])
    with pytest.raises(ValueError, match="has had 3 epochs"):
        simulate(OBJECTIVE, method, Setting(workers=1, startup_s=0.0, time_s=100), seed=0)


def test_the_incumbent_is_chosen_by_what_was_seen_and_judged_without_noise() -> None:
    history = History(
        times_s=[1.0, 2.0, 3.0, 4.0],
        trials=[0, 1, 0, 2],
        observed=[0.6, 0.7, 0.5, float("nan")],
        noiseless=[0.55, 0.52, 0.58, float("nan")],
    )
    found = history.incumbent(np.array([0.5, 1.0, 2.5, 4.0]))
    assert np.isnan(found[0])
    assert found[1:].tolist() == [0.55, 0.52, 0.52]


def test_a_trial_counts_with_its_latest_score() -> None:
    history = History([1.0, 2.0, 3.0], [0, 1, 1], [0.6, 0.9, 0.3], [0.6, 0.9, 0.3])
    assert history.incumbent(np.array([2.0, 3.0])).tolist() == [0.9, 0.6]


def test_the_yardstick_is_the_best_and_the_median_of_random_configurations() -> None:
    measured = yardstick(OBJECTIVE)
    assert measured.best == pytest.approx(0.8 * (1 - 0.5**9))
    # Half of them are quick, and of both families some diverge, which counts as the worst.
    assert measured.typical == pytest.approx(0.5 * (1 - 0.5**9))
    diverge = np.log(0.5) / np.log(1e-4)
    assert measured.full_s == pytest.approx(5.5 * (9 - 7 * diverge), rel=0.1)


def test_regret_is_none_at_the_best_and_one_without_a_model() -> None:
    lost = regret(np.array([0.9, 0.7, 0.5, 0.1, np.nan]), typical=0.5, best=0.9)
    np.testing.assert_allclose(lost, [0.0, 0.5, 1.0, 1.0, 1.0])


def test_intervals_cover_the_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for number in range(200):
        low, high = interval(rng.normal(0.3, 1.0, 30), seed=number)
        covered += low <= 0.3 <= high
    assert 0.90 <= covered / 200 <= 0.98


def test_the_speed_up_is_the_share_of_time_that_the_peers_end_takes_us() -> None:
    times = np.arange(1, 101) / 100
    peer = np.tile(1 - 0.5 * times, (6, 1))
    share, low, high = speed_up(np.tile(np.maximum(1 - 2 * times, 0), (6, 1)), peer)
    assert (share, low, high) == (0.25, 0.25, 0.25)
    assert speed_up(np.ones((6, 100)), peer) == (np.inf, np.inf, np.inf)


def run(method: str, seed: int, incumbent: list[float], best: float = 0.8) -> dict[str, Any]:
    measured = {"typical": 0.5, "best": best, "full_s": 10.0}
    return {
        "objective": "toy",
        "method": method,
        "seed": seed,
        "yardstick": measured,
        "best_seen": max(incumbent),
        "incumbent": incumbent,
        "trials": 10,
        "method_s": 0.5,
    }


def test_the_best_known_is_that_of_all_methods_on_a_seed() -> None:
    found = regrets([run("ours", 1, [0.7, 0.9]), run("peer", 1, [0.5, 0.8]), run("ours", 2, [0.65, 0.8])])
    np.testing.assert_allclose(found["ours"][1], [0.5, 0.0])
    np.testing.assert_allclose(found["peer"][1], [1.0, 0.25])
    np.testing.assert_allclose(found["ours"][2], [0.5, 0.0])


def test_tables_compare_only_runs_that_both_have() -> None:
    ours = [run("ours", seed, [0.8] * 100) for seed in (1, 2, 3)]
    text = printed([*ours, run("peer", 2, [0.65] * 100)])
    assert "| ours | 3 | 0.000 [0.000, 0.000] |" in text
    assert "| peer | 1 | -0.500 [-0.500, -0.500] |" in text
    assert text.rstrip().endswith("0.01 [0.01, 0.01] |")


def test_the_plot_shows_each_method_of_each_objective(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the bench extra")
    from benchmarks.quality.plot import draw

    runs = [run(name, seed, [0.5, 0.7]) for name in ("ours", "other") for seed in (0, 1)]
    draw(runs, tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    for said in ("ours", "other", runs[0]["objective"]):
        assert f"<!-- {said} -->" in drawn
    draw(runs, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == drawn


def test_an_objective_of_ones_own_is_a_file_with_three_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        f'SPACE = """{SPACE}"""\n'
        "MAX_EPOCHS = 4\n"
        "def evaluate(config, seed):\n"
        '    return np.full(4, config["rate"]), np.full(4, config["rate"]), 2.0\n'
    )
    objective = load_objective(file)
    history = simulate(objective, Ours(objective, seed=0, workers=2), Setting(2, 0.0, 40), seed=0)
    assert objective.name == "mine"
    assert history.times_s[-1] == 40.0


def test_runs_of_a_file_that_has_changed_are_run_again_and_reused_ones_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "mine.py", tmp_path / "out.json"
    asked = ["search_quality.py", "--objective", str(file), "--methods", "random", "--seeds", "0-1"]
    monkeypatch.setattr("sys.argv", [*asked, "--time-s", "20", "--out", str(out)])
    for written, reused in ((OWN, False), (OWN, True), (OWN.replace("2.0", "4.0"), False)):
        file.write_text(written)
        command.main("")
        said = capsys.readouterr().out
        assert (f"2 of 2 runs are in {out} already." in said) == reused
    assert len(json.loads(out.read_text())) == 4


def test_an_objective_that_is_not_there_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["search_quality.py", "--objective", "cruves"])
    with pytest.raises(SystemExit):
        command.main("")
    assert "--objective cruves: neither a file nor one of finetuning, curves" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "file", "said"),
    [
        (["--workers", "0"], OWN, "--workers must be at least 1"),
        (["--startup-s", "-1"], OWN, "--startup-s at least 0"),
        (["--time-s", "0"], OWN, "--time-s over 0"),
        (["--seeds", "abc"], OWN, "--seeds: must be how many, such as 20, or FIRST-LAST, such as 0-9: abc"),
        (["--seeds", "9-0"], OWN, "--seeds: must be how many"),
        (
            [],
            OWN.replace("SPACE =", "SPACES ="),
            "mine.py lacks SPACE; it needs SPACE, MAX_EPOCHS and evaluate",
        ),
        ([], OWN.replace("= 4", "= 0"), "MAX_EPOCHS must be an integer from 1 on; it is 0"),
        ([], OWN.replace("parameters", "params"), "the space of mine must have `parameters`"),
        (
            [],
            OWN.replace("full(4", "full(3"),
            "two arrays of MAX_EPOCHS = 4 scores and the seconds of an epoch",
        ),
        ([], OWN.replace("full(4", "full(3"), "for a random configuration observed has the shape (3,)"),
        ([], OWN.replace(", 2.0", ""), "it returned tuple, not three things"),
        ([], OWN.replace(", 2.0", ", -1.0"), "epoch_s is -1.0, not a number over 0"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    file: str,
    said: str,
) -> None:
    (tmp_path / "mine.py").write_text(file)
    out = tmp_path / "out" / "runs.json"
    given = ["--objective", str(tmp_path / "mine.py"), "--out", str(out), *options]
    monkeypatch.setattr("sys.argv", ["search_quality.py", *given])
    with pytest.raises(SystemExit):
        command.main("")
    assert said in capsys.readouterr().err
    assert not out.parent.exists()


def test_a_space_may_be_given_as_a_mapping_with_any_names() -> None:
    tree = load_tree({"parameters": {"x1": {"float": [0, 1]}, "x2": {"float": [0, 1]}}}, "mine")
    assert tree.drawn({"x1": 0.25, "x2": 0.5}) == {"x1": 0.25, "x2": 0.5}


def test_what_is_wrong_with_a_space_is_told_at_once() -> None:
    faulty = {"parameters": {"x": {"float": [1, 0]}, "y": {"int": [0, 1], "when": {"z": 1}}}}
    with pytest.raises(SpaceError, match="2 faults"):
        load_tree(faulty, "mine")


def test_ours_decides_as_the_rule_that_a_search_drives() -> None:
    """Whatever it is shown, it tries and stops what the product's own policy does."""
    method, rng = Ours(OBJECTIVE, seed=0, workers=2), np.random.default_rng(0)
    policy = make_policy(
        OBJECTIVE.space,
        SCORE,
        name="forecast",
        seed=0,
        max_passes=9,
        cost=lambda params: OBJECTIVE.evaluate(OBJECTIVE.space.drawn(params), 0)[2],
    )
    for _ in range(40):
        job = method.ask()
        assert policy.sampler.ask(job.trial) == job.params
        for epoch in range(1, 10):
            score = float(rng.random())
            policy.rule.enter(job.trial, epoch, score)
            stops = policy.rule.decide(job.trial) is Decision.STOP
            goes_on = method.report(job.trial, epoch, score)
            assert goes_on == (not stops and epoch < 9)
            if not goes_on:
                break
