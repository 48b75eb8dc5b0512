"""Where batches come from: on the device, sent there, made ahead, waited for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.toy_pictures import CPU, tiny_recipe, toy_pictures
from trainables.ahead import Ahead
from trainables.data import on_canvases
from trainables.feed import Feed
from trainables.loop import TrainData, train
from trainables.pixels import Resident, Sent, pixels_of

DEVICE = torch.device("cpu")


class Shapes:
    """Pictures of several shapes; a batch's canvases are as large as its own largest."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        self.pictures = [
            rng.integers(0, 256, (*rng.integers(4, 12, 2), 3), dtype=np.uint8) for _ in range(count)
        ]

    @property
    def canvas_px(self) -> tuple[int, int]:
        return 12, 12

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return on_canvases([self.pictures[row] for row in rows])


@pytest.mark.parametrize("rows", [[0], [5, 2, 2, 9], list(range(1100))])
def test_pictures_on_the_device_are_those_that_would_be_sent(rows: list[int]) -> None:
    pictures = Shapes(1100)
    resident, extents = Resident(pictures, DEVICE).batch(np.array(rows))
    sent, sent_extents = Sent(pictures, DEVICE).batch(np.array(rows))
    height, width = sent.shape[1:3]
    assert torch.equal(extents, sent_extents)
    assert torch.equal(resident[:, :height, :width], sent)
    assert not resident[:, height:].any()
    assert not resident[:, :, width:].any()


def test_without_a_gpu_no_picture_is_kept_beside_the_memory_map() -> None:
    pictures = toy_pictures(40, 0)
    assert isinstance(pixels_of(pictures, CPU), Sent)
    assert pictures.served == []


class Clock:
    """Time that passes only when somebody works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("trainables.ahead.time.perf_counter", lambda: self.now)

    def made(self, batches: int, each_s: float) -> Iterator[tuple[Tensor]]:
        for number in range(batches):
            self.now += each_s
            yield (torch.tensor(number),)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_batches_come_in_order_and_only_the_time_in_which_they_are_made_counts_as_waiting(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    clock = Clock(monkeypatch)
    batches = Ahead(clock.made(count, each_s=0.25), DEVICE)
    came = []
    for (number,) in batches:
        came.append(int(number))
        clock.now += 10  # the device works
    assert came == list(range(count))
    assert batches.wait_s == count * 0.25


def test_each_epoch_tells_how_long_the_device_waited_for_data() -> None:
    reports: list[dict[str, float]] = []
    data = TrainData(toy_pictures(96, 1), toy_pictures(48, 2))
    recipe = tiny_recipe(augment={"strength": 1.0})
    train(recipe, data, lambda metrics, state: reports.append(metrics), runtime=CPU, epochs=2)
    assert all(0 < epoch["data_wait_s"] < epoch["train_s"] for epoch in reports)


def test_a_part_is_evaluated_whole_whatever_a_batch_holds() -> None:
    pictures = toy_pictures(150, 0)
    feed = Feed(pictures, tiny_recipe(), CPU, [0.5] * 3, [0.5] * 3)
    sizes = [len(labels) for _, labels in feed.evaluation()]
    assert sizes == [64, 64, 22]
    assert pictures.served == list(range(150))


class Gpu:
    """Stands for CUDA: notes what is asked of it, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        monkeypatch.setattr("trainables.ahead._making_stream", lambda device: self.stream("makes"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.stream("works"))
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: self.within(stream.name))
        monkeypatch.setattr(torch.cuda, "Event", self.event)
        monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: self.asked.append("kept"))

    def stream(self, name: str) -> SimpleNamespace:
        def wait_stream(other: SimpleNamespace) -> None:
            self.asked.append(f"{name} waits for {other.name}")

        return SimpleNamespace(name=name, wait_stream=wait_stream)

    @contextlib.contextmanager
    def within(self, name: str) -> Iterator[None]:
        self.asked.append(f"on {name}:")
        yield

    def event(self, enable_timing: bool) -> SimpleNamespace:
        assert enable_timing
        return SimpleNamespace(
            record=lambda stream: self.asked.append(f"time on {stream.name}"),
            synchronize=lambda: self.asked.append("wait"),
            elapsed_time=lambda later: 250.0,
        )


def test_on_cuda_the_next_batch_is_made_beside_the_work_on_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(monkeypatch)

    def made() -> Iterator[tuple[Tensor, None]]:
        for number in range(2):
            gpu.asked.append(f"make {number}")
            yield torch.tensor(number), None

    batches = Ahead(made(), torch.device("cuda"))
    for number, _ in batches:
        gpu.asked.append(f"work on {int(number)}")
    made_one = ["time on works", "on makes:", "make {}", "works waits for makes", "time on works"]
    assert gpu.asked == [
        "makes waits for works",
        *(step.format(number) for number in range(2) for step in (*made_one, "kept", "work on {}")),
        "time on works",
        "on makes:",
    ]
    assert batches.wait_s == 0.5
    assert gpu.asked[-1] == "wait"
