"""Runtime: where and how a training runs. Never part of what is trained."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal

import torch

Precision = Literal["auto", "float32", "bfloat16", "float16"]
BatchNorm = Literal["sync", "local"]


@dataclass(frozen=True)
class Runtime:
    """One process of a training."""

    device: str = "auto"
    """`auto` takes CUDA, then MPS, then the CPU; or any name that torch knows."""
    threads: int | None = None
    """CPU threads of torch; None leaves torch's own choice."""
    precision: Precision = "auto"
    """`auto`: bfloat16 autocast on a GPU that has it, float16 on an older one, else float32."""
    gpu_share: float = 1.0
    """Of the memory of a GPU that several trainings use."""
    at_once: int | None = None
    """Pictures that the device trains on at a time, at most: larger batches go through in portions. None:
    whole batches, until memory runs out."""
    rank: int = 0
    world_size: int = 1
    batch_norm: BatchNorm = "sync"
    """Over which pictures batch norm takes its statistics where there are several workers: those of the whole
    batch, so that they learn what one would, or each worker's own, as on a CPU in any case."""

    def resolved_device(self) -> torch.device:
        """The torch device that this names."""
        if self.device != "auto":
            return torch.device(self.device)
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")

    def autocast_dtype(self) -> torch.dtype:
        """The type that matrix products run in; float32 means no autocast."""
        if self.precision != "auto":
            return {
                "float32": torch.float32,
                "bfloat16": torch.bfloat16,
                "float16": torch.float16,
            }[self.precision]
        if self.resolved_device().type != "cuda":
            return torch.float32
        # Older GPUs only emulate bfloat16, slowly.
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bfloat16 else torch.float16

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Runs the forward pass in the autocast type."""
        dtype = self.autocast_dtype()
        if dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.resolved_device().type, dtype=dtype)
