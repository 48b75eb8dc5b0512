"""Configurations of a tree as points of a unit cube, and as the features by which a model compares them.

A point has one coordinate a dotted path, not one a parameter: alternatives of a path (`optim.lr` for AdamW
and for SGD) share it, each in its own range. What is learnt of one branch of a conditional space is thus
known in the others, and a configuration is carried into another branch by changing a single coordinate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from search.policy.unit_cube import count_of, place_of, value_at
from spaces.domains import Choice, Fixed, Range, Value, same, takes
from spaces.parameters import Parameter
from spaces.tree import Tree

KIND = np.sqrt(0.5)
"""Feature of a value without an order: two of them are 1 apart, as the ends of a range are."""
ABSENT = 0.5
"""Feature of a parameter that does not apply, and the place in its range that it then has."""


class Points:
    """The cube of a tree; points are float (N, P), each coordinate from 0 to 1."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._parameters = [_Drawn(parameter) for parameter in tree.parameters]
        self.paths = list(dict.fromkeys(drawn.path for drawn in self._parameters if not drawn.is_fixed))
        """Of the coordinates, in order."""
        for drawn in self._parameters:
            drawn.place = -1 if drawn.is_fixed else self.paths.index(drawn.path)
        self._referred = {path: self._all_values(path) for p in tree.parameters for path in p.when}
        # By a parameter's name. They are looked up for each batch of points: hundreds a suggestion.
        self._codes = {
            p.name: np.array([_index(self._referred[p.path], value) for value in p.domain.values or ()])
            for p in tree.parameters
            if p.path in self._referred
        }
        self._conditions = {
            p.name: [(path, self._meets(path, allowed)) for path, allowed in p.when.items()]
            for p in tree.parameters
        }
        self._columns: list[_Columns] = []
        owner: list[int] = []
        for place, path in enumerate(self.paths):
            ways = [drawn for drawn in self._parameters if drawn.path == path]
            self._columns.append(_Columns(len(owner), ways))
            owner += [place] * self._columns[-1].width
        self.branch_place, self.branch_count = self._branching()
        self.owner = np.array(owner, dtype=int)
        """int (F,): the coordinate that each feature is of."""

    @property
    def size(self) -> int:
        """P."""
        return len(self.paths)

    def branches(self, points: np.ndarray) -> np.ndarray:
        """Which branch each point is in, int (N,): the value of the path that most conditions refer to, such
        as the network's name; one for all where there are no conditions."""
        if self.branch_place is None:
            return np.zeros(len(points), dtype=int)
        return np.minimum(
            (points[:, self.branch_place] * self.branch_count).astype(int), self.branch_count - 1
        )

    def moved(self, points: np.ndarray, branch: int) -> np.ndarray:
        """The points, in this branch."""
        points = points.copy()
        if self.branch_place is not None:
            points[:, self.branch_place] = (branch + 0.5) / self.branch_count
        return points

    def features(self, points: np.ndarray) -> np.ndarray:
        """Float (N, F). A number, or one of several, is at its place in its range, on the scale that it is
        drawn on. Of other values each has a feature, and so has being absent."""
        found = np.zeros((len(points), len(self.owner)))
        active = self._active(points)
        for columns in self._columns:
            absent = np.ones(len(points), dtype=bool)
            for drawn in columns.ways:
                rows = np.flatnonzero(active[drawn.name])
                absent[rows] = False
                if drawn.ordered:
                    found[rows, columns.start] = drawn.snapped(points[rows])
                else:
                    found[rows, columns.kinds[drawn.name][drawn.steps(points[rows])]] = KIND
            if columns.has_number:
                found[absent, columns.start] = ABSENT
            if columns.optional:
                found[absent, columns.start + columns.width - 1] = ABSENT
        return found

    def params(self, point: np.ndarray) -> dict[str, Any]:
        """The parameters that apply at a point, float (P,), as an Optuna trial has them."""
        values, params = self.values(point), {}

        def given(parameter: Parameter, domain: Range | Choice) -> Any:
            params[parameter.name] = values[parameter.name]
            return values[parameter.name]

        self.tree.values(given)
        return params

    def values(self, point: np.ndarray) -> dict[str, Any]:
        """What each parameter that is drawn has at a point, float (P,), if it applies, by name."""
        return {
            drawn.name: value_at(drawn.distribution, float(point[drawn.place]))
            for drawn in self._parameters
            if not drawn.is_fixed
        }

    def point(self, params: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
        """A point that has these parameters, float (P,); what they leave open is random."""
        point = rng.random(len(self.paths))
        for drawn in self._parameters:
            if drawn.name in params:
                point[drawn.place] = place_of(drawn.distribution, params[drawn.name])
        return point

    def _branching(self) -> tuple[int | None, int]:
        """The coordinate that branches are told by, and how many there are."""
        referred = [path for parameter in self.tree.parameters for path in parameter.when]
        known = [path for path in referred if path in self.paths]
        if not known:
            return None, 1
        path = max(dict.fromkeys(known), key=known.count)
        counts = [drawn.count for drawn in self._parameters if drawn.path == path]
        return self.paths.index(path), max(count or 1 for count in counts)

    def _all_values(self, path: str) -> list[Value]:
        """What a path that conditions refer to may have."""
        found: list[Value] = [self.tree.defaults[path]] if path in self.tree.defaults else []
        for parameter in self.tree.parameters:
            if parameter.path == path:
                found += [value for value in parameter.domain.values or () if not takes(found, value)]
        return found

    def _meets(self, path: str, allowed: Sequence[Value]) -> np.ndarray:
        """Which values of a path meet a condition, bool (V + 1,): the last place, found by -1, is of none."""
        return np.array([*(takes(allowed, value) for value in self._referred[path]), False])

    def _active(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """Which parameters apply, by name, bool (N,)."""
        known = {}
        for path, values in self._referred.items():
            code = _index(values, self.tree.defaults[path]) if path in self.tree.defaults else -1
            known[path] = np.full(len(points), code)
        found = {}
        for parameter, drawn in zip(self.tree.parameters, self._parameters, strict=True):
            applies = np.ones(len(points), dtype=bool)
            for path, meets in self._conditions[parameter.name]:
                applies &= meets[known[path]]
            found[parameter.name] = applies
            if parameter.path in known:
                codes = self._codes[parameter.name][drawn.steps(points)]
                known[parameter.path] = np.where(applies, codes, known[parameter.path])
        return found


class _Drawn:
    """A parameter, and how a coordinate becomes one of its values."""

    place = -1
    """Of its coordinate."""

    def __init__(self, parameter: Parameter) -> None:
        domain = parameter.domain
        self.name, self.path, self.conditional = parameter.name, parameter.path, bool(parameter.when)
        self.is_fixed = isinstance(domain, Fixed)
        self.values: Sequence[Value] = domain.values or ()
        self.count: int | None = 1
        if isinstance(domain, Fixed):
            self.ordered = False
            return
        self.distribution = domain.distribution
        self.count = count_of(self.distribution)
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)
        self.ordered = isinstance(domain, Range) or numbers
        if self.ordered:
            values = np.array(self.values or range(self.count or 0))
            self._rank = np.argsort(np.argsort(values))

    def steps(self, points: np.ndarray) -> np.ndarray:
        """Which of its values, int (N,)."""
        if self.is_fixed:
            return np.zeros(len(points), dtype=int)
        assert self.count is not None
        return np.minimum((points[:, self.place] * self.count).astype(int), self.count - 1)

    def snapped(self, points: np.ndarray) -> np.ndarray:
        """Where its values are between the lowest and the highest, float (N,)."""
        if self.count is None:
            return points[:, self.place]
        return self._rank[self.steps(points)] / max(self.count - 1, 1)


class _Columns:
    """The features of one path."""

    def __init__(self, start: int, ways: Sequence[_Drawn]) -> None:
        self.start, self.ways = start, ways
        self.has_number = any(way.ordered for way in ways)
        self.optional = all(way.conditional for way in ways)
        values: list[Value] = []
        self.kinds: dict[str, np.ndarray] = {}
        """By parameter, the column of each of its values."""
        for way in ways:
            if not way.ordered:
                values += [value for value in way.values if not takes(values, value)]
                columns = [start + self.has_number + _index(values, value) for value in way.values]
                self.kinds[way.name] = np.array(columns)
        self.width = self.has_number + len(values) + self.optional


def _index(values: Sequence[Value], wanted: Value) -> int:
    """Of a value; -1 where there is none."""
    return next((place for place, value in enumerate(values) if same(value, wanted)), -1)
