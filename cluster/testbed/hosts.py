"""Hosts: each a set of namespaces of this machine, with an address, files and processes of its own.

They share the machine's kernel, CPUs and clock, its installed files (read-only), and the folder /mnt/shared,
which stands for a disk on the network. To kill a host is to end all its processes at once, without a word.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

TESTBED = Path("/run/testbed")  # in memory, and seen by nobody else; see own.sh
SHARED = Path("/mnt/shared")
KEY = TESTBED / "key"
BRIDGE = "br-testbed"
LAPTOP = "10.77.0.254"
"""The address of whoever starts the hosts."""
OWN = Path(__file__).with_name("own.sh")
BOOT_S = 20.0


class HostError(Exception):
    """A host or a command on it does not do what it should."""


def run(*command: str, timeout_s: float = 60) -> str:
    """Runs a command to its end, and returns what it printed.

    Raises:
        HostError: It failed, or took longer; the message has all that it printed.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as fault:
        printed = (fault.stdout or b"").decode(errors="replace")
        raise HostError(f"{shlex.join(command)}\ndid not end within {timeout_s:g} s:\n{printed}") from None
    if done.returncode:
        raise HostError(f"{shlex.join(command)}\nended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def make_network() -> None:
    """Makes the network that hosts are on, and the key that opens them."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{LAPTOP}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    for key in (KEY, TESTBED / "host-key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))


@dataclass
class Host:
    """A host of the private network.

    Args:
        name: Its host name.
        address: In 10.77.0.0/24.
    """

    name: str
    address: str
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def disk(self) -> Path:
        """Its home: all that it keeps while it is off."""
        return TESTBED / "disks" / self.name

    def start(self) -> None:
        """Boots it: to a network, files of its own and an sshd, which takes our key."""
        keys = self.disk / ".ssh" / "authorized_keys"
        keys.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys.write_text(KEY.with_suffix(".pub").read_text())
        run("ip", "netns", "add", self.name)
        card = "02:00:" + ":".join(
            f"{int(part):02x}" for part in self.address.split(".")
        )  # the same each time
        peer = ("peer", "name", "eth0", "address", card, "netns", self.name)
        run("ip", "link", "add", self.name, "type", "veth", *peer)
        run("ip", "link", "set", self.name, "master", BRIDGE, "up")
        for words in ("link set lo up", f"address add {self.address}/24 dev eth0", "link set eth0 up"):
            run("ip", "-n", self.name, *words.split())
        options = f"-f /dev/null -h {TESTBED}/host-key -o ListenAddress={self.address} -o UsePAM=no"
        log = (TESTBED / f"{self.name}.log").open("ab")
        self._process = subprocess.Popen(
            [
                *("ip", "netns", "exec", self.name),
                *("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *("sh", str(OWN), "sh", "-c", f"hostname {self.name}; exec /usr/sbin/sshd -D -e {options}"),
            ],
            env={**os.environ, "DISK": str(self.disk)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        deadline = time.monotonic() + BOOT_S
        while True:
            with contextlib.suppress(HostError):
                self.run("true", timeout_s=5)
                return
            if time.monotonic() > deadline:
                raise HostError(f"{self.name} does not answer:\n{(TESTBED / f'{self.name}.log').read_text()}")
            time.sleep(0.1)

    def run(self, command: str, *, timeout_s: float = 60) -> str:
        """Runs a shell command on it, over SSH, and returns what it printed.

        Raises:
            HostError: It failed, or took longer.
        """
        return run(*ssh(self.address), command, timeout_s=timeout_s)

    def look(self, command: str) -> str:
        """Runs a shell command in it from outside: also while it is unplugged."""
        return run("nsenter", "--all", "--target", str(self._init), "sh", "-c", command)

    def unplug(self) -> None:
        """Cuts its network: what runs on it runs on, and nobody hears of it."""
        run("ip", "link", "set", self.name, "down")

    def plug(self) -> None:
        """Mends its network."""
        run("ip", "link", "set", self.name, "up")

    def kill(self) -> None:
        """Ends it at once, as a power cut does: nobody gets as much as a closed connection."""
        assert self._process
        run("ip", "link", "delete", self.name)
        os.kill(self._init, signal.SIGKILL)
        self._process.wait()  # its last process has ended by then
        run("ip", "netns", "delete", self.name)

    @property
    def _init(self) -> int:
        """The process that all others of the host end with."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(children.read_text().split()[0])


def ssh(address: str) -> list[str]:
    """The beginning of a command line that runs a shell command on a host."""
    quiet = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
    return ["ssh", "-i", str(KEY), *(f"-o{option}" for option in quiet), f"root@{address}"]
