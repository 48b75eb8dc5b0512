"""A batch in as many portions as the device's memory asks for."""

from __future__ import annotations

import gc
import itertools
import math
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

_SAID = ("out of memory", "STATUS_ALLOC_FAILED", "STATUS_NOT_INITIALIZED")
"""By CUDA itself, cuBLAS and cuDNN, whose errors have no class of their own."""


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether a device had too little memory."""
    if isinstance(fault, torch.OutOfMemoryError):
        return True
    return isinstance(fault, RuntimeError) and any(words in str(fault) for words in _SAID)


class Portions:
    """How many pictures a device takes at once: all of a batch, until its memory runs out.

    Args:
        at_once: To begin with; None: all.
        least: Portions of fewer are never tried.
    """

    def __init__(self, at_once: int | None = None, *, least: int = 1) -> None:
        self._at_once, self._least = at_once, least

    def of(self, pictures: int) -> list[slice]:
        """A batch cut into portions whose sizes differ by one at most."""
        count = min(math.ceil(pictures / (self._at_once or pictures)), self._most(pictures))
        borders = [pictures * place // count for place in range(count + 1)]
        return list(itertools.starmap(slice, itertools.pairwise(borders)))

    def fitted(self, pictures: int, work: Callable[[list[slice]], T]) -> T:
        """Does work on a batch in portions, in smaller ones as long as the device has too little memory.

        Args:
            work: Gets the portions. When it runs out of memory it is called again, to begin anew.

        Raises:
            RuntimeError: Not even the smallest portions fit (see `is_out_of_memory`), or the work's own.
        """
        while True:
            portions = self.of(pictures)
            try:
                return work(portions)
            except RuntimeError as fault:
                if not is_out_of_memory(fault) or len(portions) == self._most(pictures):
                    raise
                self._at_once = math.ceil(pictures / len(portions)) // 2
            # Not before: the exception holds on to the tensors of the failed attempt.
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()

    def _most(self, pictures: int) -> int:
        return max(1, pictures // self._least)
