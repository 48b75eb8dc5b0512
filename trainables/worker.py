"""The Ray Train side of a trial: what each worker runs, in local mode or in a worker group."""

from __future__ import annotations

import gc
import socket
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from spaces.recipe import Recipe
from trainables.answers import answers_name, packed
from trainables.checkpoint import Checkpoint
from trainables.distributed import require_same
from trainables.evaluate import log_probabilities
from trainables.loop import train
from trainables.portions import is_out_of_memory
from trainables.reporting import Reporter
from trainables.runtime import Runtime
from trainables.saving import Saver
from trainables.workplace import (
    LackingError,
    PlaceError,
    Slot,
    Workplace,
    at_hand,
    checkpoint_of,
    patiently,
    pictures_here,
    stay_until_mended,
    with_weights_here,
)


def work(trial: dict[str, Any], place: Workplace, slot: Slot) -> None:
    """Trains one trial and reports over Ray; ends with a message that says how it ended.

    A trial whose checkpoint exists goes on from it: after a crash of the worker, of the machine or of the
    driver alike. It reports the checkpoint's epochs once more, in case a report was lost on its way.

    Where the machine lacks what trials work with, the trial is reported as lost, and goes elsewhere. This
    process stays until that is mended, unless it is stopped: its place would be free at once, and take one
    trial after another.

    Args:
        trial: A `search.trials.trials.Trial` as plain values.
    """
    reporter = Reporter(place.workers)
    try:
        if place.workers > 1:
            reporter.report({"event": "begin", "trial": trial["number"]})
        outcome = _train(trial, place, slot, reporter)
        reporter.report({"event": "end", "trial": trial["number"], "outcome": outcome})
    except PlaceError as fault:
        reporter.lose(trial, fault)
        if isinstance(fault, LackingError):
            stay_until_mended(place, _size_px(trial))
    except Exception as fault:
        reporter.fail(trial, "out_of_memory" if is_out_of_memory(fault) else "failed", fault)


def _train(trial: dict[str, Any], place: Workplace, slot: Slot, reporter: Reporter) -> str:
    if torch.cuda.is_initialized():  # by an earlier trial of this process: its memory goes back first
        gc.collect()
        torch.cuda.empty_cache()
    data = pictures_here(place, _size_px(trial))
    recipe = Recipe.model_validate(trial["recipe"])  # when all networks are known
    saver = Saver(place.checkpoints, place.state_of(trial))
    runtime = Runtime(
        device=reporter.device,
        threads=max(1, int(slot.cpus)),
        gpu_share=min(1.0, slot.gpus or 1.0),
        at_once=slot.at_once,
        rank=reporter.rank,
        world_size=reporter.world_size,
        batch_norm=place.batch_norm,
    )
    device = str(runtime.resolved_device())

    def message(metrics: dict[str, float]) -> dict[str, Any]:
        return {
            "event": "epoch",
            "trial": trial["number"],
            "epoch": metrics["epoch"],
            "passes": metrics["passes"],
            "metrics": metrics,
            "node": socket.gethostname(),
            "device": device,
        }

    def report(metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        told = message(metrics)
        if reporter.rank == 0:
            # The trial's own recipe: another node may have the weights elsewhere.
            saver.offer(replace(checkpoint, recipe=trial["recipe"]))
            told["unsaved"] = saver.fault
        reporter.report(told)

    with at_hand():
        resume = checkpoint_of(place, trial)
        require_same("the last state", resume.epoch if resume else 0, runtime)
    if resume is None:
        with at_hand():
            recipe = with_weights_here(recipe, place)
    else:
        for metrics in resume.history:
            reporter.report(message(metrics))
    model = train(
        recipe,
        place.course.of(data),
        report,
        runtime=runtime,
        seed=trial["seed"],
        epochs=trial["epochs"],
        resume=resume,
        replay=place.course.replay,
    )
    saver.flush()
    if place.state is not None:
        with at_hand():
            patiently(saver.require_saved)
    if place.answers is not None and reporter.rank == 0:
        alone = replace(runtime, world_size=1)
        found = log_probabilities(model, recipe, data.part("selection"), runtime=alone)
        with at_hand():
            name, content = answers_name(trial["number"]), packed(found)
            patiently(partial(place.answers.write, name, content))
    return "complete"


def _size_px(trial: dict[str, Any]) -> int:
    return int(trial["recipe"]["geometry"]["size_px"])
