"""Measures on a cluster's GPUs what trainings cost there."""

from __future__ import annotations

from collections.abc import Sequence

import ray
from ray.util import ActorPool
from rich.console import Console
from rich.markup import escape

from search.bars import bars
from search.packing import Kind, kind
from spaces.recipe import Recipe
from trainables.cost import Cost, measure
from trainables.models.create import import_networks
from trainables.runtime import Runtime


class _Probe:
    """A process that has a GPU for itself."""

    def __init__(self, imports: tuple[str, ...]) -> None:
        import_networks(imports)

    def measured(self, recipe: Recipe, classes: int) -> tuple[Kind, Cost | None]:
        try:
            return kind(recipe), measure(recipe, classes, Runtime(threads=1))
        except Exception:  # whatever it is, its trial will tell; until then it gets a GPU for itself
            return kind(recipe), None


def probe(
    recipes: Sequence[Recipe],
    classes: int,
    *,
    gpus: int,
    imports: tuple[str, ...],
    console: Console,
) -> dict[Kind, Cost]:
    """What these trainings cost, as many measured at a time as there are GPUs.

    Returns:
        By kind; those that could not be measured are not there.
    """
    if not recipes:
        return {}
    start = ray.remote(num_gpus=1, num_cpus=1)(_Probe).remote
    probes = [start(imports) for _ in range(min(gpus, len(recipes)))]
    found: dict[Kind, Cost] = {}
    try:
        answers = ActorPool(probes).map_unordered(
            lambda actor, recipe: actor.measured.remote(recipe, classes), recipes
        )
        with bars(console) as bar:
            done = bar("measuring what trainings cost a GPU")
            for number, (of_kind, cost) in enumerate(answers, start=1):
                done(number, len(recipes))
                if cost is not None:
                    found[of_kind] = cost
    except ray.exceptions.RayError as fault:
        console.print(f"[yellow]measuring ended early:[/] {escape(str(fault).strip().splitlines()[0])}")
    finally:
        for actor in probes:
            ray.kill(actor)
    return found
