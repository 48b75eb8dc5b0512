"""Whether every node of a cluster can use the folder in which trials keep their states."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.tune.cluster import ClusterError
from trainables.storage import Storage, StorageError

PATIENCE_S = 60.0
"""For the answers of the nodes; on one that does not answer, nothing is known."""


def require_reach(home: Storage, *, stored: bool) -> None:
    """Makes sure that what this process writes there is read on every node, and the other way round.

    A folder of the same path on each node's own disk would go unnoticed until a node is lost: its trials
    would start from scratch elsewhere.

    Args:
        home: The search's folder for what trials store.
        stored: Whether it is in a storage.

    Raises:
        ClusterError: Some nodes cannot; the message names them.
        StorageError: The folder cannot be written to from here.
    """
    try:
        faults = _faults(home)
    except OSError as fault:
        raise StorageError(f"{home} cannot be used: {fault}.") from fault
    if not faults:
        return
    said = "; ".join(f"on {host}: {fault}" for host, fault in sorted(faults.items()))
    if stored:
        raise ClusterError(
            f"the storage {home} cannot be used on every node of the cluster ({said}). Each node needs the "
            "same path or network, and credentials of its own."
        )
    raise ClusterError(
        f"{home} is not the same folder on every node of the cluster ({said}). Trials keep their states "
        "there. Give --storage: a folder that all nodes share, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER."
    )


def _faults(home: Storage) -> Mapping[str, str]:
    """What is wrong, by the names of the nodes where something is."""
    name = f".seen-by-all-{uuid4().hex}"
    home.write(name, name.encode())
    try:
        asked = {
            _visit.options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(home, name): node["NodeManagerHostname"]
            for node in ray.nodes()
            if node["Alive"]
        }
        answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE_S)
        return {asked[visit]: fault for visit in answered if (fault := _answer(visit))}
    finally:
        home.delete(name)


def _answer(visit: ray.ObjectRef) -> str:
    try:
        return str(ray.get(visit))
    except ray.exceptions.RayError:
        return ""  # the node has gone: nothing is known of it


def visit(home: Storage, name: str) -> str:
    """What is wrong with the folder where this runs; empty where nothing is.

    Args:
        name: A file that was written to it elsewhere, and holds its own name.
    """
    mine = f"{name}-{uuid4().hex}"
    try:
        if home.read(name) != name.encode():
            return "it holds something else"
        home.write(mine, b"seen")
        home.delete(mine)
    except FileNotFoundError:
        return "what is written here is not there"
    except OSError as fault:
        return str(fault)
    return ""


_visit = ray.remote(visit)
