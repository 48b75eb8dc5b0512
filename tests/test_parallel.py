"""A training over several devices of one machine: the numbers of one, and nothing left when it ends early."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from search import retrain as command
from search.final import choose, retrain
from search.model.training import fit
from spaces.errors import InputError
from tests.searched import searched
from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.checkpoint import Checkpoint
from trainables.data.errors import DataError
from trainables.loop import TrainData, train
from trainables.parallel import Together, runtimes, train_together

RECIPE = tiny_recipe(augment={"strength": 0.5}, ema={"decay": 0.8}, schedule={"name": "cosine"})
OF_ITS_OWN = ("train_s", "val_s", "epoch_s", "images_per_s", "data_wait_s", "at_once")
EPOCHS = 3


def pictures() -> TrainData:
    return TrainData(toy_pictures(51, 1), toy_pictures(31, 2))


def no_pictures() -> TrainData:
    raise DataError("they are gone")


def together(state_file: Path, **changes: Any) -> Together:
    there = Together(
        recipe=RECIPE,
        opened=pictures,
        runtimes=runtimes(CPU, ["cpu", "cpu"]),
        imports=(),
        state_file=state_file,
        resumes=False,
        seed=4,
        epochs=EPOCHS,
        replay=None,
    )
    return replace(there, **changes)


def alone(checkpoints: list[Checkpoint] | None = None) -> tuple[list[dict[str, float]], torch.nn.Module]:
    heard: list[dict[str, float]] = []

    def report(metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        heard.append(metrics)
        if checkpoints is not None and len(heard) == 1:
            checkpoint.save(state_after_one := Path("after-one.pt"))
            checkpoints.append(Checkpoint.load(state_after_one))

    network = train(RECIPE, pictures(), report, runtime=CPU, seed=4, epochs=EPOCHS)
    return heard, network


def numbers(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in OF_ITS_OWN}


@pytest.mark.slow
def test_two_devices_train_what_one_would_and_go_on_from_where_one_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    states: list[Checkpoint] = []
    expected, network = alone(states)
    states[0].save(tmp_path / "state.pt")

    heard: list[dict[str, float]] = []
    found = train_together(together(tmp_path / "state.pt", resumes=True), heard.append)

    assert [metrics["epoch"] for metrics in heard] == [2, 3]
    for ours, theirs in zip(heard, expected[1:], strict=True):
        assert numbers(ours) == pytest.approx(numbers(theirs), abs=1e-5)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, rtol=1e-4, atol=1e-5)
    assert Checkpoint.load(tmp_path / "state.pt").epoch == EPOCHS
    assert not found.training


@pytest.mark.slow
def test_what_a_person_can_mend_comes_back_as_it_was_raised(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="they are gone"):
        train_together(together(tmp_path / "state.pt", opened=no_pictures), lambda metrics: None)


@pytest.mark.slow
def test_when_one_process_is_killed_the_others_end(tmp_path: Path) -> None:
    def kill_one(metrics: dict[str, float]) -> None:
        for one in multiprocessing.active_children()[:1]:
            os.kill(one.pid or 0, signal.SIGKILL)

    with pytest.raises(
        (torch.multiprocessing.ProcessExitedException, torch.multiprocessing.ProcessRaisedException)
    ):
        train_together(together(tmp_path / "state.pt", epochs=1000), kill_one)
    assert multiprocessing.active_children() == []
    assert Checkpoint.load(tmp_path / "state.pt").epoch < 1000  # and with that it would go on


def test_workers_that_outnumber_a_batch_are_refused() -> None:
    few = tiny_recipe(optim={"batch_size": 2})
    with pytest.raises(InputError, match="3 workers cannot share batches of 2 pictures"):
        train(few, pictures(), lambda *_: None, runtime=replace(CPU, world_size=3), epochs=1)


def test_the_devices_share_the_cpus() -> None:
    first, second = runtimes(replace(CPU, threads=5), ["cuda:0", "cuda:1"])
    assert (first.threads, first.rank, first.world_size, first.device) == (2, 0, 2, "cuda:0")
    assert (second.threads, second.rank, second.world_size, second.device) == (2, 1, 2, "cuda:1")


# Of a search.


@pytest.mark.slow
@pytest.mark.usefixtures("checked_here")
def test_a_retrain_on_two_devices_is_the_one_on_a_single_one(tmp_path: Path) -> None:
    folder = searched(tmp_path, tiny_recipe(optim={"batch_size": 32}))
    heard: dict[str, list[dict[str, float]]] = {"one": [], "two": []}
    for out, devices in (("one", ()), ("two", ("cpu", "cpu"))):
        retrain(
            folder,
            choose(folder),
            out=tmp_path / out,
            runtime=CPU,
            devices=devices,
            heard=heard[out].append,
        )
    for ours, theirs in zip(heard["two"], heard["one"], strict=True):
        assert numbers(ours) == pytest.approx(numbers(theirs), abs=1e-5)
    one, two = (folder.read_json(tmp_path / out / "metrics.json") for out in heard)
    assert two["test"]["accuracy"] == one["test"]["accuracy"]
    assert two["test"]["log_loss"] == pytest.approx(one["test"]["log_loss"], abs=1e-4)
    assert not list(tmp_path.glob(".*.checkpoint.pt"))


@pytest.mark.slow
def test_a_retrain_that_is_interrupted_goes_on_with_as_many_devices_as_there_are_then(tmp_path: Path) -> None:
    folder = searched(tmp_path, tiny_recipe(optim={"batch_size": 32}))
    config = choose(folder).config
    trained = partial(fit, folder, config, tmp_path / "model", parts=("train",), runtime=CPU)

    def interrupt(metrics: dict[str, float]) -> None:
        if metrics["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(heard=interrupt)
    heard: list[dict[str, float]] = []
    fitted = trained(devices=("cpu", "cpu"), heard=heard.append)
    assert [metrics["epoch"] for metrics in heard] == [2]
    assert [metrics["epoch"] for metrics in fitted.history] == [1, 2]


def test_no_more_devices_are_used_than_batches_have_pictures_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def no_fit(*_: Any, devices: tuple[str, ...], **__: Any) -> None:
        asked.append(devices)
        raise KeyboardInterrupt

    monkeypatch.setattr("search.final.fit", no_fit)
    folder, told = searched(tmp_path, tiny_recipe(optim={"batch_size": 32})), list[str]()
    with pytest.raises(KeyboardInterrupt):
        retrain(folder, choose(folder), devices=("cuda:0", "cuda:1", "cuda:2"), told=told.append)
    assert asked == [("cuda:0", "cuda:1")]
    assert told == ["2 devices of 3: its batches are too small for more."]


@pytest.mark.parametrize("gpus", ["0", "none", "-1", "9999"])
def test_gpus_that_are_not_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gpus: str
) -> None:
    folder = searched(tmp_path, tiny_recipe())
    assert command.main([str(folder.path), f"--gpus={gpus}"]) == 2
    assert f"--gpus {gpus}: a number from 1 on, or all; this machine has" in capsys.readouterr().err
