"""The cluster that these tests share, and what is true of all of them."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.testbed.deployment import ROOT, STORAGE, Cluster, search
from cluster.testbed.hosts import SHARED, TESTBED, Host, make_network
from cluster.testbed.telling import tell
from search.trials.records import Records
from tests.hosts.searches import SEARCH, SPACE, assert_whole
from tests.pictures import class_folders


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    away = pytest.mark.skipif(not TESTBED.exists(), reason="make cluster-test runs it, on hosts of its own")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(away)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two hosts that are off, a laptop (here) with pictures and a token, and a disk that all share."""
    os.chdir(ROOT)
    make_network()
    class_folders(Path.home() / "pictures", {"anna": 40, "bert": 40})
    token = Path.home() / ".ray" / "auth_token"
    token.parent.mkdir(mode=0o700)
    token.write_text(secrets.token_hex(32))
    (SHARED / "space.yaml").write_text(SPACE)
    STORAGE.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_AUTH_MODE", "token")
        patched.delenv("RAY_ADDRESS", raising=False)
        head, worker = Host("head", "10.77.0.1"), Host("worker", "10.77.0.2")
        head.start()
        worker.start()
        tell("two hosts are on, with nothing but sshd")
        yield Cluster(head, [worker])


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster) -> Records:
    command = shlex.quote(search("undisturbed", "--trials", "40", *SEARCH))
    tell("a search of 40 trials is submitted as a job of the cluster")
    cluster.exec(f"ray job submit --address http://127.0.0.1:8265 -- bash -c {command}")
    return assert_whole("undisturbed", 40)


@pytest.fixture(autouse=True)
def title(request: pytest.FixtureRequest) -> None:
    print(f"\n--- {request.node.name.removeprefix('test_').replace('_', ' ')}", flush=True)
