"""`make cluster-test`: runs `tests/hosts` on hosts made of namespaces; checks that nothing stays.

All of it is inside of namespaces: the tests see a network, a `/tmp`, a home and processes that nobody else
sees, and the rest of the machine read-only. When the first of their processes ends, in whatever way, the
kernel ends all others and takes mounts, network and files away. So there is nothing to clean up, ever.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from cluster.testbed.hosts import BRIDGE, TESTBED

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "rsync": "rsync",
    "cc": "gcc libc6-dev",
}
"""What it needs, and Debian's package that has it."""
PARTS = ("up", "lost_machines", "missing_things", "strangers", "down")
"""Of the tests, in this order: each goes on where the one before it stopped."""
MARK = "CLASSIFIER_SEARCH_TESTBED"
"""In the environment of every process that it starts, but for those that came over SSH."""


def main() -> int:
    """Runs the tests; the exit status is theirs, or 1 where they left something behind."""
    if refusal := cannot():
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    tests = [sys.executable, "-m", "pytest", "-s", "-x", "-p", "no:cacheprovider", "--durations=0"]
    process = subprocess.Popen(
        [
            *(
                "unshare",
                "--mount",
                "--net",
                "--ipc",
                "--uts",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ),
            *("sh", str(Path(__file__).with_name("own.sh"))),
            *(
                "sh",
                "-c",
                'cd "$1"; shift; exec "$@"',
                "sh",
                str(ROOT),
                *tests,
                *(f"tests/hosts/test_{name}.py" for name in PARTS),
                *sys.argv[1:],
            ),
        ],
        env=os.environ
        | {
            MARK: str(os.getpid()),
            "DISK": str(TESTBED / "disks" / "laptop"),
            "HOME": str(Path.home()),
            "KEPT": ":".join(dict.fromkeys((str(ROOT), sys.prefix, sys.base_prefix))),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.kill()
        status = 130
    process.wait()
    deadline = time.monotonic() + 10  # what was killed ends in its own time
    while (left := what_is_left()) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        print("left behind: " + "; ".join(left), file=sys.stderr)
        return status or 1
    print("Nothing is left behind: no process, no network interface, no namespace, no mount, no file.")
    return status


def cannot() -> str | None:
    """Why these tests cannot run here; None where they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return (
            "the cluster's tests make network namespaces, which takes Linux and root: sudo make cluster-test"
        )
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    return f"install what is missing: apt-get install {' '.join(missing)}" if missing else None


def what_is_left() -> list[str]:
    """What a run left on this machine, in words."""
    mark = f"{MARK}={os.getpid()}".encode()
    left = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environment.read_bytes().split(b"\0"):
                left.append(f"process {environment.parent.name}")
        except OSError:
            continue  # it has ended
    names = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    left += [line for line in names.splitlines() if line.startswith(BRIDGE)]
    if "testbed" in Path("/proc/self/mounts").read_text():
        left.append("a mount")
    if TESTBED.exists():
        left.append(str(TESTBED))
    return left


if __name__ == "__main__":
    sys.exit(main())
