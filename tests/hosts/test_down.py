"""`ray down`."""

from __future__ import annotations

import time

from cluster.testbed.deployment import Cluster, there
from cluster.testbed.telling import tell


def test_ray_down_ends_all_of_ray(cluster: Cluster) -> None:
    cluster.down()
    for worker in cluster.workers:
        worker.run(there("ray stop"))  # `ray down` stops the head alone
    tell("ray down has ended, and ray stop on the worker host")
    for host in (cluster.head, *cluster.workers):
        deadline = time.monotonic() + 60
        while "/ray/" in (found := host.look("ps --no-headers -A -ww -o args")):
            assert time.monotonic() < deadline, found
            time.sleep(1)
        tell(f"no process of Ray is left on {host.name}")
