"""What is checked and made ready before a search: starting recipes, limits, weights."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from search import experiment, run
from search.costs import networks
from search.costs.variants import variants
from search.planning import plan as plans
from search.planning import rehearsal
from search.planning.changes import refuse_changes
from search.planning.limits import LimitError
from search.planning.plan import Plan, describe, make_plan
from search.policy import policy
from search.policy.policy import Policy
from search.run import settings_from
from search.storage.folder import FolderError, SearchFolder
from search.trials.records import RecordFile
from search.trials.trials import Epoch, Outcome, Start, Trial, TrialRecord
from search.tune.cluster import Cluster
from search.tune.connection import Connection
from search.tune.nodes import Node
from spaces.faults import SpaceError
from spaces.recipe import Recipe
from spaces.recipe_files import load_trial_config
from tests.simulated import epoch
from tests.test_commands import SPACE, toy_folder
from trainables.models.create import ModelError, create_model

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

QUIET = Console(quiet=True)
OWN = """
epochs: 3
recipe:
  model: {name: plain_cnn, args: {blocks: 2, dense: 16, width: 12}}
  geometry: {size_px: 16}
  optim: {lr: 2e-3, batch_size: 16}
"""
NETWORKS = SPACE.replace("choice: [8, 12]", "choice: [8, 12, 64]")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    toy_folder(root / "pictures", 90)
    (root / "space.yaml").write_text(NETWORKS)
    (root / "own.yaml").write_text(OWN)
    return root


@pytest.fixture
def desk(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of a test's own, with pictures, a space and a recipe."""
    for path in shop.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLASSIFIER_SEARCH_CACHE", str(shop / "cache"))
    return tmp_path


def plan_of(before: SearchFolder | None = None, **given: Any) -> Plan:
    asked = {"data": "pictures", "space": "space.yaml", "max_epochs": 3, "name": "mine", **given}
    return make_plan(settings_from(asked, resume=False), QUIET, before=before)


