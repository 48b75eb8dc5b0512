"""How the workers of a group find each other: over the network that Ray itself goes over."""

from __future__ import annotations

import os
from typing import Any

import psutil
import ray.util
from ray.train.backend import Backend
from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend


class OverRaysNetwork(TorchConfig):
    """Torch's exchange among workers, as Ray Train sets it up, on the network of the nodes' addresses.

    gloo by itself takes the address that a machine's name stands for, which on many is one that only the
    machine itself can reach (Debian writes 127.0.1.1 into /etc/hosts).
    """

    @property
    def backend_cls(self) -> type[Backend]:
        """What sets it up."""
        return _Backend


class _Backend(_TorchBackend):  # a private name of Ray's
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        worker_group.execute(_use_rays_network)
        super().on_start(worker_group, backend_config)


def _use_rays_network() -> None:
    if name := interface_of(ray.util.get_node_ip_address()):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


def interface_of(address: str) -> str | None:
    """The name of this machine's network interface that has this address."""
    for name, entries in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in entries):
            return name
    return None
