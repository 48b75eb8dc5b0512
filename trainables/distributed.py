"""One network trained by several workers, each on its share of every batch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from spaces.errors import InputError
from trainables.runtime import Runtime


def shared(model: nn.Module, runtime: Runtime) -> nn.Module:
    """The network, wrapped to average the workers' gradients where there are several.

    The wrapper notes which parameters train: make it anew when that changes.
    """
    return DistributedDataParallel(model) if runtime.world_size > 1 else model


def require_share(pictures: int, batches: int, runtime: Runtime) -> None:
    """Makes sure that each worker has a part in each batch.

    Args:
        batches: Of a pass over so many pictures.

    Raises:
        InputError: There are more workers than pictures in a batch.
    """
    smallest = pictures // batches  # they differ by one at most
    if smallest < runtime.world_size:
        raise InputError(
            f"{runtime.world_size} workers cannot share batches of {smallest} pictures: raise "
            "optim.batch_size, or train with fewer workers."
        )


def share_buffers(*models: nn.Module | None) -> None:
    """Gives all workers the first one's buffers: each has batch norm statistics of its own pictures."""
    for model in filter(None, models):
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, src=0)


def require_same(what: str, value: int, runtime: Runtime) -> None:
    """Makes sure that all workers have found the same: their exchange would not tell.

    Raises:
        OSError: They have not.
    """
    if runtime.world_size == 1:
        return
    own = torch.tensor([value], device=runtime.resolved_device())
    found = [torch.empty_like(own) for _ in range(runtime.world_size)]
    torch.distributed.all_gather(found, own)
    values = [int(one) for one in found]
    if len(set(values)) > 1:
        raise OSError(f"{what} is not the same for all workers: {', '.join(map(str, values))}")