def begun(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> SearchFolder:
    """A search that was left before its first trial."""

    monkeypatch.setattr(Connection, "__init__", lambda self, settings: None)
    monkeypatch.setattr(Connection, "cluster", lambda self: Cluster("no Ray at all", (Node(2),)))
    monkeypatch.setattr(Connection, "close", lambda self: None)
    monkeypatch.setattr(experiment, "run", lambda *arguments, **options: None)
    return SearchFolder(experiment.start(plan).folder)


# Starting recipes.


def test_the_users_recipes_come_first_and_the_plan_names_them(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(start_from=["own.yaml", "default"])
    inside, outside = plan.starts
    assert (inside.source, inside.epochs) == ("own.yaml", 3)
    assert inside.params == {"model.args.width": 12, "optim.lr": 2e-3, "schedule.name": "cosine"}
    assert (outside.source, outside.params) == ("default", {})
    arguments = ["--data", "pictures", "--space", "space.yaml", "--max-epochs", "3", "--dry-run"]
    assert run.main([*arguments, "--start-from", "own.yaml", "default"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "tried first own.yaml: plain_cnn at 16 px, 3 epochs tried first default: plain_cnn at 32" in said
    assert "3 epochs, with values outside of the space: the sampler does not see it" in said
    assert "does not see it (model.args.width 32 (8, 12, 64), " in said
    assert "not tried recipes binary_cnn, cifar_resnet18, mini_xception, resnet101_baseline" in said
    assert "; plain_cnn (64 px; the space goes to 16)" in said
    assert "default (" not in said  # it is named, and tried


def test_a_recipe_that_is_given_another_length_than_its_file_says_is_told(desk: Path) -> None:
    plan = plan_of(start_from=["own.yaml"], max_epochs=2)
    assert ("tried first", "own.yaml: plain_cnn at 16 px, 2 epochs (its own length is 3)") in describe(plan)
    assert all("own.yaml" not in line for what, line in describe(plan) if what == "not tried")


def test_the_plan_says_which_turn_a_starting_recipe_has_and_which_have_none(desk: Path) -> None:
    for place in range(5):
        Path(f"{place}.yaml").write_text(OWN.replace("lr: 2", f"lr: {place + 3}"))
    plan = plan_of(start_from=[f"{place}.yaml" for place in range(5)], trials=6)
    said = [(what, line) for what, line in describe(plan) if ".yaml" in line]
    assert [what for what, _ in said] == [*["tried first"] * 3, "trial 4", "left out"]
    assert said[4][1] == "4.yaml: its turn is trial 6, and trials end with 5"


def test_pictures_are_decoded_for_the_sizes_of_starting_recipes_too(desk: Path, tmp_path: Path) -> None:
    cache = tmp_path / "another cache"
    plan_of(start_from=["own.yaml"], cache_dir=str(cache))
    assert len(list(cache.glob("*/pixels.bin"))) == 1
    plan_of(start_from=["default"], cache_dir=str(cache))
    assert len(list(cache.glob("*/pixels.bin"))) == 2


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (OWN.replace("lr:", "lrr:"), SpaceError, "bad.yaml:6: recipe.optim.lrr is not a field here"),
        (OWN.replace("width: 12", "width: 1"), SpaceError, "recipe.model.args.width must be from 8 to"),
        (
            OWN.replace(
                "{name: plain_cnn, args: {blocks: 2, dense: 16, width: 12}}", "{name: resnet18, args: {a: 1}}"
            ),
            ModelError,
            "--start-from bad.yaml: model.name 'resnet18' with a=1 at 16 px cannot be made",
        ),
        (
            OWN + "  loss: {name: sigmoid}\n",
            ModelError,
            "--start-from bad.yaml: loss.name: sigmoid has one output, for two classes, and there are 3",
        ),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_with_its_name(
    desk: Path, text: str, error: type[Exception], said: str
) -> None:
    Path("bad.yaml").write_text(text)
    with pytest.raises(error, match=said):
        plan_of(start_from=["bad.yaml"])


def test_a_space_for_two_classes_is_refused_where_there_are_three(desk: Path) -> None:
    Path("two.yaml").write_text(NETWORKS.replace("base:", "base:\n  loss: {name: sigmoid}"))
    with pytest.raises(ModelError, match=r"space two: loss.name: sigmoid has one output.* there are 3"):
        plan_of(space="two.yaml")
    assert plan_of(space="two.yaml", classes="class 0,class 1").prepared.classes == ["class 0", "class 1"]


def test_a_budget_that_lets_no_trial_be_whole_or_is_of_gpus_that_are_not_here_is_said(desk: Path) -> None:
    def budget(**given: Any) -> str:
        return dict(describe(plan_of(**given)))["budget"]

    assert "full length" not in budget(epochs_total=3)
    assert "; no trial can come to its full length of 3 epochs" in budget(epochs_total=2)
    said = "; this machine has no GPU, and trials on it would use none of them up"
    assert (said in budget(gpu_hours=1.0)) == (not torch.cuda.is_available())
    assert said not in budget(time="1h")


def test_what_follows_the_search_is_part_of_the_plan(desk: Path) -> None:
    said = "then the best 3 trials again, from scratch with 3 fresh seeds each: 9 runs of 3 epochs at most"
    assert ("rematch", said) in describe(plan_of())
    one = dict(describe(plan_of(rematch=1, rematch_seeds=2, max_epochs=1)))["rematch"]
    assert one == "then the best trial again, from scratch with 2 fresh seeds each: 2 runs of 1 epoch at most"
    assert "rematch" not in dict(describe(plan_of(rematch=0)))


def test_a_recipe_that_is_given_twice_is_said_to_be_left_out(desk: Path) -> None:
    Path("again.yaml").write_text(OWN)
    plan = plan_of(start_from=["own.yaml", "again.yaml"])
    assert [start.source for start in plan.starts].count("own.yaml") == 1
    assert plan.left_out["again.yaml"] == "the same as own.yaml"
    assert any("again.yaml (the same as own.yaml)" in line for what, line in describe(plan))


def test_a_choice_for_two_classes_is_left_out_where_there_are_three(desk: Path) -> None:
    Path("two.yaml").write_text(NETWORKS + "  loss.name: {choice: [cross_entropy, sigmoid]}\n")
    told = ("left out", "loss.name sigmoid: it is for two classes")

    def losses(plan: Plan) -> set[str]:
        return {recipe.loss.name for recipe in variants(plan.offered).recipes}

    three, two = plan_of(space="two.yaml"), plan_of(space="two.yaml", classes="class 0,class 1")
    assert losses(three) == {"cross_entropy"}
    assert told in describe(three)
    assert losses(two) == {"cross_entropy", "sigmoid"}
    assert told not in describe(two)


def test_a_resume_tries_what_the_search_began_with(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plan_of(start_from=["own.yaml"])
    folder = begun(first, monkeypatch)
    Path("own.yaml").unlink()  # the link: the recipe is gone
    resumed = make_plan(settings_from({"name": "mine"}, resume=True), QUIET, before=folder)
    assert resumed.starts == first.starts
    refuse_changes(folder, resumed)
    with pytest.raises(FolderError, match="--start-from says how a search starts, and results/mine has"):
        settings_from({"name": "mine", "start_from": ["default"]}, resume=True)


# Former searches.


def searched_before(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> SearchFolder:
    """A search that had three trials, of which the second was the best."""
    folder = begun(plan, monkeypatch)
    file = RecordFile(folder.records_file)
    for number, rate in enumerate((1e-3, 2e-3, 4e-3)):
        params = {"model.args.width": 8, "optim.lr": rate, "schedule.name": "cosine"}
        recipe = plan.offered.recipe(params, epochs=3).to_dict()
        file.trial(Trial(number, recipe, params, seed=0, epochs=3))
        for passes in (1, 2, 3):
            file.epoch(epoch(number, passes, 0.5 + 0.1 * (number == 1)))
        file.end(number, Outcome.COMPLETE)
    file.close()
    return folder


def test_a_former_search_is_learnt_from_and_its_best_follow_the_users_recipes(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = searched_before(plan_of(name="old"), monkeypatch)
    fitting = [("default", load_trial_config("default"))]
    monkeypatch.setattr(plans, "built_in_recipes", lambda *arguments, **length: (fitting, {}))
    plan = plan_of(start_from=["own.yaml"], warm_start=["results/old"])
    sources = [start.source for start in plan.starts]  # no third one of the same network
    assert sources == ["own.yaml", "trial 1 of results/old", "trial 0 of results/old", "default"]
    assert [start.params["optim.lr"] for start in plan.starts[1:3]] == [2e-3, 1e-3]
    (former,) = plan.formers
    assert len(former.params) == 3
    told = dict(line for line in describe(plan) if line[0] == "warm start")
    assert told["warm start"] == (
        "3 of 3 trials of results/old that scored or diverged are in this space; 2 of them are tried first; "
        "too few scored to say what is good beside them"
    )

    folder = begun(plan, monkeypatch)
    shutil.rmtree(old.path)
    resumed = make_plan(settings_from({"name": "mine"}, resume=True), QUIET, before=folder)
    assert (resumed.formers, resumed.starts) == (plan.formers, plan.starts)
    refuse_changes(folder, resumed)
    with pytest.raises(FolderError, match="--warm-start says how a search starts, and results/mine has"):
        settings_from({"name": "mine", "warm_start": ["results/old"]}, resume=True)


def test_the_policy_learns_from_former_searches(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched_before(plan_of(name="old"), monkeypatch)
    plan, taught = plan_of(warm_start=["results/old"]), []

    def make_policy(*arguments: Any, **options: Any) -> Policy:
        taught.append(options["former"])
        return policy.make_policy(*arguments, **options)

    monkeypatch.setattr(experiment, "make_policy", make_policy)
    begun(plan, monkeypatch)
    assert taught == [plan.formers]


def test_a_former_search_that_is_not_there_is_refused_before_pictures_are_read(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--data", "no pictures", "--warm-start", "results/gone"]) == 2
    assert "results/gone is not a search's folder" in " ".join(capsys.readouterr().err.split())


# Limits.


def test_what_is_over_the_limits_is_neither_offered_nor_tried(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(max_params="10k", start_from=["own.yaml"])
    assert plan.settings.max_params == 10_000
    (line,) = plan.over_limits
    assert line.startswith(
        "plain_cnn: 1 of 3 variants, such as plain_cnn (blocks 2, dense 16, width 64) at 16 px"
    )
    assert line.endswith("parameters, over 10k")
    assert plan.offered.model_names() == ["plain_cnn"]
    folder = begun(plan, monkeypatch)
    assert len(folder.read_json(folder.networks_file)) == 3
    again = make_plan(settings_from({"name": "mine"}, resume=True), QUIET, before=folder)
    assert again.over_limits == plan.over_limits
    refuse_changes(folder, again)
    refuse_changes(folder, plan_of(max_params="20k"))
    with pytest.raises(FolderError, match="--max-params is lower than it was"):
        refuse_changes(folder, plan_of(max_params="9k"))
    assert run.main(["--name", "mine", "--resume", "--dry-run"]) == 0
    assert "width 64) at 16 px" in capsys.readouterr().out


def test_what_counts_of_every_network_is_measured_before_the_search_and_told(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        networks, "latency_ms", lambda recipe, classes, device: recipe.model.args["width"] / 4
    )
    plan = plan_of(objectives="latency:0.05,params", start_from=["own.yaml"])
    assert ("objectives", plan.settings.all_objectives.definition) in describe(plan)
    assert any(
        "ranked by penalised_val_accuracy" in line for what, line in describe(plan) if what == "trials"
    )
    folder = begun(plan, monkeypatch)
    known = {entry["network"]["model.args.width"]: entry for entry in folder.read_json(folder.networks_file)}
    assert {8, 12, 64} <= set(known)
    made = TrialRecord(Trial(0, plan.starts[0].recipe, {}, seed=0, epochs=3), started=0.0)
    reported = Epoch(0, 1, 1.0, {"val_accuracy": 0.5, "epoch_s": 1.0})
    monkeypatch.setattr(networks, "latency_ms", lambda *arguments: pytest.fail("it was measured before"))
    metrics = plan.scored(made, reported).metrics
    assert metrics["latency_ms"] == known[12]["latency_ms"] == 3.0
    assert metrics["parameters"] == known[12]["parameters"]
    with pytest.raises(FolderError, match=r"objectives was \{'latency': 0.05, 'params': 0.02\} and is \{\}"):
        refuse_changes(folder, plan_of(before=folder))


def test_a_search_that_has_nothing_within_its_limits_does_not_start(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LimitError, match=r"nothing of space space is within the limits: plain_cnn: all 3 "):
        plan_of(max_params=100)
    with pytest.raises(LimitError, match=r"--start-from own.yaml: plain_cnn has .* parameters, over 6k"):
        plan_of(max_params="6k", start_from=["own.yaml"])
    for wrong in ("many", "-3", "0", "1.2.3M", "5G"):
        assert run.main(["--data", "pictures", "--max-params", wrong]) == 2
        said = f"error: --max-params '{wrong}': must be a number over 0, such as 300k"
        assert said in capsys.readouterr().err
    for wrong in ("-3", "0"):
        assert run.main(["--data", "pictures", "--max-latency-ms", wrong]) == 2
        assert "must be milliseconds over 0, such as 20" in capsys.readouterr().err


# Networks.


def test_all_networks_that_cannot_be_trained_are_told_at_once(desk: Path) -> None:
    Path("bad.yaml").write_text(
        """
description: two networks with an argument that they do not know, and one that wants larger pictures
parameters:
  model.name: {choice: [test_resnet, test_vit, pvt_v2_b0]}
  model.args.a: {choice: [1, 2], when: {model.name: [test_resnet, test_vit]}}
  geometry.size_px: {fixed: 20}
"""
    )
    with pytest.raises(ModelError) as error:
        plan_of(space="bad.yaml")
    one, two, three = sorted(str(error.value).splitlines())
    assert one.startswith("space bad: model.name 'pvt_v2_b0' cannot take pictures of 20 px (")
    assert two.startswith("space bad: model.name 'test_resnet' with a=1 at 20 px cannot be made: ")
    assert two.endswith("(And 1 more of its variants.)")
    assert three.startswith("space bad: model.name 'test_vit' with a=1 at 20 px cannot be made: ")


def test_a_network_that_takes_no_drop_path_is_refused_before_the_search(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent / "networks")
    Path("odd.yaml").write_text(
        """
description: a network of the user's own without residual blocks
base: {model: {name: odd_net}, geometry: {size_px: 16}}
parameters:
  model.drop_path_rate: {float: [0.0, 0.3]}
"""
    )
    with pytest.raises(ModelError, match=r"space odd: model.name 'odd_net' .* argument 'drop_path_rate'"):
        plan_of(space="odd.yaml", imports=["odd_networks"])


def test_every_body_and_every_head_is_tried_but_not_all_their_combinations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[tuple[int, int | None, float]] = []
    monkeypatch.setattr(
        rehearsal,
        "dry_run",
        lambda made, classes: tried.append(
            (made.geometry.size_px, made.model.head_dense, made.model.drop_path_rate)
        ),
    )
    recipes = [
        Recipe.model_validate(
            {
                "model": {"name": "test_resnet", "head_dense": dense, "drop_path_rate": rate},
                "geometry": {"size_px": size_px},
            }
        )
        for size_px in (32, 48, 64)
        for dense in (None, 8, 16)
        for rate in (0.0, 0.2)
    ]
    rehearsal.rehearse([("a space", recipe) for recipe in recipes], 2, QUIET)
    assert tried == [
        *[(32, None, 0.0), (32, None, 0.2), (32, 8, 0.0), (32, 16, 0.0)],
        *[(48, None, 0.0), (64, None, 0.0)],
    ]


# Weights.


def test_weights_of_what_is_over_the_limits_are_not_fetched(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(rehearsal, "create_model", lambda recipe, classes: fetched.append(recipe.model.name))
    Path("pretrained.yaml").write_text(
        "base: {geometry: {size_px: 160}, model: {pretrained: true}}\n"
        "parameters: {model.name: {choice: [test_resnet, test_convnext, resnet18]}}\n"
    )
    plan = plan_of(space="pretrained.yaml", max_params="1M")
    assert sorted(fetched) == plan.offered.model_names() == ["test_convnext", "test_resnet"]


def test_a_path_with_brackets_in_it_is_said_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rehearsal, "create_model", lambda recipe, classes: None)
    file = tmp_path / "[old]" / "[" / "b]" / "w.pth"
    file.parent.mkdir(parents=True)
    file.touch()
    recipe = Recipe.model_validate({"model": {"name": "plain_cnn", "weights": str(file)}})
    rehearsal.fetch_weights([("mine", recipe)], Console(soft_wrap=True))
    assert capsys.readouterr().out == f"weights of plain_cnn: {file} ...\n"


@pytest.fixture
def weights(desk: Path) -> Path:
    """Weights for the network of the space."""
    args = {"blocks": 2, "dense": 16, "width": 8}
    recipe = Recipe.model_validate(
        {"model": {"name": "plain_cnn", "args": args}, "geometry": {"size_px": 16}}
    )
    save_file(create_model(recipe, 5).state_dict(), desk / "start.safetensors")
    return desk / "start.safetensors"


FROM_WEIGHTS = SPACE.replace("choice: [8, 12]", "fixed: 8") + (
    "  model.weights: {choice: [null, start.safetensors]}\n"
)


def test_files_of_weights_are_loaded_and_noted_before_the_search(
    weights: Path, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("from.yaml").write_text(FROM_WEIGHTS)
    plan = plan_of(space="from.yaml")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert plan.weights == {str(weights): digest}
    folder = begun(plan, monkeypatch)
    assert folder.read_json(folder.settings_file)["weights"] == plan.weights
    refuse_changes(folder, plan_of(space="from.yaml"))
    changed = replace(plan, weights={str(weights): "0" * 64})
    with pytest.raises(FolderError, match=r"the weights to start from \(.*start.safetensors\) differ"):
        refuse_changes(folder, changed)


def test_weights_that_cannot_be_used_are_refused_before_the_search(desk: Path) -> None:
    Path("from.yaml").write_text(FROM_WEIGHTS)
    with pytest.raises(ModelError, match=r"space from: model.weights: there is no .*start.safetensors"):
        plan_of(space="from.yaml")
    Path("start.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"start.safetensors cannot be read"):
        plan_of(space="from.yaml")
    Path("own-start.yaml").write_text(OWN.replace("name: plain_cnn,", "name: plain_cnn, weights: gone.pth,"))
    with pytest.raises(
        ModelError, match=r"--start-from own-start.yaml: model.weights: there is no .*gone.pth"
    ):
        plan_of(start_from=["own-start.yaml"])


def test_a_start_names_its_weights_by_their_absolute_path(weights: Path, desk: Path) -> None:
    text = OWN.replace("width: 12", "width: 8").replace(
        "name: plain_cnn,", "name: plain_cnn, weights: start.safetensors,"
    )
    Path("own-start.yaml").write_text(text)
    plan = plan_of(start_from=["own-start.yaml"])
    (start,) = plan.starts
    assert isinstance(start, Start)
    assert start.recipe["model"]["weights"] == str(weights)
    assert list(plan.weights) == [str(weights)]
