"""The Ray Train side of a trial: what each worker runs, in local mode or in a worker group."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import math
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import ray
import ray.train
import ray.train.torch
import ray.tune
import torch

from spaces.errors import InputError
from spaces.recipe import Recipe
from trainables.answers import answers_name, packed
from trainables.checkpoint import Checkpoint, CheckpointError, checkpoint_name
from trainables.course import Course
from trainables.data import Dataset, load
from trainables.data.demo import demo_source
from trainables.distributed import require_same
from trainables.evaluate import log_probabilities
from trainables.loop import train
from trainables.models.create import import_networks
from trainables.portions import is_out_of_memory
from trainables.runtime import BatchNorm, Runtime
from trainables.saving import Saver
from trainables.secrets import without_secrets
from trainables.storage import Storage
from trainables.weight_files import on_this_node

T = TypeVar("T")

PATIENCE_S, PAUSE_S = 300.0, 10.0
"""For a storage that fails where it must not: when a state is read, or what was trained for is written."""
MENDED_S = 10.0
"""So often a process looks whether its machine has what it lacked."""
PEERS_S = 90.0
"""A worker whose exchange with the others breaks off waits for so long to be ended with the whole group: Ray
finds out who has died, and whether a machine has, half a minute later than the others feel it. When it has
not by then, nobody has died, and the network between them is at fault."""


@dataclass(frozen=True)
class Weights:
    """A file of weights that trials start from."""

    sha256: str
    suffix: str
    content: ray.ObjectRef | None
    """Its bytes, for nodes that do not have it; None where every worker is on the machine that has it."""


@dataclass(frozen=True)
class Workplace:
    """What all trials of a search share: where the data and the checkpoints are, and what a worker has."""

    source: str | None
    """Folder or manifest of pictures, the same on every node; None is the demo, which each node draws."""
    split: pd.DataFrame
    cache_dir: str
    checkpoints: Storage
    """Folder for the states of trials, the same from every node."""
    imports: tuple[str, ...]
    workers: int
    """Processes a trial."""
    weights: Mapping[str, Weights] = field(default_factory=dict)
    """By the path that recipes name."""
    answers: Storage | None = None
    """Folder for what each trained network says about the selection part, the same from every node; None: it
    is not asked."""
    batch_norm: BatchNorm = "sync"
    """Of trials with several workers; see `trainables.runtime.Runtime`."""
    cache_gb: float = math.inf
    """Bound of all decoded pictures in `cache_dir`; see `trainables.data.load`."""
    course: Course = field(default_factory=Course)
    """What all of them learn from."""
    state: str | None = None
    """Name of the state's file in `checkpoints`, where there is one training alone, and its state is all that
    it is for; None: the state of each is named by its number, and needed only if it is cut off."""

    def state_of(self, trial: Mapping[str, Any]) -> str:
        """Name of the file of a training's state."""
        return self.state or checkpoint_name(trial["number"])


@dataclass(frozen=True)
class Slot:
    """What a worker of a trial has of its node."""

    cpus: float
    gpus: float = 0.0
    at_once: int | None = None
    """Pictures that go through the network at a time; None: a whole batch, as long as memory holds it."""
    gpu_type: str | None = None
    """Ray's `accelerator_type`, where only that will do."""


class PlaceError(Exception):
    """What a trial works with is not to be had on its machine: pictures are gone, a module is not installed
    there, or a disk is full. It says nothing about the trial's recipe."""


class LackingError(PlaceError):
    """Its machine lacks what every trial works with; others may have it."""


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
    context = _Context(place.workers)
    try:
        if place.workers > 1:
            context.report({"event": "begin", "trial": trial["number"]})
        outcome = _train(trial, place, slot, context)
        context.report({"event": "end", "trial": trial["number"], "outcome": outcome})
    except PlaceError as fault:
        context.lose(trial, fault)
        if isinstance(fault, LackingError):
            _stay_until_mended(place, trial)
    except Exception as fault:
        context.fail(trial, "out_of_memory" if is_out_of_memory(fault) else "failed", fault)


