"""What a training sets for all of its process: threads, number formats, and what becomes of freed memory."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import sys

import torch

from trainables.runtime import Runtime

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""glibc's names for what `mallopt` sets (malloc.h)."""
_KEPT_BYTES = (1 << 31) - 1
_GROWTH_BYTES = 1 << 26


def set_up(runtime: Runtime) -> None:
    """Makes this process ready for a training. What an earlier training in it has set is set anew."""
    device = runtime.resolved_device()
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    if device.type == "cpu":
        _keep_freed_memory()
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(runtime.gpu_share, device.index)
        torch.set_float32_matmul_precision("high")  # TF32, as cuDNN takes anyway
        torch.backends.cudnn.benchmark = (
            True  # shapes hardly change: the quickest algorithm is worth a search
        )


@functools.cache
def _keep_freed_memory() -> None:
    """Makes glibc keep what is freed, for the next step to take.

    Otherwise each of a step's large tensors is mapped anew, and every page of it is filled with zeros by the
    system when it is first touched (`benchmarks/freed_memory.py`).
    """
    name = ctypes.util.find_library("c")
    libc = ctypes.CDLL(name) if sys.platform == "linux" and name else None
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_TOP_PAD, _GROWTH_BYTES)
