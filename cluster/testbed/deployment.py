"""The cluster on the hosts: brought up, used and taken down by the commands that a person would type."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import yaml

from cluster.testbed.hosts import KEY, SHARED, Host, HostError, run, ssh
from search.trials import records
from search.trials.records import Records

ROOT = Path(__file__).parents[2]
FILE = Path("/tmp/on-prem.yaml")
SOURCES = "~/classifier-search"
"""Where the cluster's file puts the sources on every host."""
STORAGE = SHARED / "searches"
UP_S = 300.0
NODES_S = 240.0
SEARCH_S = 300.0

NODES = """
import json, sys, time
import ray
ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
wanted, deadline, old = set(sys.argv[1].split(",")), time.monotonic() + float(sys.argv[2]), sys.argv[3:]
while True:
    nodes = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in old]
    alive = {node["NodeManagerHostname"]: node["NodeID"] for node in nodes}
    if set(alive) == wanted or time.monotonic() > deadline:
        print(json.dumps(alive))
        break
    time.sleep(0.5)
"""


def filled_in(file: Path, head: Host, workers: list[Host]) -> str:
    """The project's on-prem file for these hosts.

    Addresses, user, key and pictures are what everybody fills in. Beyond these:

    - No package index is in reach: where the file makes an environment, hosts get that of this process.
    - Each host has 1 CPU, for they share this machine's; what trials run in is as nice as all else, for
      others may keep this machine busy.
    - A host that is silent for 10 s, not for 30, gets its Ray started anew: these tests then take less time.
    - Ray's object stores have 80 MB, that they may be filled.
    - A network of the tests' own lies with the sources.
    """
    config = yaml.safe_load(file.read_text())
    config["provider"].update(head_ip=head.address, worker_ips=[worker.address for worker in workers])
    config["auth"].update(ssh_user="root", ssh_private_key=str(KEY))
    mounts = config["file_mounts"]
    mounts[f"{SOURCES}/odd_networks.py"] = "tests/networks/odd_networks.py"
    mounts["~/pictures"] = "~/pictures"
    makes_it = (" -m venv ", " -m pip ")
    config["setup_commands"] = [
        f"ln -sfn {shlex.quote(sys.prefix)} {SOURCES}/.venv",
        *(line for line in config["setup_commands"] if not any(words in line for words in makes_it)),
    ]
    start = "RAY_worker_niceness=0 AUTOSCALER_HEARTBEAT_TIMEOUT_S=10 ray start "
    start += "--num-cpus=1 --object-store-memory=80000000 "
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        config[commands] = [line.replace("ray start ", start) for line in config[commands]]
    return yaml.safe_dump(config, sort_keys=False)


GROUPS = """
import ray
ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
print(sum(group["state"] != "REMOVED" for group in ray.util.placement_group_table().values()))
"""


class Cluster:
    """A cluster of these hosts, by the project's own file for machines over SSH."""

    def __init__(self, head: Host, workers: list[Host]) -> None:
        self.head, self.workers = head, workers
        FILE.write_text(filled_in(ROOT / "cluster" / "on-prem.yaml", head, workers))

    def up(self) -> str:
        """`ray up`: what it printed."""
        return self._ray("up", "--yes", "--no-config-cache", str(FILE), timeout_s=UP_S)

    def down(self) -> str:
        """`ray down`: what it printed."""
        return self._ray("down", "--yes", str(FILE), timeout_s=UP_S)

    def exec(self, command: str, *, timeout_s: float = SEARCH_S) -> str:
        """`ray exec`: what the command printed on the head."""
        return self._ray("exec", str(FILE), command, timeout_s=timeout_s)

    def wait_for(self, *hosts: Host, without: str = "", timeout_s: float = NODES_S) -> dict[str, str]:
        """Waits until these hosts, and no others, are nodes of the cluster.

        Args:
            without: The id of a node that is lost, which the cluster may not have noticed yet.

        Returns:
            The id of each host's node, by the host's name.

        Raises:
            HostError: Others are, after so long.
        """
        wanted = {host.name for host in hosts}
        program = f"python -c {shlex.quote(NODES)} {','.join(wanted)} {timeout_s} {without}"
        found: dict[str, str] = json.loads(
            self.head.run(there(program), timeout_s=timeout_s + 60).splitlines()[-1]
        )
        if set(found) != wanted:
            raise HostError(
                f"nodes of the cluster after {timeout_s:g} s: {sorted(found)}, not {sorted(wanted)}"
            )
        return found

    def left(self) -> list[str]:
        """What ended searches have left on the hosts: processes, temporary folders, placement groups."""
        found = []
        for host in (self.head, *self.workers):
            # The brackets keep the pattern from finding itself.
            at_work = host.look(
                "pgrep -af 'search[.](run|retrain|live_page)|ray::(Implicit|RayTrain)'; "
                "ls -d /tmp/cs-* 2>/dev/null || true"
            )
            found += [f"{host.name}: {line}" for line in at_work.splitlines()]
        groups = self.head.run(there(f"python -c {shlex.quote(GROUPS)}"), timeout_s=60).split()[-1]
        return found + [f"{groups} placement groups"] * (groups != "0")

    @staticmethod
    def _ray(*words: str, timeout_s: float) -> str:
        return run(str(Path(sys.prefix) / "bin" / "ray"), *words, timeout_s=timeout_s)


def there(command: str) -> str:
    """A command for a host, in the folder of the sources and in their environment."""
    return f"cd {SOURCES} && export PATH=$PWD/.venv/bin:$PATH RAY_AUTH_MODE=token && {command}"


def search(name: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """The command of a search, for a host; it is kept on the disk that the hosts share."""
    added = [f"{variable}={value}" for variable, value in environment.items()]
    words = ("env", *added, "python", "-m", "search.run", "--name", name, "--storage", str(STORAGE))
    return there(shlex.join([*words, *arguments]))


class Search:
    """A search that was started on the head host.

    Args:
        arguments: Of `search.run`, beyond its name and where it is kept.
        environment: What its driver has in its environment, beyond what is there.
    """

    def __init__(
        self,
        head: Host,
        name: str,
        *arguments: str,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._file = head.disk / "classifier-search" / "results" / name / records.FILE
        self._process = subprocess.Popen(
            [*ssh(head.address), search(name, *arguments, environment=environment)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def records(self) -> Records:
        """What is recorded so far, on the head's own disk."""
        return records.read(self._file)

    def wait_until(self, condition: Callable[[Records], object], what: str) -> None:
        """Waits until its records are so.

        Raises:
            HostError: It ended before, or took too long.
        """
        deadline = time.monotonic() + SEARCH_S
        while not condition(self.records):
            if self._process.poll() is not None:
                raise HostError(f"the search ended, waiting for {what}:\n{self._process.communicate()[0]}")
            if time.monotonic() > deadline:
                raise HostError(f"waited in vain for {what}")
            time.sleep(0.1)

    def finish(self, status: int = 0) -> str:
        """Waits for its end with this exit status: what it printed.

        Raises:
            HostError: It ended with another, or took too long.
        """
        try:
            printed, _ = self._process.communicate(timeout=SEARCH_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            printed, _ = self._process.communicate()
            raise HostError(f"the search did not end within {SEARCH_S:g} s:\n{printed}") from None
        if self._process.returncode != status:
            raise HostError(f"the search ended with {self._process.returncode}:\n{printed}")
        return printed