def _train(trial: dict[str, Any], place: Workplace, slot: Slot, context: _Context) -> str:
    if torch.cuda.is_initialized():  # by an earlier trial of this process: its memory goes back first
        gc.collect()
        torch.cuda.empty_cache()
    with _at_hand(LackingError):
        _import_once(place.imports)
    recipe = Recipe.model_validate(trial["recipe"])
    with _at_hand(LackingError):
        data = _open_once(place, recipe.geometry.size_px)
    saver = Saver(place.checkpoints, place.state_of(trial))
    runtime = Runtime(
        device=context.device,
        threads=max(1, int(slot.cpus)),
        gpu_share=min(1.0, slot.gpus or 1.0),
        at_once=slot.at_once,
        rank=context.rank,
        world_size=context.world_size,
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
        if context.rank == 0:
            # The trial's own recipe: another node may have the weights elsewhere.
            saver.offer(replace(checkpoint, recipe=trial["recipe"]))
            told["unsaved"] = saver.fault
        context.report(told)

    with _at_hand():
        resume = _checkpoint_of(place, trial)
        require_same("the last state", resume.epoch if resume else 0, runtime)
    if resume is None:
        with _at_hand():
            recipe = _with_weights_here(recipe, place)
    else:
        for metrics in resume.history:
            context.report(message(metrics))
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
        with _at_hand():
            _patiently(saver.require_saved)
    if place.answers is not None and context.rank == 0:
        alone = replace(runtime, world_size=1)
        found = log_probabilities(model, recipe, data.part("selection"), runtime=alone)
        with _at_hand():
            name, content = answers_name(trial["number"]), packed(found)
            _patiently(partial(place.answers.write, name, content))
    return "complete"


@contextlib.contextmanager
def _at_hand(error: type[PlaceError] = PlaceError) -> Iterator[None]:
    """What goes wrong in this block, with pictures, modules or files, is no fault of the trial's recipe.

    Raises:
        PlaceError: Something did; it is this `error`.
    """
    try:
        yield
    except (InputError, OSError) as fault:
        named = "" if isinstance(fault, InputError) else f"{type(fault).__name__}: "
        raise error(f"{named}{fault} (on {socket.gethostname()})") from fault


def _stay_until_mended(place: Workplace, trial: Mapping[str, Any]) -> None:
    """Returns when this machine has what it lacked."""
    while True:
        time.sleep(MENDED_S)
        with contextlib.suppress(InputError, OSError):
            _import_once(place.imports)
            _open_once(place, Recipe.model_validate(trial["recipe"]).geometry.size_px)
            return


def _checkpoint_of(place: Workplace, trial: dict[str, Any]) -> Checkpoint | None:
    """The trial's last state; None where there is none, or a damaged one: it then starts anew. So does a
    search's trial where the storage fails, which holds nothing up: most have none yet.

    Raises:
        OSError: The storage fails, and the state is all that the training is for: it is not written over.
    """
    states, name = place.checkpoints, place.state_of(trial)

    def read() -> Checkpoint | None:
        try:
            with states.reading(name) as stream:
                return Checkpoint.read(stream, f"{states}/{name}")
        except FileNotFoundError:
            return None

    try:
        checkpoint = _patiently(read) if place.state else read()
        if checkpoint:
            checkpoint.require(recipe=trial["recipe"], seed=trial["seed"], epochs=trial["epochs"])
    except CheckpointError:
        return None
    except OSError:
        if place.state:
            raise
        return None
    return checkpoint


def _patiently(action: Callable[[], T]) -> T:
    """Does something with a storage, and tries again for a while where that fails.

    Raises:
        OSError: It failed until the end.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return action()
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_S)


def _with_weights_here(recipe: Recipe, place: Workplace) -> Recipe:
    """The recipe with the path of its weights on this node, to which they are brought where they lack."""
    path = recipe.model.weights
    if path is None:
        return recipe
    weights = place.weights[path]

    def fetch() -> bytes:
        if weights.content is None:
            raise FileNotFoundError(f"{path}, with the contents that the search began with, is gone")
        return ray.get(weights.content)

    here = on_this_node(Path(path), weights.sha256, weights.suffix, fetch, Path(place.cache_dir))
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": str(here)})})


@functools.cache
def _import_once(imports: tuple[str, ...]) -> None:
    import_networks(imports)


_opened: dict[tuple[str, int], Dataset] = {}


def _open_once(place: Workplace, size_px: int) -> Dataset:
    """The data set; opened once a process, so that a reused actor's later trials start at once."""
    key = (place.source or "demo", size_px)
    if key not in _opened:
        cache_dir = Path(place.cache_dir)
        source = Path(place.source) if place.source else demo_source(cache_dir)
        _opened[key] = load(
            source, place.split, size_px=size_px, cache_dir=cache_dir, cache_gb=place.cache_gb
        )
    return _opened[key]


def _is_of_a_peer(fault: BaseException) -> bool:
    """Whether the exchange with other workers failed: another one has died, or cannot be reached."""
    broken = isinstance(fault, torch.distributed.DistError) or "gloo" in str(fault)
    return broken and not is_out_of_memory(fault)


def lost(number: int, words: str, details: str, *, stays: bool = False) -> dict[str, Any]:
    """The message that a trial is lost for want of what it works with.

    Args:
        stays: Whether its process is going to wait where it is.
    """
    return {"event": "lost", "trial": number, "words": words, "details": details, "stays": stays}


class _Context:
    """Ray's side of a report: Tune's session in local mode, Train's in a worker group."""

    def __init__(self, workers: int) -> None:
        self.world_size = workers
        self.rank, self.device = 0, "auto"
        if workers > 1:
            self.rank = ray.train.get_context().get_world_rank()
            # Every worker of a group sees all the GPUs of its node: Ray says which one is its own.
            self.device = str(ray.train.torch.get_device())

    def report(self, message: dict[str, Any]) -> None:
        # One JSON string: Tune would flatten nested values, and adds fields of its own beside it.
        payload = {"message": json.dumps(message)}
        if self.world_size == 1:
            ray.tune.report(payload)
        else:
            ray.train.report(payload)

    def lose(self, trial: dict[str, Any], fault: PlaceError) -> None:
        if self.world_size > 1:
            raise fault  # as in `fail`
        details = "".join(traceback.format_exception(fault))
        stays = isinstance(fault, LackingError)
        self.report(lost(trial["number"], str(fault), details, stays=stays))

    def fail(self, trial: dict[str, Any], outcome: str, fault: BaseException) -> None:
        if self.world_size > 1:
            if _is_of_a_peer(fault):
                time.sleep(PEERS_S)
                fault = PlaceError(f"the exchange with the other workers broke off: {fault}")
            raise fault  # the other workers wait for this one: the whole group has to come down
        self.report(
            {
                "event": "end",
                "trial": trial["number"],
                "outcome": outcome,
                # Here, too: this machine's environment may hold others than the driver's.
                "error": without_secrets(f"{type(fault).__name__}: {fault}"),
                "traceback": without_secrets("".join(traceback.format_exception(fault))),
            }
        )
