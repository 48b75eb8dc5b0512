"""The machines of a cluster: those that are there, and those that its autoscaler may add."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import ray
import yaml

from search.text import count

AUTOSCALER_CONFIG = Path("~/ray_bootstrap_config.yaml")
"""What the autoscaler goes by; `ray up` puts it on the head, and cluster/kuberay.yaml the same in short."""
GPU_TYPE = "accelerator_type:"
"""The names of resources begin so by which Ray knows the type of a node's GPUs."""


@dataclass(frozen=True)
class Node:
    """One machine of a cluster."""

    cpus: float
    gpus: float = 0.0
    gpu_type: str | None = None
    """Ray's `accelerator_type`, as far as Ray knows it."""

    @classmethod
    def of(cls, resources: Mapping[str, float]) -> Node:
        """The node that has these resources, in Ray's terms."""
        types = [name.removeprefix(GPU_TYPE) for name in resources if name.startswith(GPU_TYPE)]
        return cls(resources.get("CPU", 0.0), resources.get("GPU", 0.0), next(iter(types), None))

    def room(self, cpus: float, gpus: float, gpu_type: str | None = None) -> int:
        """How many workers of so many CPUs and GPUs, of this type where one is named, fit on it at a time."""
        if gpu_type not in (None, self.gpu_type):
            return 0
        shares = [self.cpus / cpus] + ([self.gpus / gpus] if gpus else [])
        return math.floor(min(shares) + 1e-9)  # 0.3 / 0.1 is 2.9999...

    def __str__(self) -> str:
        kind = f" ({self.gpu_type})" if self.gpu_type else ""
        return f"{count(self.cpus, 'CPU')} and {count(self.gpus, 'GPU')}{kind}"


@dataclass(frozen=True)
class NodeType:
    """A kind of node that an autoscaler adds to a cluster when something waits for it."""

    node: Node
    most: int
    """Of them, at a time."""


def nodes_alive() -> tuple[Node, ...]:
    """The nodes of the cluster that this process is connected to, as they are now."""
    return tuple(Node.of(node["Resources"]) for node in ray.nodes() if node["Alive"])


def size_of(nodes: Collection[Node]) -> str:
    """How much nodes have in all, for people."""
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    return f"{count(len(nodes), 'node')}, {count(cpus, 'CPU')}, {count(gpus, 'GPU')}"


def node_types(config: Path = AUTOSCALER_CONFIG) -> tuple[NodeType, ...]:
    """What the autoscaler may add, as far as its configuration says. On other machines than the head of a
    cluster that `ray up` started there is none."""
    try:
        found = yaml.safe_load(config.expanduser().read_text(encoding="utf-8"))
        most, head = found.get("max_workers", 2), found.get("head_node_type")  # Ray's own default
        types = [
            (Node.of(kind["resources"]), min(most, kind.get("max_workers", most)))
            for name, kind in found["available_node_types"].items()
            if name != head
        ]
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError):
        return ()
    return tuple(NodeType(node, number) for node, number in types if number > 0 and node.cpus > 0)


def there_are(nodes: Iterable[Node], to_come: Iterable[NodeType] = ()) -> str:
    """Nodes, and what may be added to them, for people."""
    said = [f"{number} x ({node})" if number > 1 else str(node) for node, number in Counter(nodes).items()]
    more = [f"up to {kind.most} x ({kind.node})" for kind in to_come]
    found = f"the nodes of Ray have: {', '.join(said) or 'nothing'}"
    return found + (f"; its autoscaler may add {', '.join(more)}" if more else "")
