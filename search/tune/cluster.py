"""Joining or starting Ray, and what it offers."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import ray

from spaces.errors import InputError

DEFAULT_PORT = 6379  # of `ray start --head`
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
        address: `local` starts a Ray on this machine for this search alone; `auto` joins the cluster that
            RAY_ADDRESS names or that `ray start` started on this machine, else starts one; anything else
            is joined.
        worker_groups: Whether trials start worker groups. Ray Train returns a stopped group's resources
            with the help of the dashboard's process, so a Ray started here then has one.

    Raises:
        ClusterError: The address does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    named = os.environ.get("RAY_ADDRESS") if address == "auto" else None if address == "local" else address
    if named and not _answers(named):
        raise ClusterError(
            f"no Ray cluster answers at {named}. Start one with `ray start --head`, give its address with "
            "--ray (host:port), or use --ray local."
        )
    joined = named or (_started_here() if address == "auto" else None)
    if joined:
        ray.init(address=joined, **quiet)
    else:
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


def _started_here() -> str | None:
    """The cluster that `ray start` noted on this machine.

    Not Ray's own "auto": that also joins the private Ray of another search, which ends with that search.
    """
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    address = note.read_text().strip() if note.exists() else ""
    return address if address and _answers(address) else None  # a cluster that died leaves its note


def _answers(address: str) -> bool:
    """Whether something listens there: Ray itself would try a dead address for many minutes."""
    place = urlsplit(address if "//" in address else f"//{address}")
    try:
        with socket.create_connection((place.hostname or "", place.port or DEFAULT_PORT), timeout=5):
            return True
    except (OSError, ValueError):
        return False
