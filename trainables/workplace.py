"""What trainings on Ray work with: pictures, networks, weights and states, on whichever machine they are."""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import ray

from spaces.errors import InputError
from spaces.recipe import Recipe
from trainables.checkpoint import Checkpoint, CheckpointError, checkpoint_name
from trainables.course import Course
from trainables.data import Dataset, load
from trainables.data.demo import demo_source
from trainables.models.create import import_networks
from trainables.runtime import BatchNorm
from trainables.storage import Storage
from trainables.weight_files import on_this_node

T = TypeVar("T")

PATIENCE_S, PAUSE_S = 300.0, 10.0
"""For a storage that fails where it must not: when a state is read, or what was trained for is written."""
MENDED_S, SELDOM_S = 10.0, 600.0
"""After so long a process first looks whether its machine has what it lacked, then after twice as long each
time: to look may take much, such as decoding all pictures. At last it looks so seldom."""


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


@contextlib.contextmanager
def at_hand(error: type[PlaceError] = PlaceError) -> Iterator[None]:
    """What goes wrong in this block, with pictures, modules or files, is no fault of the trial's recipe.

    Raises:
        PlaceError: Something did; it is this `error`.
    """
    try:
        yield
    except (InputError, OSError) as fault:
        named = "" if isinstance(fault, InputError) else f"{type(fault).__name__}: "
        raise error(f"{named}{fault} (on {socket.gethostname()})") from fault


def pictures_here(place: Workplace, size_px: int) -> Dataset:
    """The data set, and the networks of imported modules: what every trial of this size needs of its machine.

    Raises:
        LackingError: This machine does not have it.
    """
    with at_hand(LackingError):
        _import_once(place.imports)
        return _open_once(place, size_px)


def stay_until_mended(place: Workplace, size_px: int) -> None:
    """Returns when this machine has what it lacked."""
    pause_s = MENDED_S
    while True:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, SELDOM_S)
        importlib.invalidate_caches()  # a folder of modules that was not there is looked for again
        with contextlib.suppress(LackingError):
            pictures_here(place, size_px)
            return


def checkpoint_of(place: Workplace, trial: dict[str, Any]) -> Checkpoint | None:
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
        checkpoint = patiently(read) if place.state else read()
        if checkpoint:
            checkpoint.require(recipe=trial["recipe"], seed=trial["seed"], epochs=trial["epochs"])
    except CheckpointError:
        return None
    except OSError:
        if place.state:
            raise
        return None
    return checkpoint


def patiently(action: Callable[[], T]) -> T:
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


def with_weights_here(recipe: Recipe, place: Workplace) -> Recipe:
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
