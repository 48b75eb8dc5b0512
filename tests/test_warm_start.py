"""What counts of former searches: `--warm-start`, from their folders to the plan of a later one."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from search.costs.networks import Networks
from search.engine.starting import start_of, starts
from search.planning.names import check_names, former_folders
from search.planning.warm_start import WarmStart, said, store_formers, stored_formers, warm_start
from search.settings.settings import Settings
from search.storage.folder import FolderError, SearchFolder
from search.trials.lengths import length_epochs
from search.trials.trials import METRICS, Outcome, Trial, ranked
from spaces.recipe import Recipe
from spaces.recipe_files import TrialConfig
from spaces.space import Space
from tests.simulated import SPACE, Workers, engine, epoch, finish, search_folder, space

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

ACCURACY = METRICS["val_accuracy"]
NARROW = SPACE.replace("[8, 16, 32]", "[16, 32, 64]").replace("[plain_cnn, mini_xception]", "[plain_cnn]")
NARROW = NARROW.replace("    - {log: [1.0e-5, 1.0e-2], when: {model.name: mini_xception}}\n", "")


@pytest.fixture
def searched(tmp_path: Path) -> Space:
    return space(tmp_path)


@pytest.fixture
def old(tmp_path: Path, searched: Space) -> SearchFolder:
    """A search that is finished."""
    return former(tmp_path / "old", searched)


def former(
    path: Path,
    searched: Space,
    crash: Callable[[Trial, int], Outcome | None] = lambda made, number: None,
    **changes: Any,
) -> SearchFolder:
    folder = search_folder(path, max_epochs=9)
    finish(engine(folder.records_file, searched, **{"trials": 24, "seed": 5, **changes}), Workers(3, crash))
    return folder


def settings(*folders: SearchFolder, **changes: Any) -> Settings:
    named = tuple(str(folder.path) for folder in folders)
    return Settings(**{"name": "new", "space": "s", "cache_dir": "c", "warm_start": named, **changes})


def given(
    searched: Space, *folders: SearchFolder, max_params: int | None = None, passes: int = 9, **changes: Any
) -> WarmStart:
    asked = settings(*folders, **changes)
    networks = Networks(
        max_params,
        None,
        classes=2,
        device=torch.device("cpu"),
        counted=asked.all_objectives.of_networks,
    )
    return warm_start(asked, searched, networks, passes=passes, pictures=160)


def records_of(folder: SearchFolder) -> Any:
    return folder.records().trials


def rewritten(folder: SearchFolder, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes each epoch's metrics in the records."""
    lines = [json.loads(line) for line in folder.records_file.read_text().splitlines()]
    for event in lines:
        if event["event"] == "epoch":
            change(event["metrics"])
    folder.records_file.write_text("".join(json.dumps(event) + "\n" for event in lines))


def test_of_a_search_of_the_same_space_every_trial_counts_with_the_same_parameters(
    searched: Space, old: SearchFolder
) -> None:
    (found,) = given(searched, old).formers
    assert (found.source, found.of, found.max_passes, found.reduction) == (str(old.path), 24, 9, 3)
    assert list(found.params) == list(range(24))
    for number, record in records_of(old).items():
        again = searched.recipe(found.params[number], epochs=9)
        assert again.to_dict() == record.trial.recipe
    live = engine(old.records_file, searched, trials=24, seed=5)
    entered = {(e.trial, None if math.isnan(e.gain) else e.gain) for e in live._rule.reached.entries}
    assert {(trial, gain) for trial, _, gain in found.reports} == entered
    assert found.can_forecast


def test_of_a_search_of_another_space_those_count_that_are_in_this_one(
    tmp_path: Path, old: SearchFolder
) -> None:
    narrow = space(tmp_path, NARROW)
    (found,) = given(narrow, old).formers
    for number, record in records_of(old).items():
        model = record.trial.recipe["model"]
        inside = model["name"] == "plain_cnn" and model["args"]["width"] in (16, 32)
        assert (number in found.params) == inside
    assert 0 < len(found.params) < found.of
    for params in found.params.values():
        narrow.drawn(params)


