"""Who is let into a cluster, who is not, and where it listens."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from cluster.testbed.deployment import Cluster, there
from cluster.testbed.hosts import SHARED, Host, HostError
from cluster.testbed.telling import tell

JOIN = """
import sys
import ray
ray.init(address=sys.argv[1], log_to_driver=False)
print("let in:", ray.nodes())
"""
ASK = """
import sys
import urllib.error
import urllib.request
job, form = b'{"entrypoint": "id"}', {"Content-Type": "application/json"}
request = urllib.request.Request(sys.argv[1], data=job, headers=form)
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as fault:
    print(fault.code)
except OSError:
    print("no answer")
"""


def test_who_has_the_token_is_let_in_from_another_host(cluster: Cluster) -> None:
    [worker] = cluster.workers
    join = f"python -c {shlex.quote(JOIN)} {cluster.head.address}:6379"
    assert "let in" in worker.run(there(join), timeout_s=120)
    tell("a driver on the worker host is let in")


@pytest.mark.parametrize("mode", ["token", "disabled"], ids=["with another token", "without a token"])
def test_a_stranger_on_the_network_is_kept_out(cluster: Cluster, mode: str) -> None:
    stranger, head = Host("stranger", "10.77.0.66"), cluster.head
    stranger.start()
    try:
        stranger.run(f"mkdir -m 700 ~/.ray && echo {secrets.token_hex(32)} > ~/.ray/auth_token")
        environment = f"export PATH={sys.prefix}/bin:$PATH RAY_AUTH_MODE={mode};"
        for what, command in {
            "starts a node": f"ray start --address={head.address}:6379 --node-ip-address={stranger.address}",
            "starts a driver": f"python -c {shlex.quote(JOIN)} {head.address}:6379",
            "comes as a Ray client": f"python -c {shlex.quote(JOIN)} ray://{head.address}:10001",
        }.items():
            with pytest.raises(HostError) as refused:
                stranger.run(f"{environment} timeout 60 {command}", timeout_s=90)
            said = str(refused.value).rpartition("\nended with ")[2]
            # Ray's client knows no more than that it gets no answer.
            assert re.search("token|unauth|client connection timeout", said, re.IGNORECASE), said
            tell(f"it {what}: refused")
        ask = f"{environment} python -c {shlex.quote(ASK)}"
        assert stranger.run(f"{ask} http://{head.address}:8265/api/jobs/").strip() == "no answer"
        assert stranger.run(f"{ask} http://{head.address}:52365/api/job_agent/jobs/").strip() in (
            "401",
            "403",
        )
        tell("submits a job: no answer at the dashboard's port, refused at the agent's")
    finally:
        stranger.kill()
        shutil.rmtree(stranger.disk)
    cluster.wait_for(head, *cluster.workers)
    tell("the cluster has its two nodes and no more")


EVERYWHERE = ("gcs_server", "raylet", "ray::", "python")
"""What of Ray 2.60 listens on all addresses of a host, whatever it is told: what asks for the token, and
numbers for Prometheus. A firewall has to keep strangers from them."""


def test_ports_are_bound_to_loopback_and_the_private_network(cluster: Cluster) -> None:
    for host in (cluster.head, *cluster.workers):
        listening = [line.split(maxsplit=5) for line in host.look("ss -H -l -t -n -p").splitlines()]
        everywhere = set()
        for _, _, _, place, _, users in listening:
            address, _, port = place.rpartition(":")
            if address.removeprefix("[::ffff:").removesuffix("]") not in ("127.0.0.1", host.address):
                everywhere.add((users.split('"')[1], int(port)))
        tell(f"{host.name}: {len(listening)} ports, on all addresses {sorted(everywhere)}")
        assert all(name.startswith(EVERYWHERE) for name, _ in everywhere)
        assert 8265 not in {port for _, port in everywhere}


def test_the_token_is_in_no_log_and_no_result(cluster: Cluster) -> None:
    token = (Path.home() / ".ray" / "auth_token").read_text()
    for host in (cluster.head, *cluster.workers):
        # -xdev: the sources, which every host sees, may be below /tmp.
        look = f"find /tmp {SHARED} -xdev -type f -exec grep --files-with-matches {token} {{}} +"
        assert not host.run(f"{look} || true")
