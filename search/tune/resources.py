"""How a cluster is divided among trials."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from search.costs.packing import Kind, Measured, form, kind, together
from search.settings.allowance import Allowance, EndedBy
from search.settings.settings import Ask, Settings
from search.text import count
from search.trials.trials import Trial
from search.tune.cluster import Cluster, ClusterError
from search.tune.nodes import Node, NodeType
from spaces.recipe import Recipe
from trainables.cost import Cost
from trainables.workplace import Slot

TRIALS_A_NODE = 4


Pool = tuple[bool, str | None]
"""Where trials wait for the same: whether they need GPUs, and of which type."""


@dataclass(frozen=True)
class Resources:
    """What trials get."""

    concurrency: int
    """Trials at a time, at most, on the nodes that there were at the start and those that may be added."""
    worker: Slot
    """Of a worker that shares its GPU with nobody."""
    workers: int = 1
    """Workers a trial."""
    shared_by: int = 1
    """Trials on a GPU, at most."""
    measured: Mapping[Kind, Measured] = field(default_factory=dict)
    """What those cost that may share a GPU."""
    families: Mapping[str, Slot] = field(default_factory=dict)
    """What workers of other families get, by patterns of networks' names: the first that fits counts."""

    def slot(self, trial: Trial) -> Slot:
        """What each worker of a trial gets."""
        recipe = Recipe.model_validate(trial.recipe)
        for pattern, slot in self.families.items():
            if fnmatchcase(recipe.model.name, pattern):
                return slot
        known = self.measured.get(kind(recipe))
        if known is None:
            return self.worker
        # Smaller forms of the network may take more at a time, and find out by themselves.
        at_once = known.cost.at_once if form(recipe) == known.form else None
        return replace(self._part(self.together(known.cost)), at_once=at_once)

    def _part(self, trials: int) -> Slot:
        """A worker's slot where so many share its GPU."""
        # Rounded down, as Ray counts in ten thousandths: all of them together must not be more than one.
        return Slot(self.worker.cpus / trials, math.floor(10_000 / trials) / 10_000)

    def room(self, slot: Slot, kinds: Iterable[NodeType]) -> int:
        """How many trials with this slot a worker fit on these nodes at a time."""
        fits = (kind.most * kind.node.room(slot.cpus, slot.gpus, slot.gpu_type) for kind in kinds)
        return sum(fits) // self.workers

    def places(self, kinds: Collection[NodeType]) -> dict[Pool, int]:
        """How many trials fit on these nodes at a time, those that take least, for each pool."""
        parts = {self._part(self.together(known.cost)) for known in self.measured.values()}
        found: dict[Pool, int] = {}
        for slot in (self.worker, *self.families.values(), *parts):
            found[pool(slot)] = max(found.get(pool(slot), 0), self.room(slot, kinds))
        return found

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
        slots = (self.worker, *self.families.values())
        if set(allowance.limits) == {EndedBy.GPU_HOURS} and not any(slot.gpus for slot in slots):
            raise ClusterError(
                "--gpu-hours would never end this search: its trials get no GPU. Give --time or --trials, or "
                "join a cluster with GPUs by --ray."
            )

    def described(self) -> Iterator[str]:
        """For people, in lines."""
        if self.families:
            yield f"Up to {count(self.concurrency, 'trial')} at a time, each with what its network gets:"
            for pattern, slot in self.families.items():
                yield f"  {pattern}: {self.asked(slot)}"
            yield f"  others: {self.asked(self.worker)}"
            return
        if not self.measured:
            yield f"{count(self.concurrency, 'trial')} at a time, each with {self.asked(self.worker)}."
            return
        yield f"Up to {count(self.concurrency, 'trial')} at a time, each with a GPU or a part of one:"
        for (name, size_px), known in sorted(self.measured.items()):
            trials, rate = self.together(known.cost), known.cost.images_per_s
            yield f"  {name} at {size_px} px: {trials} on a GPU ({rate:,.0f} pictures/s alone, or more)"

    def asked(self, slot: Slot) -> str:
        """What a trial with this slot a worker asks for, for people."""
        kind = f" ({slot.gpu_type})" if slot.gpu_type else ""
        each = f"{count(slot.cpus, 'CPU')} and {count(slot.gpus, 'GPU')}{kind}"
        return f"{count(self.workers, 'worker')} of {each}"


def pool(slot: Slot) -> Pool:
    """Trials of one pool wait for the same nodes."""
    return slot.gpus > 0, slot.gpu_type


def may_share(cluster: Cluster, settings: Settings) -> bool:
    """Whether trials may share GPUs, as what they cost tells: where nobody said what a trial gets, and all
    GPUs are of one kind."""
    told = settings.resources or (settings.gpus_per_trial, settings.cpus_per_trial) != (None, None)
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
        ClusterError: Not even one trial fits, of some family: not on the nodes that there are, and not on
            those that an autoscaler may add.
    """
    gpus = settings.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if any(kind.node.gpus >= 1 for kind in cluster.kinds) else 0.0
    workers = settings.workers_per_trial
    worker = Slot(settings.cpus_per_trial or _cpus_a_worker(cluster, settings, Slot(0, gpus)), gpus)
    families = {name: _slot(ask, worker, cluster, settings) for name, ask in settings.resources.items()}
    found = Resources(0, worker, workers, families=families)
    options = "--workers-per-trial, --cpus-per-trial or --gpus-per-trial"
    for name, slot in {**families, "": worker}.items():
        if found.room(slot, cluster.kinds) < 1 and not (name == "" and "*" in families):
            of, lower = (f" of {name}", "--resources") if name else ("", options)
            raise ClusterError(
                f"a trial{of} asks for {found.asked(slot)}, each on one node, and {cluster}. Lower {lower}, "
                "or join a larger cluster with --ray."
            )
    fits = sum(found.places(cluster.kinds).values())
    return replace(found, concurrency=min(fits, most_wanted(settings)))


def most_wanted(settings: Settings) -> int:
    """Trials at a time, however large the cluster becomes."""
    return min(_trials(settings), settings.concurrency or _trials(settings))


def _trials(settings: Settings) -> int:
    """Trials that there may be: where their number has no limit, more than any cluster has room for."""
    return settings.allowance.trials or 10**6


def _slot(ask: Ask, worker: Slot, cluster: Cluster, settings: Settings) -> Slot:
    """What a worker of a family gets: what is not asked for, as for all others."""
    gpus = worker.gpus if ask.gpus is None else ask.gpus
    found = Slot(0, gpus, gpu_type=ask.accelerator_type)
    told = ask.cpus or settings.cpus_per_trial
    return replace(found, cpus=told or _cpus_a_worker(cluster, settings, found))


def _cpus_a_worker(cluster: Cluster, settings: Settings, slot: Slot) -> float:
    """An equal share of a node's CPUs, on the node where that is least; at least one.

    Args:
        slot: What it gets beside.
    """
    gpus = slot.gpus

    def usable(nodes: Iterable[Node]) -> list[Node]:
        return [node for node in nodes if node.room(1, gpus, slot.gpu_type)]

    nodes = usable(cluster.nodes) or usable(kind.node for kind in cluster.to_come)
    wanted = settings.concurrency or (_trials(settings) if gpus else TRIALS_A_NODE * len(nodes))
    a_node = math.ceil(wanted * settings.workers_per_trial / max(1, len(nodes)))
    shares = []
    for node in nodes:
        slots = math.floor(node.gpus / gpus + 1e-9) if gpus else int(node.cpus)
        shares.append(int(node.cpus / min(slots, a_node)))
    return float(max(1, min(shares, default=1)))
