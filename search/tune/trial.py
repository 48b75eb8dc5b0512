"""The function that Ray Tune runs for a trial: it starts a Ray Train trainer around our worker."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

import ray.train
import ray.tune
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from search.tune.group import OverRaysNetwork
from search.tune.lost import deaths_of
from search.tune.nodes import GPU_TYPE
from trainables.portions import is_out_of_memory
from trainables.process import keep_freed_memory
from trainables.reporting import lost
from trainables.worker import work
from trainables.workplace import PlaceError, Slot, Workplace

keep_freed_memory()  # here, for Tune runs trials in threads, and they take their memory as it is set before


def run_trial(config: dict[str, Any], *, place: Workplace, workers: int) -> None:
    """One trial.

    With one worker, Ray Train runs the worker in this very process (its local mode): starting a worker
    group takes seconds and several processes, more than many trials train for. With more it starts a
    group, and this function only waits.

    Args:
        config: Of `search.tune.searcher`: the trial, and the slot of each of its workers.
    """
    trial, slot = config["trial"], Slot(**config["slot"])
    worker = partial(work, trial, place, slot)
    if workers == 1:
        TorchTrainer(worker, scaling_config=ray.train.ScalingConfig(num_workers=0)).fit()
        return
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # 2 s, and reports wait for it
    trainer = TorchTrainer(
        worker,
        torch_config=OverRaysNetwork(),
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers,
            use_gpu=slot.gpus > 0,
            resources_per_worker=in_ray(slot),
        ),
        run_config=ray.train.RunConfig(
            name=f"group-{ray.tune.get_context().get_trial_id()}",
            storage_path=ray.tune.get_context().get_trial_dir(),
            callbacks=[TuneReportCallback()],
            # Else Train itself would start the group of a drained machine again, and nobody would hear of it.
            failure_config=ray.train.FailureConfig(max_preemption_failures=0),
        ),
    )
    try:
        trainer.fit()
    except ray.train.WorkerGroupError as fault:
        if deaths_of(fault):
            raise  # what is lost starts again, from its checkpoint
        ray.tune.report({"message": json.dumps(_failure(trial["number"], fault))})


def in_ray(slot: Slot) -> dict[str, float]:
    """The slot in Ray's terms."""
    found = {"CPU": slot.cpus, "GPU": slot.gpus} if slot.gpus else {"CPU": slot.cpus}
    # As Ray's own `accelerator_type=`: a crumb of a resource that nodes of that type have.
    return found | {GPU_TYPE + slot.gpu_type: 0.001} if slot.gpu_type else found


def _failure(number: int, fault: ray.train.WorkerGroupError) -> dict[str, Any]:
    error, details = next(iter(fault.worker_failures.values())), str(fault)
    if isinstance(error, PlaceError):
        return lost(number, str(error), details)
    return {
        "event": "end",
        "trial": number,
        "outcome": "out_of_memory" if is_out_of_memory(error) else "failed",
        "error": f"{type(error).__name__}: {error}",
        "traceback": details,
    }
