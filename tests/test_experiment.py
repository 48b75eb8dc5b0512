"""How a search starts and goes on: what is refused, what a cluster is divided into."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from search import experiment
from search.costs.networks import Networks
from search.engine.budget import Budget
from search.experiment import resume, start
from search.live_page import LivePage
from search.planning.changes import refuse_changed_settings, refuse_changes
from search.planning.plan import Plan
from search.policy import sampler
from search.rematch import play as playing
from search.rematch.runs import Rematch
from search.results import view
from search.settings.settings import Settings
from search.storage.folder import FolderError, SearchFolder, State
from search.trials.records import RecordFile
from search.trials.trials import Outcome, Start
from search.tune.cluster import Cluster, ClusterError
from search.tune.connection import Connection
from search.tune.driver import Venue
from search.tune.nodes import Node
from search.tune.resources import Resources, share
from spaces.space import Space
from spaces.space_files import load_space, space_names
from tests.simulated import SPACE, epoch, space, trial
from trainables.data import Prepared
from trainables.workplace import Slot

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def settings(**changes: Any) -> Settings:
    return Settings(**{"name": "mine", "space": "space.yaml", "cache_dir": "cache", **changes})


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    split = pd.DataFrame(
        [(f"{name}/{place}.png", name, f"{name}{place}", "train") for name in "ab" for place in range(5)],
        columns=["file", "class", "group", "part"],
    )
    report = {"fingerprint": "abc", "layout": "one folder a class"}
    searched = space(tmp_path)
    return Plan(
        settings(),
        searched,
        searched,
        tmp_path / "pictures",
        Prepared(split, ["a", "b"], report),
        (),
        Networks(None, None, classes=2, device=torch.device("cpu")),
        over_limits=(),
        starts=(Start("own.yaml", trial(0).recipe, 12, {}),),
        left_out={},
        weights={"/weights/a.pth": "0" * 64},
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def without_ray(monkeypatch: pytest.MonkeyPatch, *, finds: ClusterError | None = None) -> None:
    """A cluster that is not there, or one that is left before the first trial."""

    def cluster(connection: Connection) -> Cluster:
        if finds:
            raise finds
        return Cluster("no Ray at all", (Node(2),))

    monkeypatch.setattr(Connection, "__init__", lambda connection, settings: None)
    monkeypatch.setattr(Connection, "cluster", cluster)
    monkeypatch.setattr(Connection, "close", lambda connection: None)
    monkeypatch.setattr(experiment, "run", lambda *arguments, **options: None)
    monkeypatch.setattr(experiment, "carried", lambda weights, *, joined: {})


def trials_of(folder: SearchFolder, number: int, file: RecordFile | None = None) -> None:
    file = file or RecordFile(folder.records_file)
    file.session()
    for place in range(number):
        file.trial(trial(place))
        file.epoch(epoch(place, 1))
        file.end(place, Outcome.STOPPED)
    file.close()


def test_a_search_that_ray_has_no_room_for_leaves_its_name_free(
    plan: Plan, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ray(monkeypatch, finds=ClusterError("no Ray cluster answers"))
    with pytest.raises(ClusterError, match="no Ray cluster answers"):
        start(plan, results=results)
    assert list(results.iterdir()) == []

    greedy = replace(plan, settings=settings(cpus_per_trial=3))
    without_ray(monkeypatch)
    with pytest.raises(ClusterError, match=r"a trial asks for 1 worker of 3 CPUs"):
        start(greedy, results=results)
    assert list(results.iterdir()) == []


def test_a_search_that_ray_has_no_room_for_now_stays_as_it_was(
    plan: Plan, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ray(monkeypatch)
    finished = start(plan, results=results)
    assert finished.state is State.INTERRUPTED
    before = {path: path.read_bytes() for path in finished.folder.iterdir() if path.name != "driver.log"}

    without_ray(monkeypatch, finds=ClusterError("no Ray cluster answers"))
    with pytest.raises(ClusterError):
        resume(replace(plan, settings=settings(trials=40)), results=results)
    assert {path: path.read_bytes() for path in before} == before
    assert SearchFolder(finished.folder).state is State.INTERRUPTED


def test_what_is_written_before_the_first_trial_is_enough_to_go_on_from(
    plan: Plan, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ray(monkeypatch)
    first = start(plan, results=results)
    folder = SearchFolder.open(first.folder)
    assert folder.settings() == plan.settings
    assert load_space(folder.space_file).to_dict() == plan.space.to_dict()
    assert json.loads(folder.environment_file.read_text())["packages"]["ray"]
    assert folder.split_file.exists()
    assert resume(replace(plan, settings=settings(trials=20)), results=results).state is State.INTERRUPTED
    assert folder.settings().trials == 20
    assert len(folder.records().sessions) == 2


def test_a_search_that_finds_nothing_more_within_its_limits_ends_with_results(
    plan: Plan, results: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    limited = replace(
        plan,
        settings=settings(max_params=1),
        networks=Networks(1, None, classes=2, device=torch.device("cpu")),
        starts=(),
        offered=replace(plan.offered, name="mine [/b]"),
    )
    without_ray(monkeypatch)
    monkeypatch.setattr(experiment, "run", lambda engine, *arguments, **options: engine.ask())
    monkeypatch.setattr(sampler, "MOST_DRAWS", 20)
    finished = start(limited, results=results)
    assert finished.state is State.FINISHED
    assert (finished.folder / "leaderboard.html").exists()
    said = " ".join(capfd.readouterr().out.split())
    assert "The search ends with 0 of 16 trials: none of 20 recipes drawn for trial 0" in said
    assert "from space mine [/b] is within the limits." in said
    assert "python -m search.run --name mine --resume, with a higher --max-params" in said


def test_the_page_follows_a_rematch_that_goes_on_where_the_search_has_nothing_left_to_do(
    plan: Plan, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after Ctrl-C in the rematch."""
    short = replace(plan, settings=settings(trials=3, max_epochs=1, rematch=2), starts=())
    without_ray(monkeypatch)
    folder = SearchFolder(start(short, results=results).folder)
    trials_of(folder, 3)
    ticks: list[str] = []

    def cut_off(rematch: Rematch, venue: Venue, *, tick: Callable[[], None]) -> None:
        assert rematch.ask() is not None
        tick()

    monkeypatch.setattr(playing, "run", cut_off)
    monkeypatch.setattr(LivePage, "tick", lambda page: ticks.append("page"))
    assert resume(short, results=results).state is State.INTERRUPTED
    assert ticks == ["page"]
    assert [run.trial.source for run in view(folder, State.INTERRUPTED).rematch_runs] == ["0"]
    # A contender that there is no time for any more is not shown as if it went on.
    monkeypatch.setattr(Budget, "has_room", lambda budget, runs: len(runs) <= 3)
    others = replace(plan, settings=settings(trials=3, max_epochs=1, rematch=3), starts=())
    file = RecordFile(folder.rematch_records_file)
    file.trial(replace(trial(1), origin="rematch", source="2"))
    file.close()
    assert resume(others, results=results).state is State.INTERRUPTED
    assert {run.trial.source for run in view(folder, State.INTERRUPTED).rematch_runs} == {"0"}


