"""A Ray cluster on this machine, its nodes as processes of our own, that searches can join."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.commands import ROOT

HOST = "127.0.0.1"
ATTEMPTS = 4


def free_port() -> int:
    """One that nothing listens on, and that no process is given before it is used."""
    while True:
        port = random.randrange(20_000, 32_000)  # the system gives out those above
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind((HOST, port))
            return port


class RayCluster:
    """Use as a context manager: it has a head, of which trials get no CPU, and ends with all of its nodes.

    Args:
        head: Further arguments of `ray start` for the head.
        autoscaler: The kinds of nodes that Ray's autoscaler may add, in the words of a cluster file; they
            come as processes on this machine, too.
    """

    def __init__(
        self,
        autoscaler: Mapping[str, Any] | None = None,
        *,
        head: Sequence[str] = ("--include-dashboard=false",),
    ) -> None:
        self._temp = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))  # names of sockets have to be short
        port = free_port()
        self.address = f"{HOST}:{port}"
        self.log = self._temp / "ray.log"
        """What `ray start` says on all nodes."""
        self._config = self._temp / "ray_bootstrap_config.yaml"
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "networks")]),
            "HOME": str(self._temp),  # where `ray up` puts the configuration
            "RAY_TMPDIR": str(self._temp),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0" * 64,
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_enable_autoscaler_v2": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        arguments = ["--head", f"--port={port}", "--num-cpus=0", *head]
        if autoscaler:
            self._config.write_text(yaml.safe_dump(self._autoscaling(autoscaler)))
            arguments.append(f"--autoscaling-config={self._config}")
        self._arguments = arguments

    def _autoscaling(self, node_types: Mapping[str, Any]) -> dict[str, Any]:
        head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
        return {
            "cluster_name": "fake",
            "max_workers": 8,
            "idle_timeout_minutes": 0.1,
            "upscaling_speed": 10,
            "provider": {
                "type": "fake_multinode",
                "gcs_address": self.address,
                "use_node_id_as_ip": True,
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
                "foreground_node_launch": True,
            },
            "available_node_types": {"ray.head.default": head, **node_types},
            "head_node_type": "ray.head.default",
            "auth": {},
            "docker": {},
            "initialization_commands": [],
            "setup_commands": [],
            "head_setup_commands": [],
            "worker_setup_commands": [],
            "head_start_ray_commands": [],
            "worker_start_ray_commands": [],
            "file_mounts": {},
            "cluster_synced_files": [],
            "file_mounts_sync_continuously": False,
            "rsync_exclude": [],
            "rsync_filter": [],
        }

    def __enter__(self) -> RayCluster:
        self._start(*self._arguments)
        return self

    def __exit__(self, *exception: object) -> None:
        for node in reversed(self._nodes):
            self.remove(node)
        for pid in self._left_over():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self._temp, ignore_errors=True)

    def add(self, cpus: float, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts another node."""
        return self._start(f"--address={self.address}", f"--num-cpus={cpus}", *arguments)

    def remove(self, node: subprocess.Popen[bytes]) -> None:
        """Ends a node."""
        node.terminate()
        try:
            node.wait(20)
        except subprocess.TimeoutExpired:
            node.kill()

    def _left_over(self) -> list[int]:
        """Processes of nodes that the autoscaler has started: they do not end with their head."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self._temp).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A node, once it is there. One that takes half a minute, on a busy machine, Ray gives up."""
        memory = f"--object-store-memory={80 * 1024**2}"
        there = self._started()
        for _ in range(ATTEMPTS):
            with self.log.open("ab") as log:
                node = subprocess.Popen(
                    [Path(sys.executable).with_name("ray"), "start", "--block", memory, *arguments],
                    env={**os.environ, **self.environment},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            self._nodes.append(node)
            while node.poll() is None:
                if self._started() > there:
                    return node
                time.sleep(0.1)
        said = self.log.read_text()
        self.__exit__()
        raise AssertionError(said)

    def _started(self) -> int:
        """How many nodes have been there so far."""
        return self.log.read_text().count("Ray runtime started") if self.log.exists() else 0