def test_a_trial_of_another_length_counts_with_its_freeze_epoch_at_the_same_share(
    searched: Space, old: SearchFolder
) -> None:
    (found,) = given(searched, old, passes=18).formers
    assert list(found.params) == list(range(24))
    frozen = {number: record.trial.recipe["freeze"]["epoch"] for number, record in records_of(old).items()}
    for number, params in found.params.items():
        assert searched.recipe(params, epochs=18).freeze.epoch == 2 * frozen[number]


def test_what_crashed_does_not_count(tmp_path: Path, searched: Space) -> None:
    def crash(made: Trial, number: int) -> Outcome | None:
        return {1: Outcome.FAILED, 4: Outcome.OUT_OF_MEMORY}.get(made.number % 6) if number == 2 else None

    folder = former(tmp_path / "crashing", searched, crash)
    (found,) = given(searched, folder).formers
    outcomes = {number: record.outcome for number, record in records_of(folder).items()}
    assert Outcome.FAILED in outcomes.values()
    wanted = (Outcome.COMPLETE, Outcome.STOPPED, Outcome.DIVERGED)
    assert set(found.params) == {number for number, outcome in outcomes.items() if outcome in wanted}
    assert found.of == len(found.params)


def test_what_is_over_the_limits_does_not_count(searched: Space, old: SearchFolder) -> None:
    (every,), (few,) = given(searched, old).formers, given(searched, old, max_params=200_000).formers
    recipes = [searched.recipe(params, epochs=9) for params in every.params.values()]
    networks = Networks(200_000, None, classes=2, device=torch.device("cpu"))
    assert len(few.params) == sum(map(networks.fits, recipes)) < len(every.params)


def test_scores_are_those_of_this_searchs_metric(searched: Space, old: SearchFolder) -> None:
    """The former one was steered by accuracy."""
    (found,) = given(searched, old, metric="val_loss").formers
    trials = records_of(old)
    for trial, passes, gain in found.reports:
        loss = trials[trial].history[int(passes) - 1].metrics["val_loss"]
        assert gain == (None if math.isnan(loss) else -loss)


def test_scores_have_this_searchs_costs_in_them(searched: Space, old: SearchFolder) -> None:
    (plain,), (found,) = (
        given(searched, old, objectives=weighed).formers for weighed in ({}, {"params": 0.1})
    )
    networks = Networks(None, None, classes=2, device=torch.device("cpu"), counted=["parameters"])
    for (trial, _, gain), (_, _, costly) in zip(plain.reports, found.reports, strict=True):
        millions = networks.costs(Recipe.model_validate(records_of(old)[trial].trial.recipe))
        if gain is None:
            assert costly is None
        else:
            assert costly == pytest.approx(gain - 0.1 * math.log10(millions["parameters"] / 1e6))


def test_the_best_of_full_length_are_tried_first(searched: Space, old: SearchFolder) -> None:
    warm = given(searched, old)
    records = records_of(old)
    whole = [record for record in records.values() if record.outcome is Outcome.COMPLETE]
    names, expected = [], []
    for record in ranked(whole, ACCURACY):
        name = record.trial.recipe["model"]["name"]
        if names.count(name) < 2 and len(names) < 5:
            names.append(name)
            expected.append((f"trial {record.number} of {old.path}", record.trial.recipe))
    assert len(expected) > 1
    assert [(source, config.recipe.to_dict()) for source, config in warm.best] == expected
    first = starts(warm.best, searched, passes=18, pictures=160)[0]
    assert all(start.params and start.epochs == 18 for start in first)


def test_what_is_tried_first_has_the_length_of_this_search_though_its_epochs_are_short(
    tmp_path: Path,
) -> None:
    short = space(tmp_path, SPACE + "  steps_per_epoch: {fixed: 10}\n")
    warm = given(short, former(tmp_path / "short", short), passes=18)
    first = starts(warm.best, short, passes=18, pictures=160)[0]
    assert first
    for (_, config), start in zip(warm.best, first, strict=True):
        assert config.epochs == length_epochs(config.recipe, passes=18, pictures=160) == start.epochs


