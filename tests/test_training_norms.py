"""Batch norm of several workers: over the whole batch it learns what one worker would."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F

from tests.test_training_workers import WORKERS, run
from tests.toy_pictures import CPU, tiny_recipe
from trainables.models.create import create_model
from trainables.models.norms import synchronized
from trainables.runtime import Runtime

ON_GPUS = Runtime(device="cuda", world_size=2)  # nothing is put there
RECIPE = tiny_recipe(
    model={"args": {"width": 8, "blocks": 2, "dense": 16, "batch_norm": True}},
    augment={"strength": 0.5},
    ema={"decay": 0.8},
    schedule={"name": "cosine"},
)
OF_TIMM = tiny_recipe(model={"name": "mobilenetv3_small_050", "args": {}}, geometry={"size_px": 32})


def norms(model: nn.Module) -> list[nn.Module]:
    return [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize("recipe", [RECIPE, OF_TIMM], ids=lambda recipe: recipe.model.name)
def test_on_gpus_every_batch_norm_is_over_all_workers_and_the_weights_stay(recipe: Any) -> None:
    plain, twin = create_model(recipe, 3), create_model(recipe, 3)
    twin.load_state_dict(plain.state_dict())
    found = synchronized(twin, ON_GPUS)
    assert len(norms(found)) == len(norms(plain)) > 0
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms(found))
    assert found.state_dict().keys() == plain.state_dict().keys()
    images = torch.rand(2, 3, recipe.geometry.size_px, recipe.geometry.size_px)
    torch.testing.assert_close(found.eval()(images), plain.eval()(images))


@pytest.mark.parametrize(
    "runtime",
    [
        CPU,
        Runtime(device="cuda"),
        Runtime(device="cpu", world_size=2),
        Runtime(device="cuda", world_size=2, batch_norm="local"),
    ],
)
def test_alone_on_a_cpu_and_where_told_a_worker_keeps_to_its_own_pictures(runtime: Runtime) -> None:
    model = create_model(RECIPE, 3)
    assert synchronized(model, runtime) is model
    assert not any(isinstance(norm, nn.SyncBatchNorm) for norm in norms(model))


def over_all_workers(self: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """What torch's own layer for it computes, which works on GPUs alone."""
    if not self.training:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
    dims = [0, *range(2, x.ndim)]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    count = torch.tensor([x.numel() / x.shape[1]])
    total = all_reduce(torch.cat([x.sum(dims), count]))
    mean = total[:-1] / total[-1]
    variance = all_reduce(((x - mean.view(shape)) ** 2).sum(dims)) / total[-1]
    with torch.no_grad():
        unbiased = variance * total[-1] / (total[-1] - 1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased, self.momentum)
    normal = (x - mean.view(shape)) / (variance.view(shape) + self.eps).sqrt()
    return normal * self.weight.view(shape) + self.bias.view(shape)


def worker(rank: int, folder: str) -> None:
    """One process of the group, with batch norm as it would be on GPUs."""
    store = torch.distributed.FileStore(f"{folder}/store", WORKERS)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=WORKERS)
    nn.BatchNorm2d.forward = over_all_workers  # type: ignore[method-assign, assignment]
    runtime = Runtime(device="cpu", threads=1, rank=rank, world_size=WORKERS)
    torch.save(run(RECIPE, runtime), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_over_all_workers_it_learns_what_one_worker_would(tmp_path: Any) -> None:
    torch.multiprocessing.spawn(worker, (str(tmp_path),), nprocs=WORKERS)
    alone = run(RECIPE, CPU)
    for rank in range(WORKERS):
        together = torch.load(tmp_path / f"{rank}.pt")
        for ours, expected in zip(together["metrics"], alone["metrics"], strict=True):
            assert ours == pytest.approx(expected, abs=1e-4)
        for part in ("model", "ema", "ended"):
            for name, value in alone[part].items():
                if not name.endswith("num_batches_tracked"):
                    torch.testing.assert_close(together[part][name], value, rtol=1e-2, atol=1e-3)
