"""How many trials run at a time as nodes come and go, and what becomes of a search that has no room."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from search.run import parser, settings_from
from search.settings.asks import Ask, require_known
from search.settings.settings import Settings
from search.trials.trials import Trial
from search.tune import room as rooms
from search.tune.cluster import Cluster, ClusterError
from search.tune.nodes import Node, NodeType, node_types
from search.tune.resources import Resources, most_wanted, share
from search.tune.room import BUSY_S, LOOK_S, PATIENCE_S, TO_COME_S, Room
from search.tune.trial import in_ray
from spaces.errors import InputError
from tests.toy_pictures import tiny_recipe
from trainables.workplace import Slot


class FakeDemand:
    """Notes how many nodes an autoscaler is asked for."""

    def __init__(self, bundles: list[dict[str, float]]) -> None:
        self.bundles, self.trials = bundles, 0

    def set(self, trials: int) -> None:
        self.trials = trials


@dataclass
class Scene:
    """A cluster whose nodes and clock are in our hands."""

    nodes: tuple[Node, ...]
    now: float = 0.0
    told: list[str] = field(default_factory=list)
    stopped: bool = False
    counts: list[int] = field(default_factory=list)

    def room(self, resources: Resources, *, most: int = 99, to_come: tuple[NodeType, ...] = ()) -> Room:
        def stop() -> None:
            self.stopped = True

        return Room(
            resources,
            most=most,
            to_come=to_come,
            told=self.told.append,
            counted=self.counts.append,
            stop=stop,
            look=lambda: self.nodes,
            clock=lambda: self.now,
        )

    def pass_time(self, room: Room, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + LOOK_S)
            room.tick()


@pytest.fixture(autouse=True)
def demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "Demand", FakeDemand)
    monkeypatch.setattr(rooms, "_free", lambda: "0 CPUs and 0 GPUs")


ONE_CPU = Resources(4, Slot(1.0))


def fill(room: Room, slot: Slot = ONE_CPU.worker, *, runs: bool = True, prefix: str = "t") -> list[str]:
    """Asks for trials as long as there is room; their ids."""
    names: list[str] = []
    while room.is_free():
        names.append(f"{prefix}{len(names)}")
        room.asked(names[-1], slot)
        if runs:
            room.runs(names[-1])
    return names


def test_as_many_trials_are_asked_for_as_fit() -> None:
    scene = Scene((Node(2), Node(3)))
    room = scene.room(ONE_CPU)
    names = fill(room)
    assert len(names) == 5
    room.ended(names[0])
    assert room.is_free()


def test_never_more_than_are_wanted() -> None:
    assert len(fill(Scene((Node(8),)).room(ONE_CPU, most=3))) == 3


def test_room_follows_the_nodes() -> None:
    scene = Scene((Node(2),))
    room = scene.room(ONE_CPU)
    names = fill(room)
    scene.nodes = (Node(2), Node(4))
    scene.pass_time(room, LOOK_S)
    assert len(fill(room, prefix="new")) == 4
    scene.nodes = (Node(2),)
    scene.pass_time(room, LOOK_S)
    for name in [*names, "new0", "new1", "new2"]:
        assert not room.is_free()
        room.ended(name)
    assert room.is_free()
    assert scene.counts == [2, 1]
    assert scene.told == [
        "Ray has 2 nodes, 6 CPUs, 0 GPUs now: room for 6 trials at a time.",
        "Ray has 1 node, 2 CPUs, 0 GPUs now: room for 2 trials at a time.",
    ]


def test_a_group_has_room_where_all_its_workers_have() -> None:
    scene = Scene((Node(3), Node(2)))
    assert len(fill(scene.room(Resources(2, Slot(1.0), workers=2)))) == 2


def test_when_all_nodes_are_gone_the_search_ends_after_a_minute_and_says_why() -> None:
    scene = Scene((Node(2),))
    room = scene.room(ONE_CPU)
    names = fill(room)
    scene.nodes = (Node(0.5),)
    for name in names:
        room.ended(name)  # lost: the first of them is asked for again
    fill(room, runs=False)
    scene.pass_time(room, PATIENCE_S)
    assert not scene.stopped
    scene.pass_time(room, LOOK_S)
    assert scene.stopped
    asked = "a trial asks for 1 worker of 1 CPU and 0 GPUs, and the nodes of Ray have: 0.5 CPUs and 0 GPUs"
    ends = "the search ends, and keeps what there is"
    assert scene.told[1:] == [
        f"No node can hold a trial: {asked}. If none comes in 60 seconds, {ends}.",
        f"Still no node can hold a trial: {asked}. So {ends}.",
    ]


def test_a_node_that_comes_back_in_time_saves_the_search() -> None:
    scene = Scene(())
    room = scene.room(ONE_CPU)
    fill(room, runs=False)
    scene.pass_time(room, PATIENCE_S)
    scene.nodes = (Node(2),)
    scene.pass_time(room, LOOK_S)
    room.runs("t0")
    scene.pass_time(room, 2 * PATIENCE_S)
    assert not scene.stopped


def test_a_trial_that_finds_nothing_keeps_its_place_from_others_while_there_are_some() -> None:
    scene = Scene((Node(3),))
    room = scene.room(ONE_CPU)
    first, second, third = fill(room)
    assert room.lacks(first)
    assert room.lacks(second)
    assert not room.lacks(third)  # nobody is left who could do better: it is tried again at once
    assert [room.rests(name) for name in (first, second, third)] == [True, True, False]
    room.ended(third)
    assert len(fill(room, prefix="new")) == 1
    scene.pass_time(room, 2 * PATIENCE_S)
    assert not room.let_go()
    assert not scene.told


def test_when_only_such_are_left_all_places_are_tried_again_and_none_rests_until_one_works() -> None:
    scene = Scene((Node(4),))
    room = scene.room(ONE_CPU)
    first, second, third, fourth = fill(room, runs=False)
    room.runs(first)
    room.runs(second)  # the others wait, for somebody else has two of the places
    assert room.lacks(first)
    assert room.lacks(second)
    scene.pass_time(room, PATIENCE_S)
    assert not room.let_go()
    assert scene.told == [
        "No trial is at work: in the places that are left they found nothing to work with. If that lasts, "
        "all are tried again in 30 seconds."
    ]
    scene.pass_time(room, 2 * LOOK_S)
    assert room.let_go() == {first, second}
    assert not room.let_go()
    assert scene.told[1:] == [
        "Trials found nothing to work with in any place that is left: all are tried again."
    ]
    room.ended(first)
    room.ended(second)
    room.runs(third)
    room.runs(fourth)
    assert not room.lacks(third)
    room.works()
    assert room.lacks(fourth)
    assert not scene.stopped


def test_those_that_rest_do_not_count_among_the_trials_that_are_wanted_at_a_time() -> None:
    room = Scene((Node(4),)).room(ONE_CPU, most=2)
    first, _ = fill(room)
    assert not room.is_free()
    assert room.lacks(first)
    assert len(fill(room, prefix="new")) == 1


def test_they_are_let_go_when_no_further_trial_begins() -> None:
    scene = Scene((Node(2),))
    room = scene.room(ONE_CPU)
    first, second = fill(room)
    assert room.lacks(first)
    room.no_more()
    scene.pass_time(room, 2 * LOOK_S)
    assert not room.let_go()  # another one is at work, and may be lost
    room.ended(second)
    scene.pass_time(room, 2 * LOOK_S)
    assert room.let_go() == {first}
    assert not scene.told


def test_where_a_node_may_be_added_that_is_waited_for_first() -> None:
    scene = Scene((Node(2),))
    room = scene.room(ONE_CPU, to_come=(NodeType(Node(4), 1),))
    first, second = fill(room)
    assert room.lacks(first)
    room.ended(second)
    room.asked("again", ONE_CPU.worker)
    scene.pass_time(room, TO_COME_S)
    assert not room.let_go()
    scene.pass_time(room, 2 * LOOK_S)
    assert room.let_go() == {first}


def test_trials_that_run_keep_a_search_going_whatever_the_others_wait_for() -> None:
    scene = Scene((Node(2),))
    room = scene.room(ONE_CPU)
    fill(room)
    room.asked("large", Slot(64.0))
    scene.pass_time(room, 2 * PATIENCE_S)
    assert not scene.stopped
    assert not scene.told


def test_where_others_use_the_cluster_the_search_waits_and_says_so_once() -> None:
    scene = Scene((Node(2),))
    room = scene.room(ONE_CPU)
    fill(room, runs=False)
    scene.pass_time(room, BUSY_S)
    assert not scene.told
    scene.pass_time(room, 10 * PATIENCE_S)
    assert not scene.stopped
    (line,) = scene.told
    assert "the cluster is in use: a trial asks for 1 worker of 1 CPU" in line
    assert "Free are 0 CPUs" in line


LARGE = (NodeType(Node(4, 1, "T4"), 3),)


def test_a_search_on_a_head_alone_waits_for_what_an_autoscaler_may_add() -> None:
    scene = Scene((Node(0),))
    room = scene.room(Resources(6, Slot(2.0)), to_come=LARGE)
    assert fill(room, Slot(2.0), runs=False) == ["t0"]
    scene.pass_time(room, 10 * PATIENCE_S)
    assert not scene.stopped
    (line,) = scene.told
    assert "Waiting for a node: a trial asks for 1 worker of 2 CPUs and 0 GPUs" in line
    assert "its autoscaler may add up to 3 x (4 CPUs and 1 GPU (T4))" in line


def test_an_autoscaler_that_can_add_nothing_that_fits_is_not_waited_for() -> None:
    scene = Scene((Node(0),))
    room = scene.room(Resources(1, Slot(8.0)), to_come=LARGE)
    fill(room, Slot(8.0), runs=False)
    scene.pass_time(room, PATIENCE_S + 2 * LOOK_S)
    assert scene.stopped


def asked_for(room: Room) -> int:
    return room._demand.trials


def test_an_autoscaler_is_asked_for_as_much_again_while_all_is_in_use() -> None:
    scene = Scene((Node(0), Node(4, 1, "T4")))
    room = scene.room(ONE_CPU, most=9, to_come=LARGE)
    scene.pass_time(room, LOOK_S)
    assert asked_for(room) == 0  # there is room yet
    names = fill(room)
    scene.pass_time(room, LOOK_S)
    assert asked_for(room) == 4
    scene.nodes += (Node(4, 1, "T4"),)
    scene.pass_time(room, LOOK_S)
    names += fill(room, prefix="more")
    scene.pass_time(room, LOOK_S)
    assert asked_for(room) == 1  # no more than are wanted
    room.no_more()
    scene.pass_time(room, LOOK_S)
    assert asked_for(room) == 0


# Families that ask for different things.


def mixed_search(*resources: str) -> Settings:
    given = {"resources": resources, "trials": 50}
    return Settings(name="x", space="demo", cache_dir="cache", **given)


MIXED = Cluster("", (Node(16), Node(8, 1, "A100"), Node(8, 2, "T4")))


def recipe_of(name: str) -> Trial:
    recipe = tiny_recipe().model_copy(update={"model": tiny_recipe().model.model_copy(update={"name": name})})
    return Trial(0, recipe.to_dict(), {}, seed=0, epochs=1)


def test_each_family_gets_what_it_asks_for() -> None:
    found = share(
        MIXED, mixed_search("vit_*=gpus:1,accelerator_type:A100", "plain_*=gpus:0,cpus:2", "resnet*=gpus:0.5")
    )
    assert found.slot(recipe_of("vit_tiny")) == Slot(8.0, 1.0, gpu_type="A100")
    assert found.slot(recipe_of("plain_cnn")) == Slot(2.0, 0.0)
    assert found.slot(recipe_of("resnet18")) == Slot(2.0, 0.5)
    assert found.slot(recipe_of("mini_xception")) == Slot(4.0, 1.0)


def test_small_families_run_while_large_ones_wait_for_their_node() -> None:
    scene, resources = Scene(MIXED.nodes), share(MIXED, mixed_search("vit_*=gpus:1,accelerator_type:A100"))
    room = scene.room(resources)
    large = resources.slot(recipe_of("vit_tiny"))
    for number in range(3):
        assert room.is_free()
        room.asked(f"large{number}", large)
    small = resources.slot(recipe_of("plain_cnn"))
    assert len(fill(room, small)) == 3  # a GPU each
    room.ended("t0")
    assert room.is_free()


def test_what_waits_has_a_bound() -> None:
    scene, resources = Scene(MIXED.nodes), share(MIXED, mixed_search("vit_*=gpus:1,accelerator_type:A100"))
    places = 3 + 1  # for the others, and for it
    assert len(fill(scene.room(resources), resources.slot(recipe_of("vit_tiny")), runs=False)) == 2 * places


def test_a_family_that_fits_nowhere_is_refused_with_what_there_is() -> None:
    with pytest.raises(ClusterError) as refused:
        share(MIXED, mixed_search("vit_*=gpus:1,accelerator_type:H100"))
    assert "a trial of vit_* asks for 1 worker of 1 CPU and 1 GPU (H100)" in str(refused.value)
    assert "16 CPUs and 0 GPUs, 8 CPUs and 1 GPU (A100), 8 CPUs and 2 GPUs (T4). Lower --resources" in str(
        refused.value
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("vit_*", "must be NETWORK=NAME:VALUE"),
        ("vit_*=gpus", "must be NETWORK=NAME:VALUE"),
        ("=gpus:1", "must be NETWORK=NAME:VALUE"),
        ("vit_*=gpu:1", "vit_* asks for gpu, which is not known; there are cpus, gpus, accelerator_type"),
        ("vit_*=gpus:-1", "greater than or equal to 0"),
        ("vit_*=cpus:0", "greater than 0"),
    ],
)
def test_what_cannot_be_read_is_refused(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        mixed_search(given)


def test_a_pattern_that_no_network_fits_is_refused() -> None:
    asked = mixed_search("resnet*=gpus:1", "vit_*=gpus:1").resources
    require_known(asked, ["resnet18", "vit_tiny"])
    with pytest.raises(InputError, match=r"--resources vit_\*: no network .* There are: plain_cnn, resnet18"):
        require_known(asked, ["resnet18", "plain_cnn"])


def test_what_a_trial_gets_in_rays_words() -> None:
    assert in_ray(Slot(8.0, 1.0, gpu_type="A100")) == {"CPU": 8.0, "GPU": 1.0, "accelerator_type:A100": 0.001}
    assert in_ray(Slot(2.0)) == {"CPU": 2.0}


def test_options_are_read_as_settings() -> None:
    given = parser().parse_args(["--resources", "vit_*=gpus:1", "plain_*=cpus:2,gpus:0", "--name", "x"])
    found = settings_from({"resources": given.resources, "name": "x"}, resume=False).resources
    assert found == {"vit_*": Ask(gpus=1), "plain_*": Ask(cpus=2, gpus=0)}


def test_settings_are_read_back_as_they_were_written() -> None:
    settings = mixed_search("vit_*=gpus:1,accelerator_type:A100")
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


# What an autoscaler may add.


def test_what_an_autoscaler_may_add_is_read_from_its_configuration(tmp_path: Path) -> None:
    config = {
        "max_workers": 5,
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 4}, "max_workers": 0},
            "gpu": {"resources": {"CPU": 8, "GPU": 1, "accelerator_type:T4": 1}, "max_workers": 3},
            "cpu": {"resources": {"CPU": 16}},
            "none": {"resources": {"CPU": 16}, "max_workers": 0},
            "unknown": {"resources": {}, "max_workers": 2},
        },
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    found = node_types(tmp_path / "config.yaml")
    assert found == (NodeType(Node(8, 1, "T4"), 3), NodeType(Node(16), 5))


@pytest.mark.parametrize("text", ["", "[]", "a: b", "{", "available_node_types: 3"])
def test_a_configuration_that_is_not_one_tells_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert node_types(tmp_path / "config.yaml") == ()
    assert node_types(tmp_path / "missing.yaml") == ()


def test_a_search_may_begin_where_only_an_autoscaler_has_room() -> None:
    head = Cluster("", (Node(0),), to_come=LARGE)
    settings = Settings(name="x", space="demo", cache_dir="cache", trials=50)
    assert share(head, settings) == Resources(3, Slot(4.0, 1.0))
    assert most_wanted(settings) == 50
    with pytest.raises(ClusterError, match=r"its autoscaler may add up to 3 x \(4 CPUs and 1 GPU \(T4\)\)"):
        share(head, settings.model_copy(update={"cpus_per_trial": 5}))
