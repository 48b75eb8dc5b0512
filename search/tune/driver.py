"""Runs trainings on Ray Tune until all have ended, or somebody interrupts."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution import class_cache

from search.storage.scratch import scratch
from search.tune.driven import Driven
from search.tune.nodes import NodeType
from search.tune.resources import Resources
from search.tune.room import SEARCH_ENDS, Room
from search.tune.scheduler import TrialScheduler
from search.tune.searcher import TrialSearcher
from search.tune.trial import in_ray, run_trial
from search.tune.watch import StopAll, Watch
from spaces.errors import InputError
from trainables.models.weights import weights_file
from trainables.workplace import Slot, Weights, Workplace

_ENVIRONMENT = {
    # What a trial's own process needs no more: the records replace Tune's loggers and state.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the command line has its own
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",  # how many there are at a time, the searcher says
}


def carried(weights: Mapping[str, str], *, joined: bool) -> dict[str, Weights]:
    """Files of weights as workers get them.

    Args:
        weights: By the path that recipes name, the file's SHA-256.
        joined: Whether workers may be on other machines: the contents then go into Ray's object store.
    """
    found = {}
    for path, sha256 in weights.items():
        file = weights_file(Path(path))
        content = ray.put(file.read_bytes()) if joined else None
        found[path] = Weights(sha256, file.suffix, content)
    return found


@dataclass(frozen=True)
class Venue:
    """Where trainings run, and until when."""

    place: Workplace
    resources: Resources
    most: int
    """Trials at a time, however large the cluster becomes."""
    to_come: Sequence[NodeType]
    """What its autoscaler may add."""
    told: Callable[[str], None]
    """Hears what becomes of the cluster, in words."""
    counted: Callable[[int], None]
    """Hears how many nodes it has, when that has changed."""
    silence_s: float
    """One that reports nothing for so long is given up."""
    stop: StopAll
    then: str = SEARCH_ENDS
    """What follows when no node can hold a trial any more, in words."""
    to_come_s: float = math.inf
    """For a node that an autoscaler may add is waited for so long."""


def run(driven: Driven, venue: Venue, *, tick: Callable[[], None]) -> None:
    """Runs trainings until there are no more, or `stop` is called.

    Args:
        tick: Called several times a second.

    Ray must be initialised.
    """
    # Else its actors take no process that was started before. A private name of Ray's.
    getattr(class_cache, "DEFAULT_ENV_VARS", {}).clear()
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
    trainable = tune.with_resources(
        tune.with_parameters(partial(run_trial, workers=venue.resources.workers), place=venue.place),
        partial(_request, workers=venue.resources.workers),
    )
    room = Room(
        venue.resources,
        most=venue.most,
        to_come=venue.to_come,
        told=venue.told,
        counted=venue.counted,
        stop=venue.stop.stop,
        then=venue.then,
        to_come_s=venue.to_come_s,
    )

    def both() -> None:
        tick()
        room.tick()

    with scratch() as folder, contextlib.closing(room):
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=TrialSearcher(driven, room),
                scheduler=TrialScheduler(driven, room, venue.told),
                num_samples=-1,  # until the searcher says that it has finished
                reuse_actors=venue.resources.workers == 1,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=str(folder),
                stop=venue.stop,
                verbose=0,
                callbacks=[Watch(driven, room, silence_s=venue.silence_s, tick=both)],
            ),
        )
        try:
            tuner.fit()
        except tune.TuneError as fault:
            raise _origin(fault) from None


def _request(config: dict[str, Any], workers: int) -> tune.PlacementGroupFactory:
    """What Ray reserves for a trial.

    A worker group lives in a placement group of its own. The function that waits for it must take none of the
    CPUs that the group needs, and Tune refuses a request for nothing: a crumb of the head node.
    """
    mine = in_ray(Slot(**config["slot"])) if workers == 1 else {"node:__internal_head__": 0.001}
    return tune.PlacementGroupFactory([mine])


def _origin(fault: BaseException) -> BaseException:
    """What went wrong in the driver's own parts, which Tune wraps: those for people are told to them."""
    found: BaseException | None = fault
    while found is not None and not isinstance(found, InputError):
        found = found.__cause__ or found.__context__
    return found or fault
