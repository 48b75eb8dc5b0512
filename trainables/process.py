"""What a training sets for all of its process: threads, number formats, and what becomes of freed memory."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import sys

import torch

from trainables.runtime import Runtime

USABLE = 0.95
"""Of a GPU's memory, where trainings share it."""
PROCESS_BYTES = 600 << 20
"""What CUDA itself takes for each process."""

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
"""glibc's names for what `mallopt` sets (malloc.h)."""
_KEPT_BYTES = (1 << 31) - 1
_GROWTH_BYTES = 1 << 26


def set_up(runtime: Runtime) -> None:
    """Makes this process ready for a training. What an earlier training in it has set is set anew."""
    device = runtime.resolved_device()
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        total_bytes = torch.cuda.get_device_properties(device).total_memory
        share = usable_bytes(total_bytes, runtime.gpu_share) / total_bytes
        torch.cuda.set_per_process_memory_fraction(share, device.index)
        torch.set_float32_matmul_precision("high")  # TF32, as cuDNN takes anyway
        # Shapes hardly change: looking for the quickest algorithm pays.
        torch.backends.cudnn.benchmark = True


def usable_bytes(total_bytes: int, share: float) -> float:
    """What torch may take of a GPU's memory in a training that has this share of it."""
    return max(0.0, USABLE * share * total_bytes - PROCESS_BYTES) if share < 1 else total_bytes


@functools.cache
def keep_freed_memory() -> None:
    """Makes glibc keep what is freed, for the next step to take.

    Otherwise each of a step's large tensors is mapped anew, and every page of it is filled with zeros by the
    system when it is first touched (`benchmarks/freed_memory.py`). Threads that start later share the first
    one's memory: of their own they would have no more than 64 MB in one piece.
    """
    name = ctypes.util.find_library("c")
    libc = ctypes.CDLL(name) if sys.platform == "linux" and name else None
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_TOP_PAD, _GROWTH_BYTES)
        libc.mallopt(_ARENA_MAX, 1)
