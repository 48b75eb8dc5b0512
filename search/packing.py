"""How trainings share a GPU: as many at a time as it takes to keep it busy, while memory and CPUs carry them.

Processes take turns on a GPU. So trainings side by side add up as long as it would otherwise wait for the
host of one of them, and after that they only make each other slower.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from search.folder import FolderError, write_text
from search.variants import variants
from spaces.recipe import Recipe
from spaces.space import Space
from trainables.cost import Cost
from trainables.models.size import parameters

Kind = tuple[str, int]
"""What costs are known by: a network's name and its picture size in pixels."""

MOST = 16
"""Trainings on a GPU."""
HEADROOM = 1.15
"""Over the memory that was measured: it is not cut up the same way each time."""
PROCESS_BYTES = 600 << 20
"""What CUDA itself takes for each process."""
USABLE = 0.95
"""Of a GPU's memory."""


def kind(recipe: Recipe) -> Kind:
    """What a recipe's training costs is known by."""
    return recipe.model.name, recipe.geometry.size_px


def together(cost: Cost, *, cpus: float) -> int:
    """How many such trainings share a GPU.

    Args:
        cpus: That there are for each GPU; a training needs one.
    """
    each_bytes = cost.memory_bytes * HEADROOM + PROCESS_BYTES
    fit = int(cost.device_bytes * USABLE / each_bytes)
    return max(1, min(math.ceil(1 / cost.busy), fit, int(cpus), MOST))


def costliest(space: Space, starts: Iterable[Recipe], classes: int) -> list[Recipe]:
    """Of each kind that a search may try, the network with the most parameters and the largest batch.

    Args:
        starts: What is tried beside what the space gives.
    """

    def size(recipe: Recipe) -> tuple[int, int]:
        return parameters(recipe, classes), recipe.optim.batch_size

    found: dict[Kind, Recipe] = {}
    for recipe in [*variants(space, "optim.batch_size").recipes, *starts]:
        known = found.get(kind(recipe))
        if known is None or size(recipe) > size(known):
            found[kind(recipe)] = recipe
    return list(found.values())


def keep(path: Path, gpus: Sequence[str], costs: Mapping[Kind, Cost]) -> None:
    """Writes what was measured on these GPUs to a file."""
    known = [{"model": name, "size_px": px, **asdict(cost)} for (name, px), cost in costs.items()]
    write_text(path, json.dumps({"gpus": list(gpus), "costs": known}, indent=1) + "\n")


def kept(path: Path, gpus: Sequence[str]) -> dict[Kind, Cost]:
    """What `keep` wrote; nothing where there is no such file, or one of other GPUs.

    Raises:
        FolderError: The file is damaged.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["gpus"] != list(gpus):
            return {}
        return {(entry.pop("model"), entry.pop("size_px")): Cost(**entry) for entry in content["costs"]}
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as fault:
        raise FolderError(f"{path} does not hold the costs of networks: {fault}") from fault
