"""Configurations as points of a cube and as features, beside what the tree says of each one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from search.policy.points import Points
from search.policy.unit_cube import count_of, place_of
from spaces.domains import Choice, Fixed, Range
from spaces.parameters import Parameter
from spaces.space_files import load_space
from spaces.tree import Tree
from tests.forecasting import families, tree

SPACES = ["demo", "finetune", "full"]


def random_points(points: Points, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, points.size))


def with_fixed() -> Tree:
    """Weights that are a matter of choice in one family and fixed in another, and what depends on them."""
    parameters = (
        Parameter("family", "family", Choice(("a", "b", "c")), {}, ()),
        Parameter("weights", "weights@1", Choice((True, False)), {"family": ("a",)}, ()),
        Parameter("weights", "weights@2", Fixed(True), {"family": ("b",)}, ()),
        Parameter("stem", "stem", Fixed("small"), {"family": ("a", "b"), "weights": (True,)}, ()),
        Parameter("freeze", "freeze", Range("float", 0, 1), {"weights": (True,)}, ()),
        Parameter("pool", "pool", Choice((None, "max")), {"stem": ("small",)}, ()),
    )
    return Tree("fixed", "", parameters, {"weights": False})


TREES: dict[str, Any] = {name: lambda name=name: load_space(name) for name in SPACES}
TREES |= {"families": families, "with_fixed": with_fixed}


@pytest.fixture(scope="module", params=TREES)
def points(request: pytest.FixtureRequest) -> Points:
    return Points(TREES[request.param]())


def described(searched: Tree, params: dict[str, Any]) -> dict[str, dict[Any, float]]:
    """The features of each path by what they are of, one parameter after the other."""
    ways: dict[str, list[Parameter]] = {}
    for parameter in searched.parameters:
        ways.setdefault(parameter.path, []).append(parameter)
    found: dict[str, dict[Any, float]] = {}
    values = searched.drawn(params)
    for path, alternatives in ways.items():
        active = [way for way in alternatives if way.active(values)]
        assert len(active) < 2
        if not active:
            found[path] = {"absent": 0.5, **({"number": 0.5} if any(map(is_number, alternatives)) else {})}
        elif is_number(active[0]):
            found[path] = {"number": place_in_range(active[0], values[path])}
        else:
            found[path] = {("kind", repr(values[path])): np.sqrt(0.5)}
    return found


def is_number(parameter: Parameter) -> bool:
    domain = parameter.domain
    if isinstance(domain, Fixed):
        return False
    return isinstance(domain, Range) or all(type(value) in (int, float) for value in domain.values)


def place_in_range(parameter: Parameter, value: Any) -> float:
    domain = parameter.domain
    if isinstance(domain, Choice):
        order = sorted(domain.values)  # type: ignore[type-var]
        return order.index(value) / max(len(order) - 1, 1)
    assert isinstance(domain, Range)
    count = count_of(domain.distribution)
    if count is not None:
        return (value - domain.low) / max(domain.high - domain.low, 1)
    return place_of(domain.distribution, value)


def test_a_point_gives_parameters_of_the_space_and_these_give_it_back(points: Points) -> None:
    for number, at in enumerate(random_points(points, 25)):
        params = points.params(at)
        points.tree.drawn(params)  # raises where one is missing, too much or out of range
        again = points.params(points.point(params, np.random.default_rng(number)))
        assert again.keys() == params.keys()
        for name, value in params.items():
            same = pytest.approx(value) if isinstance(value, float) else value
            assert again[name] == same
            assert type(again[name]) is type(value)


def test_what_parameters_leave_open_is_random_and_the_rest_is_not() -> None:
    points = Points(families())
    params = {"family": "fast", "lr@1": 1e-3, "flip": False}
    one, other = (points.point(params, np.random.default_rng(seed)) for seed in (0, 1))
    assert [path for path, equal in zip(points.paths, one == other, strict=True) if not equal] == ["depth"]
    assert dict(zip(points.paths, one, strict=True)) == pytest.approx(
        {"family": 0.25, "lr": 0.5, "depth": one[2], "flip": 0.75}
    )


def test_distances_are_what_the_tree_says_of_each_configuration_on_its_own(points: Points) -> None:
    at = random_points(points, 25, seed=1)
    found = points.features(at)
    assert found.shape == (25, len(points.owner))
    wanted = [described(points.tree, points.params(point)) for point in at]
    for place, path in enumerate(points.paths):
        own = found[:, points.owner == place]
        distances = ((own[:, None] - own[None]) ** 2).sum(-1)
        for row, one in enumerate(wanted):
            for column, other in enumerate(wanted[:row]):
                keys = one[path].keys() | other[path].keys()
                apart = sum((one[path].get(key, 0.0) - other[path].get(key, 0.0)) ** 2 for key in keys)
                assert distances[row, column] == pytest.approx(apart, abs=1e-9), path


def test_features_tell_nothing_that_parameters_leave_open(points: Points) -> None:
    at = random_points(points, 25, seed=2)
    again = [
        points.point(points.params(point), np.random.default_rng(number)) for number, point in enumerate(at)
    ]
    np.testing.assert_allclose(points.features(np.array(again)), points.features(at), atol=1e-9)


@pytest.mark.parametrize("name", SPACES)
def test_the_branch_of_a_point_is_its_network(name: str) -> None:
    points = Points(load_space(name))
    networks = points.tree.domains["model.name"].distribution.choices  # type: ignore[attr-defined]
    at = random_points(points, 40)
    assert points.branch_count == len(networks)
    assert [networks[branch] for branch in points.branches(at)] == [
        points.params(point)["model.name"] for point in at
    ]


def test_a_point_that_is_moved_into_another_branch_changes_one_coordinate(points: Points) -> None:
    at = random_points(points, 10)
    for branch in range(points.branch_count):
        moved = points.moved(at.copy(), branch)
        assert (points.branches(moved) == branch).all()
        changed = {points.paths[place] for place in np.flatnonzero((moved != at).any(0))}
        assert points.branch_place is not None
        assert changed <= {points.paths[points.branch_place]}


def test_a_space_without_conditions_is_one_branch() -> None:
    points = Points(tree(x=Range("float", 0, 1), c=Choice(("a", "b"))))
    at = random_points(points, 10)
    assert (points.branch_place, points.branch_count) == (None, 1)
    assert points.branches(at).tolist() == [0] * 10
    np.testing.assert_array_equal(points.moved(at.copy(), 0), at)


def test_branches_end_where_the_cube_does() -> None:
    points = Points(families())
    assert points.branches(np.array([[0.0] * 4, [0.5] * 4, [1.0] * 4])).tolist() == [0, 1, 1]
    assert points.params(np.ones(4)) == {"family": "slow", "lr@2": 0.1, "depth": 4, "flip": False}


def test_alternatives_of_a_path_share_a_coordinate_each_in_its_own_range() -> None:
    points = Points(families())
    assert points.paths == ["family", "lr", "depth", "flip"]
    at = np.array([[0.2, 0.75, 0.5, 0.5]])
    for branch, (name, rate) in enumerate([("lr@1", 10**-2.5), ("lr@2", 10**-1.5)]):
        assert points.params(points.moved(at, branch)[0])[name] == pytest.approx(rate)
    features = points.features(np.vstack([points.moved(at.copy(), branch) for branch in (0, 1)]))
    same = features[:, points.owner == 1]
    assert same[0].tolist() == same[1].tolist()


def one_feature_of(choice: Choice) -> list[list[float]]:
    points = Points(tree(c=choice))
    at = [points.point({"c": value}, np.random.default_rng(0)) for value in choice.values]
    return [row.tolist() for row in points.features(np.array(at))]


def test_numbers_of_a_choice_are_in_their_order() -> None:
    assert one_feature_of(Choice((8, 16, 64))) == [[0.0], [0.5], [1.0]]
    assert one_feature_of(Choice((0.0, 0.25))) == [[0.0], [1.0]]
    assert one_feature_of(Choice((32,))) == [[0.0]]


def test_numbers_of_a_choice_are_in_their_order_whichever_the_file_has() -> None:
    assert one_feature_of(Choice((64, 8, 16))) == [[1.0], [0.0], [0.5]]


@pytest.mark.parametrize("values", [(True, False), ("a", "b", "c"), (None, 256, 1024)])
def test_values_without_an_order_are_one_apart_as_the_ends_of_a_range_are(values: tuple[Any, ...]) -> None:
    features = np.array(one_feature_of(Choice(values)))
    apart = ((features[:, None] - features[None]) ** 2).sum(-1)
    np.testing.assert_allclose(apart, 1 - np.eye(len(values)), atol=1e-9)


def test_a_number_that_does_not_apply_is_in_the_middle_and_known_to_be_absent() -> None:
    points = Points(families())
    fast, slow = points.features(np.array([[0.2, 0.3, 0.9, 0.2], [0.8, 0.3, 0.9, 0.2]]))
    depth = points.owner == points.paths.index("depth")
    assert fast[depth].tolist() == [0.5, 0.5]
    assert slow[depth].tolist() == [1.0, 0.0]


def test_what_is_fixed_has_no_coordinate_and_still_decides_what_applies() -> None:
    points = Points(with_fixed())
    assert points.paths == ["family", "weights", "freeze", "pool"]
    of_a, of_b, of_c = ((branch + 0.5) / 3 for branch in range(3))
    at = np.array(
        [[of_a, 0.2, 0.7, 0.9], [of_a, 0.8, 0.7, 0.9], [of_b, 0.8, 0.7, 0.9], [of_c, 0.2, 0.7, 0.9]]
    )
    assert [points.params(point).keys() - {"family"} for point in at] == [
        {"weights@1", "freeze", "pool"},
        {"weights@1"},
        {"freeze", "pool"},
        set(),
    ]
    features = points.features(at)
    freeze = features[:, points.owner == points.paths.index("freeze")]
    assert freeze.tolist() == [[0.7, 0.0], [0.5, 0.5], [0.7, 0.0], [0.5, 0.5]]
    weights = features[:, points.owner == points.paths.index("weights")]
    assert weights[2].tolist() == weights[0].tolist()  # True, whether it was chosen or fixed
    assert weights[3].tolist() != weights[1].tolist()  # nothing was drawn: the recipe's own


def test_a_value_that_was_taken_out_of_a_space_meets_no_condition() -> None:
    """As where none of a network's variants may be tried: its conditions stay."""
    parameters = (
        Parameter("family", "family", Choice(("a", "b")), {}, ()),
        Parameter("width", "width", Choice((8, 16)), {"family": ("a",)}, ()),
        Parameter("x", "x", Range("float", 0, 1), {"width": (32,)}, ()),
    )
    points = Points(Tree("less", "", parameters, {}))
    at = np.array([[0.2, 0.5, 0.1], [0.8, 0.5, 0.1]])
    assert all("x" not in points.params(point) for point in at)
    assert points.features(at)[:, points.owner == points.paths.index("x")].tolist() == [[0.5, 0.5]] * 2


def test_a_space_of_a_single_recipe_is_a_point_without_coordinates() -> None:
    points = Points(tree(c=Fixed(1)))
    assert points.params(np.zeros(0)) == {}
    assert points.features(np.zeros((3, 0))).shape == (3, 0)
