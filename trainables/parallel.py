"""One training over several devices of this machine, each with a process of its own; without Ray."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing, nn

from spaces.errors import InputError
from spaces.recipe import Recipe
from trainables.checkpoint import Checkpoint
from trainables.loop import TrainData, train
from trainables.models.create import create_model, import_networks
from trainables.runtime import Runtime

LOOK_S = 0.2
"""Between two looks at the processes and what they have reported."""
LEAST_PICTURES = 16
"""Of a batch, on each device: with fewer it takes longer to add up gradients than to have them."""


@dataclass(frozen=True)
class Together:
    """What each process has to know; see `trainables.loop.train`."""

    recipe: Recipe
    opened: Callable[[], TrainData]
    """Opens the data: pictures lie in mapped files, which do not go from process to process."""
    runtimes: Sequence[Runtime]
    """Of each process, by rank."""
    imports: tuple[str, ...]
    """Modules that register networks of the user's own."""
    state_file: Path
    """The state after each epoch is kept there."""
    resumes: bool
    """Whether it goes on from that state."""
    seed: int
    epochs: int
    replay: Sequence[float] | None


def runtimes(runtime: Runtime, devices: Sequence[str]) -> list[Runtime]:
    """The runtime of each process, by rank; they share the CPUs."""
    threads = max(1, (runtime.threads or os.cpu_count() or 1) // len(devices))
    return [
        replace(runtime, device=device, threads=threads, rank=rank, world_size=len(devices))
        for rank, device in enumerate(devices)
    ]


def train_together(training: Together, heard: Callable[[dict[str, float]], None]) -> nn.Module:
    """Trains a recipe with the batches that one device would have, shared out among several.

    Ends all processes when one of them does, or when it is interrupted.

    Args:
        heard: Hears each epoch's metrics.

    Returns:
        The trained network, as `trainables.loop.train` does.

    Raises:
        InputError: What one of the processes raised.
        torch.multiprocessing.ProcessRaisedException: One failed otherwise; with its traceback.
        torch.multiprocessing.ProcessExitedException: One was killed.
    """
    with tempfile.TemporaryDirectory(prefix="classifier-search-") as scratch:
        reports: SimpleQueue[Any] = multiprocessing.get_context("spawn").SimpleQueue()
        processes = multiprocessing.spawn(
            _process, (training, Path(scratch), reports), nprocs=len(training.runtimes), join=False
        )
        try:
            while not processes.join(timeout=LOOK_S):
                _hear(reports, heard)
        except (multiprocessing.ProcessRaisedException, multiprocessing.ProcessExitedException):
            _hear(reports, heard)  # what the process itself has said of it is plainer
            raise
        finally:
            for process in processes.processes:
                process.kill()
                process.join()
        _hear(reports, heard)
        done = torch.load(Path(scratch) / "network.pt", weights_only=True)
    network = create_model(training.recipe, done["classes"], weights=False)
    network.load_state_dict(done["weights"])
    return network.eval()


def _hear(reports: SimpleQueue[Any], heard: Callable[[dict[str, float]], None]) -> None:
    while not reports.empty():
        report = reports.get()
        if isinstance(report, InputError):
            raise report
        heard(report)


def _process(rank: int, training: Together, scratch: Path, reports: SimpleQueue[Any]) -> None:
    """What one process does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # how torch ends it when its parent has died
    runtime = training.runtimes[rank]
    device = runtime.resolved_device()
    if sys.platform == "linux":  # nobody else has a part in it
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=distributed.FileStore(str(scratch / "store"), runtime.world_size),
        rank=rank,
        world_size=runtime.world_size,
    )

    def report(metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        if rank == 0:
            reports.put(metrics)  # first: an epoch that is trained again is known, an untold one is lost
            checkpoint.save(training.state_file)

    try:
        import_networks(training.imports)
        data = training.opened()
        network = train(
            training.recipe,
            data,
            report,
            runtime=runtime,
            seed=training.seed,
            epochs=training.epochs,
            resume=Checkpoint.load(training.state_file) if training.resumes else None,
            replay=training.replay,
        )
    except InputError as fault:
        reports.put(fault)
        raise
    if rank == 0:
        done = {"classes": len(data.train.classes), "weights": network.state_dict()}
        torch.save(done, scratch / "network.pt")
    distributed.barrier()  # who leaves earlier takes the others' connections along
    distributed.destroy_process_group()
