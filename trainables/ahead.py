"""Batches made ready while the device works on the one before, and how long it waits for them even so."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import Generic, TypeVar

import torch
from torch import Tensor

B = TypeVar("B", bound=tuple)


class Ahead(Generic[B]):
    """Iterates over batches, once.

    On CUDA the next batch is made while the device works on this one, on a stream of its own: copies and
    augmentation overlap with training. Elsewhere it is made when it is asked for.

    Args:
        batches: Makes a batch, a tuple, whenever it is asked for one.
    """

    def __init__(self, batches: Iterator[B], device: torch.device) -> None:
        self._batches, self._device = batches, device
        self._waited_s = 0.0
        self._waits: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @property
    def wait_s(self) -> float:
        """How long the device has stood idle for want of a batch, in seconds; waits for the device."""
        if self._waits:
            self._waits[-1][1].synchronize()
        return self._waited_s + sum(idle.elapsed_time(ready) for idle, ready in self._waits) / 1e3

    def __iter__(self) -> Iterator[B]:
        return self._overlapping() if self._device.type == "cuda" else self._in_turn()

    def _in_turn(self) -> Iterator[B]:
        while True:
            asked = time.perf_counter()
            batch = next(self._batches, None)
            self._waited_s += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def _overlapping(self) -> Iterator[B]:
        works, makes = torch.cuda.current_stream(self._device), _making_stream(self._device)
        makes.wait_stream(works)  # what batches are made of may still be on its way to the device
        while True:
            idle, ready = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            idle.record(works)  # reached when all work on the batch before is done
            with torch.cuda.stream(makes):
                batch = next(self._batches, None)
            if batch is None:
                return
            works.wait_stream(makes)
            ready.record(works)
            self._waits.append((idle, ready))
            for value in batch:
                if isinstance(value, Tensor):
                    value.record_stream(works)  # its memory is taken again only after the work on it
            yield batch


@functools.cache
def _making_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all: what was freed on one stream is not given out on another."""
    return torch.cuda.Stream(device)
