"""How a cluster is divided among trials."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from search.allowance import Allowance, EndedBy
from search.packing import Kind, Measured, form, kind, together
from search.report.text import count
from search.settings import Settings
from search.trials import Trial
from search.tune.cluster import Cluster, ClusterError
from spaces.recipe import Recipe
from trainables.cost import Cost
from trainables.worker import Slot

TRIALS_A_NODE = 4


@dataclass(frozen=True)
class Resources:
    """What trials get."""

    concurrency: int
    """Trials at a time, at most."""
    worker: Slot
    """Of a worker that shares its GPU with nobody."""
    workers: int = 1
    """Workers a trial."""
    shared_by: int = 1
    """Trials on a GPU, at most."""
    measured: Mapping[Kind, Measured] = field(default_factory=dict)
    """What those cost that may share a GPU."""

    def slot(self, trial: Trial) -> Slot:
        """What each worker of a trial gets."""
        recipe = Recipe.model_validate(trial.recipe)
        known = self.measured.get(kind(recipe))
        if known is None:
            return self.worker
        trials = self.together(known.cost)
        # Rounded down, as Ray counts in ten thousandths: all of them together must not be more than one.
        gpus = math.floor(10_000 / trials) / 10_000
        # Smaller forms of the network may take more at a time, and find out by themselves.
        at_once = known.cost.at_once if form(recipe) == known.form else None
        return Slot(max(1.0, float(self.worker.cpus // trials)), gpus, at_once)

    def together(self, cost: Cost) -> int:
        """How many trials that cost so much share a GPU here."""
        return min(together(cost, cpus=self.worker.cpus), self.shared_by)

    def gpus(self, trial: Trial) -> float:
        """GPUs that a trial reserves."""
        return self.workers * self.slot(trial).gpus

    def require_an_end(self, allowance: Allowance) -> None:
        """Makes sure that a search is not limited by GPU hours alone where it uses none.

        Raises:
            ClusterError: It would never end.
        """
        if set(allowance.limits) == {EndedBy.GPU_HOURS} and not self.worker.gpus:
            raise ClusterError(
                "--gpu-hours would never end this search: its trials get no GPU. Give --time or --trials, or "
                "join a cluster with GPUs by --ray."
            )

    def described(self) -> Iterator[str]:
        """For people, in lines."""
        worker, workers = self.worker, self.workers
        each = f"{count(workers, 'worker')} of {count(worker.cpus, 'CPU')} and {count(worker.gpus, 'GPU')}"
        if not self.measured:
            yield f"{count(self.concurrency, 'trial')} at a time, each with {each}."
            return
        yield f"Up to {count(self.concurrency, 'trial')} at a time, each with a GPU or a part of one:"
        for (name, size_px), known in sorted(self.measured.items()):
            trials, rate = self.together(known.cost), known.cost.images_per_s
            yield f"  {name} at {size_px} px: {trials} on a GPU ({rate:,.0f} pictures/s alone, or more)"


def may_share(cluster: Cluster, settings: Settings) -> bool:
    """Whether trials may share GPUs, as what they cost tells: where nobody said what a trial gets, and all
    GPUs are of one kind."""
    told = settings.gpus_per_trial is not None or settings.cpus_per_trial is not None
    one_kind = cluster.gpus >= 1 and len(cluster.gpu_types) <= 1
    return settings.pack == "auto" and settings.workers_per_trial == 1 and not told and one_kind


def packed(
    resources: Resources, measured: Mapping[Kind, Measured], cluster: Cluster, settings: Settings
) -> Resources:
    """The same with GPUs shared by those that cost so much."""
    gpus = cluster.room(resources.worker.cpus, resources.worker.gpus)
    trials = _trials(settings)
    wanted = min(trials, settings.concurrency or trials)
    # Ray fills one GPU before it takes the next: no more than an even share, lest others stand idle.
    shared = replace(resources, measured=measured, shared_by=math.ceil(wanted / gpus))
    most = max((shared.together(known.cost) for known in measured.values()), default=1)
    return replace(shared, concurrency=min(wanted, gpus * most))


def share(cluster: Cluster, settings: Settings) -> Resources:
    """Divides a cluster among trials.

    On GPUs: a GPU a worker, and of the CPUs what the node with the fewest for each of its GPUs can give.
    Without: as many trials at a time as there are CPUs, up to four on a node, because side by side on few
    threads they train more pictures a second than one after the other on many.

    Raises:
        ClusterError: Not even one trial fits.
    """
    workers = settings.workers_per_trial
    gpus = settings.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if cluster.gpus >= 1 else 0.0
    cpus = settings.cpus_per_trial or _cpus_a_worker(cluster, settings, gpus)
    fits = cluster.room(cpus, gpus) // workers
    if fits < 1:
        nodes = ", ".join(
            f"{count(node.cpus, 'CPU')} and {count(node.gpus, 'GPU')}" for node in cluster.nodes
        )
        each = f"{count(cpus, 'CPU')} and {count(gpus, 'GPU')}"
        raise ClusterError(
            f"a trial asks for {workers} x ({each}), each on one node, and the nodes of "
            f"Ray have: {nodes}. Lower --workers-per-trial, --cpus-per-trial or --gpus-per-trial, or "
            "join a larger cluster with --ray."
        )
    concurrency = min(fits, _trials(settings), settings.concurrency or fits)
    return Resources(concurrency, Slot(cpus, gpus), workers)


def _trials(settings: Settings) -> int:
    """Trials that there may be: where their number has no limit, more than any cluster has room for."""
    return settings.allowance.trials or 10**6


def _cpus_a_worker(cluster: Cluster, settings: Settings, gpus: float) -> float:
    """An equal share of a node's CPUs, on the node where that is least; at least one."""
    usable = [node for node in cluster.nodes if node.gpus >= gpus and node.cpus >= 1]
    wanted = settings.concurrency or (_trials(settings) if gpus else TRIALS_A_NODE * len(usable))
    a_node = math.ceil(wanted * settings.workers_per_trial / max(1, len(usable)))
    shares = []
    for node in usable:
        slots = math.floor(node.gpus / gpus + 1e-9) if gpus else int(node.cpus)
        shares.append(int(node.cpus / min(slots, a_node)))
    return float(max(1, min(shares, default=1)))