def test_what_counts_is_said(tmp_path: Path, searched: Space, old: SearchFolder) -> None:
    narrow = space(tmp_path, NARROW)
    warm = given(narrow, old)
    (found,), first = warm.formers, starts(warm.best, narrow, passes=9, pictures=160)[0]
    assert said(found, first).startswith(
        f"{len(found.params)} of 24 trials of {old.path} that scored or diverged are in this space; "
        f"{len(first)} of them "
    )
    few = replace(found, reports=found.reports[:1])
    assert said(few, ()).endswith("0 of them are tried first; too few scored to say what is good beside them")


def test_weights_are_the_same_however_their_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A space file names them as a person does, and a trial's record by their absolute path."""
    monkeypatch.chdir(tmp_path)
    weighed = space(
        tmp_path,
        "description: weights of one's own\n"
        "parameters:\n"
        "  model.name: {choice: [plain_cnn, resnet18]}\n"
        "  model.weights: {fixed: own/model.pth, when: {model.name: resnet18}}\n"
        "  optim.lr: {log: [1.0e-4, 1.0e-2]}\n",
    )
    recorded = {"name": "resnet18", "weights": str(tmp_path / "own" / "model.pth")}
    for path, inside in ((recorded["weights"], True), (str(tmp_path / "other.pth"), False)):
        recipe = Recipe.model_validate({"model": {**recorded, "weights": path}, "optim": {"lr": 1e-3}})
        start = start_of("old", TrialConfig(recipe=recipe, epochs=9), weighed, passes=9, pictures=160)
        assert start.recipe["model"]["weights"] == path
        assert start.params == ({"model.name": "resnet18", "optim.lr": 1e-3} if inside else {})


# What is refused.


def test_a_search_without_a_score_is_refused(tmp_path: Path, searched: Space) -> None:
    with pytest.raises(FolderError, match="fresh: no trial of it has a score yet"):
        given(searched, search_folder(tmp_path / "fresh"))


def test_a_search_of_which_all_that_is_in_the_space_diverged_is_refused(
    tmp_path: Path, searched: Space
) -> None:
    folder = search_folder(tmp_path / "lost", max_epochs=9)
    driven = engine(folder.records_file, searched)
    made = driven.ask()
    assert made is not None
    driven.report(epoch(made.number, 1, math.nan, train_loss=math.nan))
    assert driven.records[0].outcome is Outcome.DIVERGED
    with pytest.raises(FolderError, match="of its 1 trials in this search's space none has a score"):
        given(searched, folder)


def test_a_search_with_nothing_in_the_space_is_refused_and_its_best_trial_says_why(
    tmp_path: Path, old: SearchFolder
) -> None:
    other = space(tmp_path, NARROW.replace("[16, 32, 64]", "[48, 64]"))
    with pytest.raises(
        FolderError,
        match=r"none of its 24 trials is in this search's space .*, as model\.[^.]+.* Leave it out",
    ):
        given(other, old)


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        ("epoch", "metrics", None),
        ("epoch", "metrics", {"val_accuracy": "high"}),
        ("epoch", "passes", "one"),
        ("trial", "recipe", None),
        ("trial", "recipe", {"freeze": {"epoch": 50}}),
        ("trial", "epochs", "nine"),
    ],
)
def test_records_that_hold_what_no_search_writes_are_refused(
    searched: Space, old: SearchFolder, event: str, field: str, value: object
) -> None:
    lines = [json.loads(line) for line in old.records_file.read_text().splitlines()]
    assert any(line["event"] == event for line in lines)
    for line in lines:
        if line["event"] == event:
            (line["trial"] if event == "trial" else line)[field] = value
    old.records_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(FolderError, match=r"--warm-start .*old: "):
        given(searched, old)


