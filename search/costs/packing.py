"""How trainings share a GPU: as many at a time as it takes to keep it busy, while memory and CPUs carry them.

Processes take turns on a GPU. So trainings side by side add up as long as it would otherwise wait for the
host of one of them, and after that they only make each other slower.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.costs.variants import identity, key, variants
from search.storage.folder import write_text
from spaces.recipe import Recipe
from spaces.space import Space
from trainables.cost import Cost
from trainables.pixels import RESIDENT_SHARE
from trainables.process import usable_bytes

Kind = tuple[str, int]
"""What costs are known by: a network's name and its picture size in pixels."""

MOST = 16
"""Trainings on a GPU."""
HEADROOM = 1.15
"""Over the memory that was measured: it is not cut up the same way each time."""
SMALL_STEM = 16
"""Times the pixels that a network's body then works on, at most."""


def kind(recipe: Recipe) -> Kind:
    """What a recipe's training costs is known by."""
    return recipe.model.name, recipe.geometry.size_px


def form(recipe: Recipe) -> str:
    """What of a recipe decides on what its training costs."""
    return key({**identity(recipe), "batch_size": recipe.optim.batch_size})


@dataclass(frozen=True)
class Measured:
    """What the trainings of a kind cost at most."""

    form: str
    """The one that was measured; see `form`."""
    cost: Cost


def together(cost: Cost, *, cpus: float) -> int:
    """How many such trainings share a GPU.

    Args:
        cpus: That there are for each GPU; a training needs one.
    """
    needed_bytes = cost.memory_bytes * HEADROOM / (1 - 2 * RESIDENT_SHARE)
    most = min(math.ceil(1 / cost.busy), int(cpus), MOST)
    for trainings in range(most, 1, -1):
        if usable_bytes(cost.device_bytes, 1 / trainings) >= needed_bytes:
            return trainings
    return 1


def costliest(space: Space, starts: Iterable[Recipe]) -> list[Recipe]:
    """Of each kind that a search may try, the form that costs most, as far as its numbers tell.

    Args:
        starts: What is tried beside what the space gives.
    """
    found: dict[Kind, Recipe] = {}
    for recipe in [*variants(space, "optim.batch_size").recipes, *starts]:
        known = found.setdefault(kind(recipe), recipe)
        if _weight(recipe) > _weight(known):
            found[kind(recipe)] = recipe
    return list(found.values())


def _weight(recipe: Recipe) -> float:
    """Grows with all that makes a network's training cost more."""
    numbers = [float(value) for value in recipe.model.args.values() if isinstance(value, int | float)]
    stem = SMALL_STEM if recipe.model.stem == "small" else 1
    return stem * recipe.optim.batch_size * math.prod(1 + number for number in numbers)


def load_costs(path: Path, gpu: str) -> dict[str, Cost]:
    """What is known of this kind of GPU, by form. A file that is missing or damaged tells nothing: it can be
    measured again."""
    try:
        return {form: Cost(**cost) for form, cost in _read(path)[gpu].items()}
    except (KeyError, TypeError, AttributeError):
        return {}


def save_costs(path: Path, gpu: str, costs: Mapping[str, Cost]) -> None:
    """Writes what is known of this kind of GPU into a file, beside what it says of others."""
    known = {form: asdict(cost) for form, cost in costs.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({**_read(path), gpu: known}, indent=1) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