def test_a_folder_that_is_in_use_is_not_resumed(
    plan: Plan, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ray(monkeypatch)
    folder = SearchFolder(start(plan, results=results).folder)
    with folder.held(), pytest.raises(FolderError, match="another process is running this search"):
        resume(plan, results=results)


@pytest.fixture
def folder(plan: Plan, results: Path) -> SearchFolder:
    """A search with three trials."""
    folder = SearchFolder.create(results / plan.settings.name)
    experiment._write_plan(folder, plan)
    trials_of(folder, 3)
    return folder


def test_the_same_plan_can_go_on(folder: SearchFolder, plan: Plan) -> None:
    refuse_changes(folder, plan)


@pytest.mark.parametrize(
    "changes",
    [
        {"trials": 3},
        {"trials": 99},
        {"concurrency": 2},
        {"workers_per_trial": 2},
        {"cpus_per_trial": 2},
        {"timeout_min": 1.0},
        {"ray": "local"},
        {"cache_dir": "elsewhere"},
        {"data": "the/same/pictures/elsewhere"},
    ],
)
def test_what_decides_on_no_trial_may_change(folder: SearchFolder, plan: Plan, changes: Any) -> None:
    refuse_changes(folder, replace(plan, settings=settings(**changes)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_epochs": 9}, "max_epochs was 12 and is 9"),
        ({"metric": "val_loss"}, "metric was 'val_accuracy' and is 'val_loss'"),
        ({"seed": 4}, "seed was 0 and is 4"),
        ({"reduction": 4}, "reduction was 3 and is 4"),
        ({"classes": ("a", "b")}, r"classes was None and is \('a', 'b'\)"),
        ({"min_per_class": 5}, "min_per_class was 10 and is 5"),
        ({"imports": ("odd",)}, r"imports was \(\) and is \('odd',\)"),
        ({"max_params": 10**6}, "--max-params is lower than it was, and trials may be over it"),
        ({"max_latency_ms": 2.5}, "--max-latency-ms is lower than it was, and trials may be over it"),
    ],
)
def test_a_setting_that_matters_may_not_change(
    folder: SearchFolder, plan: Plan, changes: Any, said: str
) -> None:
    other = settings(**changes)
    for refused in (
        lambda: refuse_changed_settings(folder, other),
        lambda: refuse_changes(folder, replace(plan, settings=other)),
    ):
        with pytest.raises(FolderError, match=rf"cannot be resumed: {said}\. .* under another --name"):
            refused()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"trials": 2}, "--trials allows 2 trials, and .* has used 3 trials already"),
        ({"epochs_total": 2}, "--epochs-total allows 2 epochs in all, and .* has used 3 epochs already"),
        ({"time": "50s"}, "--time allows 50 s, and .* has used 1 min already"),
        ({"cost": 0.5, "price": 60.0}, "--cost allows a cost of 0.5 at 60 .*, and .* has used 1.00 already"),
    ],
)
def test_a_limit_below_what_is_used_is_refused_but_not_one_that_was_there(
    plan: Plan, results: Path, asked: Any, said: str
) -> None:
    folder = SearchFolder.create(results / plan.settings.name)
    experiment._write_plan(folder, plan)
    times = itertools.chain([0.0], itertools.repeat(60.0))
    file = RecordFile(folder.records_file, clock=lambda: next(times))
    trials_of(folder, 3, file)
    wanted = replace(plan, settings=settings(**asked))
    with pytest.raises(FolderError, match=rf"{said}\. Raise it, or leave it out"):
        refuse_changes(folder, wanted)
    with pytest.raises(FolderError, match=rf"{said}\. Raise it, or leave it out"):
        refuse_changed_settings(folder, wanted.settings)
    experiment._write_settings(folder, wanted)  # such as by a search that overran it
    refuse_changes(folder, wanted)


