"""What a search is going to have room for, told without Ray being joined or started."""

from __future__ import annotations

from collections.abc import Iterator

from ray._private.resource_and_label_spec import ResourceAndLabelSpec

from search.settings.settings import Settings
from search.tune.cluster import Cluster, cluster_at
from search.tune.nodes import GPU_TYPE, Node, size_of
from search.tune.resources import may_share, share


def this_machine() -> Cluster:
    """What a Ray that is started here finds, by its own count: of CPUs, for one, those of the container."""
    found = ResourceAndLabelSpec().resolve(is_head=True, node_ip_address="127.0.0.1").to_resource_dict()
    types = tuple(sorted(name for name in found if name.startswith(GPU_TYPE)))
    return Cluster("this machine", (Node.of(found),), types)


def foresee(settings: Settings) -> Iterator[str]:
    """Where the trials are going to run, and how many at a time, in lines.

    Raises:
        ClusterError: No cluster answers at the address, or this machine has no room for a trial.
    """
    joined = cluster_at(settings.ray)
    if joined:
        yield f"It joins the Ray cluster at {joined}, which is asked for its room when the search starts."
        return
    machine = this_machine()
    resources = share(machine, settings)
    resources.require_an_end(settings.allowance)
    yield f"It starts Ray on this machine: {size_of(machine.nodes)}."
    yield from resources.described()
    if may_share(machine, settings):
        yield "How many trials share a GPU is measured when the search starts."
