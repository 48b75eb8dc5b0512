"""Files of weights: told apart by their contents, and brought to the nodes that lack them."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import save_file

from search.trials.trials import Trial
from tests.pictures import class_folders
from tests.toy_pictures import tiny_recipe
from trainables import worker, workplace
from trainables.data import prepare
from trainables.models.create import ModelError, create_model
from trainables.storage import Storage
from trainables.weight_files import digest, on_this_node
from trainables.workplace import PlaceError, Slot, Weights, Workplace

BYTES = b"some weights"
SHA256 = hashlib.sha256(BYTES).hexdigest()


class Driver:
    """Another machine, which has the file."""

    def __init__(self, content: bytes = BYTES) -> None:
        self.content, self.asked = content, 0

    def fetch(self) -> bytes:
        self.asked += 1
        return self.content


def test_a_digest_follows_the_contents_of_a_file_or_of_the_one_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    file = tmp_path / "model" / "model.safetensors"
    file.write_bytes(BYTES)
    (tmp_path / "model" / "config.json").write_text("{}")
    assert digest(file) == digest(tmp_path / "model") == SHA256
    file.write_bytes(b"more weights!")
    assert digest(file) == hashlib.sha256(b"more weights!").hexdigest()
    file.write_bytes(b"less weights!")  # as long as before
    os.utime(file, ns=(1, 1))
    assert digest(file) == hashlib.sha256(b"less weights!").hexdigest()
    with pytest.raises(ModelError, match=r"there is no .*gone.pth"):
        digest(tmp_path / "gone.pth")


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pth").write_bytes(BYTES)

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelError, match=r"model.weights: .*a.pth cannot be read: Permission denied"):
        digest(tmp_path / "a.pth")


def test_a_node_that_has_the_file_uses_it(tmp_path: Path) -> None:
    file, driver = tmp_path / "a.pth", Driver()
    file.write_bytes(BYTES)
    assert on_this_node(file, SHA256, ".pth", driver.fetch, tmp_path / "cache") == file
    assert driver.asked == 0
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("there", [None, b"another file of this name"])
def test_a_node_without_the_file_fetches_it_once(tmp_path: Path, there: bytes | None) -> None:
    file, driver = tmp_path / "a.pth", Driver()
    if there is not None:
        file.write_bytes(there)
    found = {on_this_node(file, SHA256, ".pth", driver.fetch, tmp_path / "cache") for _ in range(3)}
    assert found == {tmp_path / "cache" / "weights" / f"{SHA256}.pth"}
    assert found.pop().read_bytes() == BYTES
    assert driver.asked == 1


def test_workers_that_start_together_fetch_it_once(tmp_path: Path) -> None:
    driver, barrier = Driver(), threading.Barrier(4)

    def start() -> None:
        barrier.wait()
        on_this_node(tmp_path / "a.pth", SHA256, ".pth", driver.fetch, tmp_path / "cache")

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert driver.asked == 1


def test_a_fetch_that_fails_leaves_nothing_that_looks_like_the_file(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise ConnectionError("the driver is gone")

    with pytest.raises(ConnectionError, match="the driver is gone"):
        on_this_node(tmp_path / "a.pth", SHA256, ".pth", fail, tmp_path / "cache")
    assert [
        path.suffix for path in (tmp_path / "cache" / "weights").iterdir() if path.suffix != ".lock"
    ] == []
    assert on_this_node(tmp_path / "a.pth", SHA256, ".pth", Driver().fetch, tmp_path / "cache").exists()


# In a worker.

ELSEWHERE = "/another/machine/start.safetensors"


@pytest.fixture
def split(tmp_path: Path) -> pd.DataFrame:
    class_folders(tmp_path / "pictures", {"anna": 30, "bert": 30})
    return prepare(tmp_path / "pictures", size_px=16, cache_dir=tmp_path / "cache").split


@pytest.fixture
def place(split: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A node that has no such file, and a driver that keeps it in Ray's object store."""
    file = tmp_path / "start.safetensors"
    save_file(create_model(tiny_recipe(), 5).state_dict(), file)
    content = file.read_bytes()
    monkeypatch.setattr(workplace.ray, "get", {"a reference": content}.__getitem__)
    return Workplace(
        source=str(tmp_path / "pictures"),
        split=split,
        cache_dir=str(tmp_path / "cache"),
        checkpoints=Storage.of(tmp_path / "checkpoints"),
        imports=(),
        workers=1,
        weights={ELSEWHERE: Weights(hashlib.sha256(content).hexdigest(), ".safetensors", "a reference")},  # type: ignore[arg-type]
    )


class PowerCut(BaseException):
    """Nothing in a worker catches it."""


class Listener:
    """Stands for Ray in a worker; `until` is the epoch at whose report the machine goes down."""

    world_size, rank, device = 1, 0, "cpu"

    def __init__(self, until: int) -> None:
        self.until = until
        self.heard: list[dict[str, Any]] = []

    def report(self, message: dict[str, Any]) -> None:
        self.heard.append(message)
        if message.get("epoch") == self.until:
            raise PowerCut

    def fail(self, trial: dict[str, Any], outcome: str, fault: Exception) -> None:
        raise fault

    def lose(self, trial: dict[str, Any], fault: Exception) -> None:
        raise fault


def work(place: Workplace, monkeypatch: pytest.MonkeyPatch, until: int = 0) -> list[dict[str, Any]]:
    listener = Listener(until)
    monkeypatch.setattr(worker, "Reporter", lambda workers: listener)
    recipe = tiny_recipe(model={"weights": ELSEWHERE})
    worker.work(asdict(Trial(0, recipe.to_dict(), {}, seed=1, epochs=3)), place, Slot(1.0))
    return listener.heard


def test_a_trial_starts_from_weights_that_its_node_did_not_have(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = work(place, monkeypatch)
    assert [message.get("epoch", message["event"]) for message in heard] == [1, 2, 3, "end"]
    assert len(list((tmp_path / "cache" / "weights").glob("*.safetensors"))) == 1


def test_a_trial_goes_on_where_its_weights_lie_elsewhere(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = work(place, monkeypatch)
    (tmp_path / "checkpoints" / "trial-00000.pt").unlink()
    with pytest.raises(PowerCut):
        work(place, monkeypatch, until=2)
    # The next node has them nowhere, and needs them no more.
    monkeypatch.setattr(workplace.ray, "get", {}.__getitem__)
    for copy in (tmp_path / "cache" / "weights").glob("*.safetensors"):
        copy.unlink()
    again = work(place, monkeypatch)
    assert [message.get("epoch", message["event"]) for message in again] == [1, 2, 3, "end"]
    assert again[2]["metrics"]["val_loss"] == whole[2]["metrics"]["val_loss"]


def test_weights_that_are_gone_from_the_only_machine_are_named(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {ELSEWHERE: Weights(SHA256, ".safetensors", None)}
    object.__setattr__(place, "weights", alone)
    with pytest.raises(PlaceError, match=f"{ELSEWHERE}, with the contents that the search began with"):
        work(place, monkeypatch)
