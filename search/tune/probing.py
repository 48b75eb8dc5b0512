"""Measures on a cluster's GPUs what trainings cost there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import ray
from ray.util import ActorPool
from rich.console import Console
from rich.markup import escape

from search.console.bars import bars
from search.costs.packing import Kind, Measured, costliest, form, kind, load_costs, save_costs
from search.planning.plan import Plan
from search.tune.cluster import Cluster
from spaces.recipe import Recipe
from trainables.cost import Cost, measure
from trainables.models.create import import_networks
from trainables.runtime import Runtime

PATIENCE_S = 300.0
"""In which one measurement has to end: on a cluster that others use too, the GPUs may all be taken."""


class _Probe:
    """A process that has a GPU for itself."""

    def __init__(self, imports: tuple[str, ...]) -> None:
        import_networks(imports)

    def measured(self, recipe: Recipe, classes: int) -> tuple[Recipe, Cost | None]:
        try:
            return recipe, measure(recipe, classes, Runtime(threads=1))
        except Exception:  # whatever it is, its trial will tell; until then it gets a GPU for itself
            return recipe, None


def measured(plan: Plan, cluster: Cluster, console: Console) -> dict[Kind, Measured]:
    """What a search's trainings cost on the GPUs of a cluster, measured where it is not known from before."""
    file, gpu = Path(plan.settings.cache_dir) / "gpu_costs.json", " ".join(cluster.gpu_types) or "unknown"
    known = load_costs(file, gpu)
    starts = [Recipe.model_validate(start.recipe) for start in plan.starts]
    wanted = [recipe for recipe in costliest(plan.offered, starts) if plan.networks.fits(recipe)]
    unknown = [recipe for recipe in wanted if form(recipe) not in known]
    for recipe, cost in probe(
        unknown,
        len(plan.prepared.classes),
        at_a_time=cluster.room(cpus=1, gpus=1),
        imports=plan.settings.imports,
        console=console,
    ):
        known[form(recipe)] = cost
        save_costs(file, gpu, known)
    return {
        kind(recipe): Measured(form(recipe), known[form(recipe)])
        for recipe in wanted
        if form(recipe) in known
    }


def probe(
    recipes: Sequence[Recipe], classes: int, *, at_a_time: int, imports: tuple[str, ...], console: Console
) -> Iterator[tuple[Recipe, Cost]]:
    """What these trainings cost, each as soon as it is known; those that cannot be measured are left out.

    Args:
        at_a_time: How many GPUs there are that have a CPU.
    """
    start = ray.remote(num_gpus=1, num_cpus=1)(_Probe).remote
    probes = [start(imports) for _ in range(min(at_a_time, len(recipes)))]
    pool = ActorPool(probes)
    try:
        for recipe in recipes:
            pool.submit(lambda actor, recipe: actor.measured.remote(recipe, classes), recipe)
        with bars(console) as bar:
            done = bar("measuring what trainings cost a GPU")
            for number in range(len(recipes)):
                done(number, len(recipes))
                recipe, cost = pool.get_next_unordered(timeout=PATIENCE_S)
                if cost is not None:
                    yield recipe, cost
    except (ray.exceptions.RayError, TimeoutError) as fault:
        reason = (str(fault).strip() or "no GPU was free").splitlines()[0]
        console.print(f"[yellow]measuring ended early:[/] {escape(reason)}")
    finally:
        for actor in probes:
            ray.kill(actor)
