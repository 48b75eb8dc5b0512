"""Batch norm over the pictures of all workers of a training."""

from __future__ import annotations

from typing import cast

from timm.layers import convert_sync_batchnorm
from torch import nn

from trainables.runtime import Runtime


def synchronized(model: nn.Module, runtime: Runtime) -> nn.Module:
    """The network with batch norm that takes its statistics over the whole batch, as one worker would.

    The layers are others, the parameters the same. Where there is one worker, where the workers were told to
    keep to their own pictures, and on a CPU, where torch has no such layer, it stays as it is.
    """
    wanted = runtime.world_size > 1 and runtime.batch_norm == "sync"
    possible = runtime.resolved_device().type == "cuda"
    return cast(nn.Module, convert_sync_batchnorm(model)) if wanted and possible else model
