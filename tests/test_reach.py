"""Whether every node can use the folder in which trials keep their states."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.tune import reach
from search.tune.cluster import ClusterError
from search.tune.reach import require_reach, visit
from tests.stored import Away, away
from trainables.storage import Storage


def test_a_folder_that_is_shared_is_found_and_left_as_it_was(tmp_path: Path) -> None:
    home = Storage.of(tmp_path)
    home.write("token", b"token")
    assert visit(home, "token") == ""
    assert home.files() == {"token": 5}


def test_a_folder_of_the_same_path_on_another_disk_is_told(tmp_path: Path) -> None:
    assert visit(Storage.of(tmp_path / "elsewhere"), "token") == "what is written here is not there"
    other = Storage.of(tmp_path)
    other.write("token", b"of another search")
    assert visit(other, "token") == "it holds something else"


def test_a_storage_that_a_node_has_no_way_to_is_told(tmp_path: Path) -> None:
    home = Away(str(tmp_path / "store"))
    home.write("token", b"token")
    away(home, True)
    assert visit(home, "token") == "no route to host"


@pytest.mark.parametrize(("stored", "advice"), [(False, "Give --storage"), (True, "credentials of its own")])
def test_nodes_that_cannot_use_it_are_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bool, advice: str
) -> None:
    monkeypatch.setattr(reach, "_faults", lambda home: {"b": "Permission denied", "a": "it is not there"})
    with pytest.raises(ClusterError, match=r"on a: it is not there; on b: Permission denied") as told:
        require_reach(Storage.of(tmp_path), stored=stored)
    assert advice in str(told.value)
    monkeypatch.setattr(reach, "_faults", lambda home: {})
    require_reach(Storage.of(tmp_path), stored=stored)


@pytest.mark.slow
def test_every_node_of_a_cluster_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
        home = Storage.of(tmp_path / "shared")
        require_reach(home, stored=False)
        assert home.files() == {}
        monkeypatch.setattr(Storage, "write", lambda storage, name, content: None)  # as onto this disk alone
        assert list(reach._faults(home).values()) == [
            "what is written here is not there"
        ]  # one name, two nodes
    finally:
        ray.shutdown()
        cluster.shutdown()