def test_a_search_that_lacks_the_metric_is_refused_with_its_name(searched: Space, old: SearchFolder) -> None:
    rewritten(old, lambda metrics: metrics.pop("val_macro_f1"))
    with pytest.raises(FolderError, match=r"its trial \d+ does not say its val_macro_f1. Leave it out, or"):
        given(searched, old, metric="val_macro_f1")
    assert given(searched, old).formers


def test_what_is_no_search_is_refused_before_anything_else(
    tmp_path: Path, old: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FolderError, match=r"gone is not a search's folder. Searches in .*: old"):
        former_folders(settings(SearchFolder(tmp_path / "gone")))
    alone = search_folder(tmp_path / "alone", space=None)
    with pytest.raises(FolderError, match=r"is the training of one recipe, not a search\. .*--start-from"):
        former_folders(settings(old, alone))
    again = SearchFolder(tmp_path / "there" / ".." / "old")
    (tmp_path / "there").mkdir()
    with pytest.raises(FolderError, match=r"names .* twice"):
        former_folders(settings(old, again))
    with pytest.raises(FolderError, match=r"--warm-start .*gone: .* is not a search's folder"):
        check_names(settings(SearchFolder(tmp_path / "gone"), space="demo"))


def test_a_search_that_runs_counts_as_far_as_it_has_come(tmp_path: Path, searched: Space) -> None:
    folder = search_folder(tmp_path / "running", max_epochs=9)
    driven = engine(folder.records_file, searched)
    for _, _ in zip(Workers(3).run(driven), range(60), strict=False):
        pass
    assert any(record.outcome is None for record in driven.records)
    (found,) = given(searched, folder).formers
    assert found.scored > 0


# What a resume goes on with.


@pytest.fixture
def begun(tmp_path: Path, searched: Space, old: SearchFolder) -> SearchFolder:
    folder = search_folder(tmp_path / "new", warm_start=[str(old.path)])
    folder.space_file.write_text(searched.to_yaml())
    store_formers(folder, given(searched, old).formers)
    return folder


def test_what_counts_is_kept_although_the_former_search_goes(
    begun: SearchFolder, old: SearchFolder, searched: Space
) -> None:
    kept = given(searched, old).formers
    shutil.rmtree(old.path)
    assert stored_formers(begun, []) == kept


def test_a_search_without_former_ones_has_no_such_file(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "plain")
    store_formers(folder, ())
    assert not folder.former_file.exists()
    assert stored_formers(folder, []) == ()


def damaged(content: Any, *path: Any, value: Any) -> Any:
    at = content
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((0, "max_passes"), 0),
        ((0, "max_passes"), math.inf),
        ((0, "reduction"), 1),
        ((0, "reports"), [[999, 1.0, 0.5]]),
        ((0, "reports"), [[0, 1.0]]),
        ((0, "reports", 0, 2), "high"),
        ((0, "params", "0"), {"optim.lr@1": 1e-3}),
        ((0, "params", "0"), 3),
        ((0, "params", "0", "augment.strength"), 7.0),
        ((0, "params", "0", "model.name"), ["plain_cnn"]),
        ((0, "params", "0", "model.name"), "os.system"),
        ((0,), "text"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(begun: SearchFolder, path: Any, value: Any) -> None:
    content = json.loads(begun.former_file.read_text())
    begun.former_file.write_text(json.dumps(damaged(content, *path, value=value)))
    with pytest.raises(FolderError, match=r"former_searches.json does not hold what counts of former"):
        stored_formers(begun, [])


def test_a_missing_or_torn_file_is_an_error_that_names_it(begun: SearchFolder) -> None:
    begun.former_file.write_text(begun.former_file.read_text()[:50])
    with pytest.raises(FolderError, match=r"former_searches.json cannot be read"):
        stored_formers(begun, [])
    begun.former_file.unlink()
    with pytest.raises(FolderError, match=r"former_searches.json cannot be read"):
        stored_formers(begun, [])