@pytest.mark.parametrize("raised", [{"max_params": 2000}, {"max_params": None}, {"max_params": 1000}])
def test_a_limit_may_be_raised(plan: Plan, results: Path, raised: Any) -> None:
    limited = replace(plan, settings=settings(max_params=1000))
    folder = SearchFolder.create(results / plan.settings.name)
    experiment._write_plan(folder, limited)
    refuse_changes(folder, replace(plan, settings=settings(**raised)))
    with pytest.raises(FolderError, match="--max-params is lower than it was"):
        refuse_changes(folder, replace(plan, settings=settings(max_params=999)))


def test_a_raised_limit_may_let_in_more_weights_but_none_that_changed(
    plan: Plan, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ray(monkeypatch)
    folder = SearchFolder(start(replace(plan, settings=settings(max_params=1000)), results=results).folder)
    wider = replace(
        plan, settings=settings(max_params=2000), weights={**plan.weights, "/weights/b.pth": "2" * 64}
    )
    resume(wider, results=results)
    assert folder.read_json(folder.settings_file)["weights"] == wider.weights
    refuse_changes(folder, wider)
    for other in ({"/weights/a.pth": "0" * 64, "/weights/b.pth": "3" * 64}, plan.weights):
        with pytest.raises(FolderError, match=r"weights to start from \(/weights/b.pth\) differ"):
            refuse_changes(folder, replace(wider, weights=other))


def test_all_that_has_changed_is_named_at_once(folder: SearchFolder, plan: Plan, tmp_path: Path) -> None:
    other = replace(
        plan,
        settings=settings(seed=4),
        space=space(tmp_path, SPACE.replace("[8, 16, 32]", "[8, 16]")),
        prepared=replace(plan.prepared, report={"fingerprint": "xyz"}),
        weights={"/weights/a.pth": "1" * 64},
    )
    with pytest.raises(FolderError) as refused:
        refuse_changes(folder, other)
    for said in (
        *("seed was 0", "search space differs", "space.yaml", "pictures differ", "data.json"),
        "weights to start from (/weights/a.pth) differ",
    ):
        assert said in str(refused.value)


def test_a_refused_resume_changes_nothing(folder: SearchFolder, plan: Plan, results: Path) -> None:
    before = {path: path.read_bytes() for path in folder.path.glob("[!.]*")}
    with pytest.raises(FolderError):
        resume(replace(plan, settings=settings(seed=4)), results=results)
    assert {path: path.read_bytes() for path in folder.path.glob("[!.]*")} == before


@pytest.mark.parametrize("name", space_names())
def test_a_built_in_space_is_the_same_after_it_was_written_down(name: str) -> None:
    found: Space = load_space(name)
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


# How a cluster is divided.


def cluster(cpus: float, gpus: float = 0.0) -> Cluster:
    return Cluster("a cluster", (Node(cpus, gpus),))


@pytest.mark.parametrize(
    ("there", "asked", "got"),
    [
        (cluster(2), {}, Resources(2, Slot(1, 0))),
        (cluster(4), {}, Resources(4, Slot(1, 0))),
        (cluster(16), {}, Resources(4, Slot(4, 0))),
        (cluster(16), {"concurrency": 8}, Resources(8, Slot(2, 0))),
        (cluster(16), {"concurrency": 1}, Resources(1, Slot(16, 0))),
        (cluster(16), {"concurrency": 64}, Resources(16, Slot(1, 0))),
        (cluster(16), {"cpus_per_trial": 3}, Resources(5, Slot(3, 0))),
        (cluster(16), {"cpus_per_trial": 0.5, "trials": 100}, Resources(32, Slot(0.5, 0))),
        (cluster(16), {"trials": 3}, Resources(3, Slot(4, 0))),
        (cluster(16), {"workers_per_trial": 2}, Resources(4, Slot(2, 0), 2)),
        (cluster(3), {"workers_per_trial": 2}, Resources(1, Slot(1, 0), 2)),
        (cluster(32, gpus=4), {}, Resources(4, Slot(8, 1))),
        (cluster(32, gpus=4), {"concurrency": 2}, Resources(2, Slot(16, 1))),
        (cluster(32, gpus=4), {"concurrency": 50}, Resources(4, Slot(8, 1))),
        (cluster(32, gpus=4), {"workers_per_trial": 4}, Resources(1, Slot(8, 1), 4)),
        (cluster(32, gpus=4), {"gpus_per_trial": 0.5}, Resources(8, Slot(4, 0.5))),
        (cluster(32, gpus=3), {"gpus_per_trial": 0.1, "trials": 99}, Resources(30, Slot(1, 0.1))),
        (cluster(32, gpus=4), {"gpus_per_trial": 0}, Resources(4, Slot(8, 0))),
        (cluster(2, gpus=4), {}, Resources(2, Slot(1, 1))),
    ],
)
def test_a_cluster_is_divided_among_trials(there: Cluster, asked: Any, got: Resources) -> None:
    assert share(there, settings(**asked)) == got


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        (cluster(2), {"cpus_per_trial": 4}),
        (cluster(2), {"workers_per_trial": 3}),
        (cluster(2), {"gpus_per_trial": 1}),
        (cluster(8, gpus=1), {"workers_per_trial": 2}),
        (cluster(8, gpus=1), {"gpus_per_trial": 2}),
    ],
)
def test_a_trial_that_fits_nowhere_is_refused_with_what_there_is(there: Cluster, asked: Any) -> None:
    with pytest.raises(ClusterError, match=f"Ray have: {there.cpus:g} CPUs and {there.gpus:g} GPUs?. Lower"):
        share(there, settings(**asked))


def test_no_worker_is_spread_over_nodes() -> None:
    ten_small = Cluster("ten nodes", (Node(8),) * 10)
    assert share(ten_small, settings(trials=99)) == Resources(40, Slot(2, 0))
    mixed = Cluster("a head without a GPU", (Node(64), Node(8, 4)))
    assert share(mixed, settings()) == Resources(4, Slot(2, 1))
    with pytest.raises(ClusterError, match="each on one node"):
        share(Cluster("two nodes", (Node(4), Node(4))), settings(cpus_per_trial=5))
