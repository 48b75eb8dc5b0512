"""What a surrogate of recorded curves takes for the best: where searches go, and where to record next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.quality.curves import Surrogate, encoded
from benchmarks.quality.random_params import random_params
from benchmarks.quality.recorded import Kind, space

RANDOM = 2_000
ROUNDS = 3
PARENTS, CHANGES = 20, 25
"""In each round so many of the best are changed, each so often."""
KEPT = ("model.name", "optim.name")
"""What a change leaves as it is: other parameters would lose their domain."""
APART = 0.5
"""How far a recipe must be from recorded ones, as the distance between encoded ones: half of a parameter's
range, or a little of several."""


def bests(
    surrogate: Surrogate, pictures: Kind, rng: np.random.Generator, *, family: str | None = None
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Random configurations and changes of the best of them, by what they would come to.

    Args:
        family: Only networks of it.

    Returns:
        Parameters, the best first, and the final accuracies that the surrogate predicts, float (N,).
    """
    fixed = {} if family is None else {"model.name": family}
    found = [random_params(space(), rng, **fixed) for _ in range(RANDOM)]
    finals = _finals(surrogate, pictures, found)
    for _ in range(ROUNDS):
        parents = [found[at] for at in np.argsort(-finals)[:PARENTS]]
        changes = [_changed(parent, rng) for parent in parents for _ in range(CHANGES)]
        found += changes
        finals = np.append(finals, _finals(surrogate, pictures, changes))
    order = np.argsort(-finals)
    return [found[at] for at in order], finals[order]


def best_not_recorded(
    surrogate: Surrogate, pictures: Kind, rng: np.random.Generator, *, family: str | None = None
) -> tuple[dict[str, Any], float]:
    """The best that is not near any training that the surrogate is fitted to.

    Returns:
        Its parameters, and the final accuracy that is predicted.
    """
    found, finals = bests(surrogate, pictures, rng, family=family)
    known = np.array([encoded(one.config, one.pictures) for one in surrogate.recorded])
    for params, final in zip(found, finals, strict=True):
        if np.linalg.norm(known - encoded(space().drawn(params), pictures), axis=1).min() >= APART:
            return params, float(final)
    raise RuntimeError(f"{len(found)} configurations are all recorded")  # of more than twenty parameters


def _finals(surrogate: Surrogate, pictures: Kind, params: Sequence[dict[str, Any]]) -> np.ndarray:
    recipes = np.array([encoded(space().drawn(one), pictures) for one in params])
    return np.nan_to_num(surrogate.predict(recipes)[:, -1])  # what diverges is the worst


def _changed(params: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """The same parameters, but for one that is drawn anew."""
    changed = rng.choice([name for name in params if name not in KEPT])
    values = space().drawn(params)
    return random_params(
        space(),
        rng,
        **{p.path: values[p.path] for p in space().parameters if p.name in params and p.name != changed},
    )
