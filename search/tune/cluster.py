"""Joining or starting Ray, and what it offers."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

import ray

from spaces.errors import InputError

OBJECT_STORE_BYTES = 200 * 1024**2  # a split and some numbers: trials share pictures through the file cache


class ClusterError(InputError):
    """Ray cannot be joined or started, or has too little for what is asked."""


@dataclass(frozen=True)
class Cluster:
    """A Ray that this process is connected to."""

    description: str
    """For people: joined or started, where, with what."""
    cpus: float
    gpus: float
    nodes: int


@contextlib.contextmanager
def connected(address: str, *, worker_groups: bool) -> Iterator[Cluster]:
    """Connects to Ray, until the end of the `with` block.

    Args:
        address: `local` starts a Ray on this machine for this search alone; `auto` joins a cluster that
            RAY_ADDRESS names or that runs on this machine, else starts one; anything else is joined.
        worker_groups: Whether trials start worker groups. Ray Train returns a stopped group's resources
            with the help of the dashboard's process, so a Ray started here then has one.

    Raises:
        ClusterError: The address does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    joined = False
    if address != "local":
        try:
            ray.init(address=address, **quiet)
            joined = True
        except (ConnectionError, ValueError, RuntimeError) as fault:
            if address != "auto":
                raise ClusterError(
                    f"--ray {address}: no Ray cluster answers there ({fault}). Start one (ray up "
                    "cluster.yaml, or ray start --head), give its address, or use --ray local."
                ) from fault
    if not joined:
        ray.init(
            address="local",
            include_dashboard=worker_groups,
            object_store_memory=OBJECT_STORE_BYTES,
            **quiet,
        )
    resources = ray.cluster_resources()
    nodes = sum(node["Alive"] for node in ray.nodes())
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    where = ray.get_runtime_context().gcs_address
    what = f"{nodes} node{'s' * (nodes != 1)}, {cpus:g} CPUs, {gpus:g} GPUs"
    verb = "joined the Ray cluster at" if joined else "started Ray on this machine,"
    try:
        yield Cluster(f"{verb} {where}: {what}", cpus, gpus, nodes)
    finally:
        ray.shutdown()
