"""How a search went about it, as its page tells: what the folder has noted, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from search.policy.sampler_names import SAMPLERS
from search.report import facts
from search.report.page import page_text
from search.results import view
from search.settings.allowance import Allowance, EndedBy
from search.settings.settings import Settings
from search.storage.folder import State
from search.trials.trials import Trial
from spaces.space_files import load_space
from tests.simulated import search_folder
from tests.synthetic import HOSTILE, synthetic_search, synthetic_view

ENVIRONMENT = {
    "python": "3.12.1",
    "system": "Linux",
    "packages": {"torch": "2.12", "ray": "2.60", "numpy": "2.0"},
    "cpus": 1,
    "gpus": ["H200", "H200"],
    "git_commit": "0123456789abcdef",
    "git_changes": True,
}


def lines(**changes: object) -> dict[str, list[str]]:
    """What is told, by what it is about."""
    found: dict[str, list[str]] = {}
    for about, words in facts.method(synthetic_view(**changes)):
        found.setdefault(about, []).append(words)
    return found


def test_the_settings_are_told_as_they_were_given() -> None:
    settings = Settings(
        name="mine",
        space="scratch",
        sampler="tpe",
        audit=0.1,
        max_epochs=100,
        cost_model="static",
        seed=7,
        concurrency=4,
        workers_per_trial=2,
        max_params=25_000_000,
        max_latency_ms=20.0,
        rematch=2,
        prefer="latency",
        cache_dir="cache",
    )
    allowance = Allowance(trials=40, time_s=3600.0)
    found = lines(settings=settings.model_dump(), limits=allowance.limits, ended_by=EndedBy.TIME)
    assert found == {
        "suggested by": [f"tpe: {SAMPLERS['tpe']}"],
        "stopped at": [
            "1, 3, 10 and 32 of 100 epochs: one in 3 goes on, and what is expected to end among the best"
        ],
        "controls": ["10% of what would be stopped runs on all the same"],
        "ranked by": ["validation accuracy"],
        "costs foreseen": ["by the multiply-adds of each network"],
        "budget": ["40 trials, 1 h; ended by --time"],
        "networks up to": ["25M parameters, 20 ms a picture"],
        "rematch": ["best 2, 3 seeds each; among the tied, latency decides"],
        "trials at a time": ["4, 2 workers each"],
        "seed": ["7"],
    }


def test_what_it_knew_before_its_first_trial_is_told_without_names_that_only_the_program_has(
    tmp_path: Path,
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "description: two ranges of one path\n"
        "parameters:\n"
        "  model.name: {choice: [plain_cnn, vgg4_cnn]}\n"
        "  optim.lr:\n"
        "    - log: [0.001, 0.01]\n"
        "      when: {model.name: plain_cnn}\n"
        "      prior: {centre: 0.002, confidence: high}\n"
        "    - {log: [0.0001, 0.001], when: {model.name: vgg4_cnn}}\n"
        "  augment.strength: {float: [0, 1], prior: {centre: 0.5, confidence: low}}\n"
    )
    records = synthetic_search(4)
    records[1].trial = Trial(**{**vars(records[1].trial), "source": "default"})
    found = lines(
        records=records,
        space=load_space(str(path)).to_dict(),
        starts=["default", "own.yaml"],
        formers=[{"source": "results/OLD", "params": {"0": {}, "2": {}}, "of": 9}],
    )
    assert found["prior"] == [
        "optim.lr around 0.002 (high), where model.name is plain_cnn",
        "augment.strength around 0.5 (low)",
    ]
    assert found["given recipes"] == ["default (trial 1), own.yaml (not tried)"]
    assert found["warm start"] == ["results/OLD: 2 of its 9 trials count here"]


def test_the_machine_is_told() -> None:
    found = lines(environment=ENVIRONMENT)
    assert found["driven on"] == ["1 CPU, 2 x H200, Linux"]
    assert found["versions"] == ["Python 3.12.1, torch 2.12, ray 2.60"]
    assert found["code"] == ["0123456789, with changes"]
    bare = lines(environment=ENVIRONMENT | {"gpus": [], "git_commit": None})
    assert bare["driven on"] == ["1 CPU, no GPU, Linux"]
    assert "code" not in bare


def test_of_a_recipe_trained_alone_only_what_applies_is_told() -> None:
    told = lines(settings={"space": None, "sampler": "forecast", "seed": 3}, environment=ENVIRONMENT)
    assert set(told) == {"seed", "driven on", "versions", "code"}


def test_a_folder_gives_all_of_it_to_its_page(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "mine", trials=3)
    stored = folder.read_json(folder.settings_file) | {
        "space": {
            "parameters": {"optim.lr": {"log": [0.1, 1], "prior": {"centre": 0.3, "confidence": "low"}}}
        },
        "starts": [{"source": HOSTILE}],
    }
    folder.write_json(folder.settings_file, stored)
    folder.write_json(folder.former_file, [{"source": "old", "params": {"1": {}}, "of": 1}])
    folder.write_json(folder.environment_file, ENVIRONMENT)
    found = view(folder, State.RUNNING)
    told = dict(facts.method(found))
    assert told["prior"] == "optim.lr around 0.3 (low)"
    assert told["warm start"] == "old: 1 of its 1 trial count here"
    assert told["given recipes"] == f"{HOSTILE} (not tried)"
    assert told["driven on"].startswith("1 CPU")
    page = page_text(found, facts.ranked_table(found))
    assert "optim.lr around 0.3 (low)" in page
    assert HOSTILE not in page


@pytest.mark.parametrize(
    ("ranges", "log"),
    [
        ({"log": [0.001, 0.01]}, True),
        ([{"float": [0, 1]}, {"log": [0.001, 0.01]}], True),
        ({"float": [0.0001, 0.1]}, False),
    ],
)
def test_a_setting_is_on_the_scale_that_the_space_draws_it_on(ranges: object, log: bool) -> None:
    records = synthetic_search(40)
    for place, record in enumerate(records):
        rate = 0.001 * (1.05**place)  # spans a factor of 7 alone
        params = {"model.name": "plain_cnn", "optim.lr": rate}
        record.trial = Trial(**{**vars(record.trial), "params": params})
    known = synthetic_view(records, space={"parameters": {"optim.lr": ranges}})
    (setting,) = (one for one in facts.settings_against_score(known) if one.path == "optim.lr")
    assert setting.numeric
    assert setting.log == log
    unknown = facts.settings_against_score(replace(known, space={}))
    assert not next(one for one in unknown if one.path == "optim.lr").log
