"""Joining or starting Ray, and what it offers."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import ray

from search.tune.nodes import GPU_TYPE, Node, NodeType, node_types, nodes_alive, size_of, there_are
from search.tune.private import secure_token, start_private
from spaces.errors import InputError

DEFAULT_PORT = 6379  # of `ray start --head`
OBJECT_STORE_BYTES = 200 * 1024**2  # a split and some numbers: trials share pictures through the file cache

QUICK_START = {
    "RAY_raylet_client_connect_timeout_milliseconds": "20",
    "RAY_raylet_client_num_connect_attempts": "500",
}
"""Ray's processes look for each other's sockets at once and after a second: too early, then late. As long in
all, but more often."""

MOST_PROCESSES = 8
"""Processes for trials that start before there is one, each of some 300 MB: Ray starts as many as CPUs."""


class ClusterError(InputError):
    """Ray cannot be joined or started, or has too little for what is asked."""


@dataclass(frozen=True)
class Cluster:
    """A Ray that this process is connected to."""

    description: str
    """For people: joined or started, where, with what."""
    nodes: tuple[Node, ...]
    gpu_types: tuple[str, ...] = ()
    """Kinds of GPUs, as far as Ray knows them."""
    joined: bool = False
    """Whether it was there before, with other machines perhaps, now or later."""
    to_come: tuple[NodeType, ...] = ()
    """What its autoscaler may add; empty where it has none."""

    @property
    def cpus(self) -> float:
        """CPUs of all nodes."""
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        """GPUs of all nodes."""
        return sum(node.gpus for node in self.nodes)

    @property
    def kinds(self) -> tuple[NodeType, ...]:
        """All nodes that there are or may be."""
        return (*(NodeType(node, 1) for node in self.nodes), *self.to_come)

    def room(self, cpus: float, gpus: float) -> int:
        """How many workers of so many CPUs and GPUs fit at a time: none is spread over nodes."""
        return sum(node.room(cpus, gpus) for node in self.nodes)

    def __str__(self) -> str:
        """What there is, and what may come, for people."""
        return there_are(self.nodes, self.to_come)


def cluster_at(address: str) -> str | None:
    """Where the cluster is that `connect` joins; None where it starts a Ray.

    Raises:
        ClusterError: The address does not answer.
    """
    named = os.environ.get("RAY_ADDRESS") if address == "auto" else address
    if named in ("", "auto", "local"):
        named = None
    if named and "://" in named:
        raise ClusterError(
            f"{named} (--ray, or RAY_ADDRESS) is no address that a search can join: give a host and a port, "
            f"such as 10.0.0.1:{DEFAULT_PORT}, or --ray local."
        )
    if named and not _answers(named):
        raise ClusterError(
            f"no Ray cluster answers at {named}. Start one with `ray start --head`, give its address with "
            "--ray (host:port), or use --ray local."
        )
    return named or (_started_here() if address == "auto" else None)


def connect(address: str, *, worker_groups: bool, folder: Path) -> Cluster:
    """Connects this process to Ray, until `ray.shutdown`.

    Args:
        address: `local` starts a Ray on this machine for this search alone; `auto` joins the cluster that
            RAY_ADDRESS names or that `ray start` started on this machine, else starts one; anything else
            is joined.
        worker_groups: Whether trials start worker groups. Ray Train returns a stopped group's resources
            with the help of the dashboard's process, so a Ray started here then has one.
        folder: For what a Ray that is started here writes; see `start_private`.

    Raises:
        ClusterError: The address does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    joined = cluster_at(address)
    if joined:
        secure_token()
        try:
            ray.init(address=joined, **quiet)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as fault:
            raise ClusterError(
                f"the Ray cluster at {joined} does not take this process in: {fault}. It must have this "
                f"version of Ray ({ray.__version__}); RAY_AUTH_MODE=token must be set for `ray start` and "
                "for this command alike, and the token (~/.ray/auth_token) must be the same."
            ) from fault
    else:
        cpus = os.cpu_count() or 1
        beforehand = not worker_groups and cpus <= MOST_PROCESSES
        with _environment(QUICK_START | (_processes_beforehand(cpus) if beforehand else {})):
            try:
                start_private(
                    folder,
                    include_dashboard=worker_groups,
                    object_store_memory=OBJECT_STORE_BYTES,
                    # The helper of a worker group that returns its resources asks for "the" cluster, and with
                    # another Ray on this machine it would ask the wrong one.
                    runtime_env={"worker_process_setup_hook": _know_own_cluster} if worker_groups else None,
                    **quiet,
                )
            except Exception as fault:  # Ray raises nothing more special
                raise ClusterError(f"Ray cannot be started on this machine: {fault}") from fault
    nodes = nodes_alive()
    types = sorted(name for name in ray.cluster_resources() if name.startswith(GPU_TYPE))
    to_come = node_types() if joined else ()
    cluster = Cluster("", nodes, tuple(types), joined=bool(joined), to_come=to_come)
    where = ray.get_runtime_context().gcs_address
    verb = "joined the Ray cluster at" if joined else "started Ray on this machine,"
    return replace(cluster, description=f"{verb} {where}: {size_of(nodes)}")


def _processes_beforehand(cpus: int) -> dict[str, str]:
    """Has Ray start a process for each CPU at once; the first trials find theirs.

    Each imports what a trial needs.
    """
    return {
        "RAY_preload_python_modules": "search.tune.preload",
        "RAY_enable_worker_prestart": "1",
        "RAY_prestart_worker_first_driver": "0",  # that would be later
        # Else Ray ends those that wait as soon as a trial has reserved its CPUs, and starts others for it.
        "RAY_num_workers_soft_limit": str(cpus),
    }


@contextlib.contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    """Sets environment variables within this block, but those that the user has set."""
    new = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


def _know_own_cluster() -> None:
    """Runs at the start of every worker process."""
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address


def _started_here() -> str | None:
    """The cluster that `ray start` noted on this machine.

    Not Ray's own "auto": that also joins the private Ray of another search, which ends with that search. Nor
    by a note of somebody else, which anybody may leave there: who joins a cluster runs what it says.
    """
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    try:
        with open(os.open(note, os.O_RDONLY | os.O_NOFOLLOW)) as file:
            mine = os.fstat(file.fileno()).st_uid in (0, os.getuid())
            address = file.read().strip() if mine else ""
    except (OSError, UnicodeDecodeError):
        return None
    return address if address and _answers(address) else None  # a cluster that died leaves its note


def _answers(address: str) -> bool:
    """Whether something listens there: Ray itself would try a dead address for many minutes."""
    place = urlsplit(address if "//" in address else f"//{address}")
    try:
        with socket.create_connection((place.hostname or "", place.port or DEFAULT_PORT), timeout=5):
            return True
    except (OSError, ValueError):
        return False
