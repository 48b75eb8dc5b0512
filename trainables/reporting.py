"""What a training on Ray tells its driver: by Tune's session in local mode, by Train's in a worker group."""

from __future__ import annotations

import json
import time
import traceback
from typing import Any

import ray.train
import ray.train.torch
import ray.tune
import torch

from trainables.portions import is_out_of_memory
from trainables.secrets import without_secrets
from trainables.workplace import LackingError, PlaceError

PEERS_S = 90.0
"""A worker whose exchange with the others breaks off waits for so long to be ended with the whole group: Ray
finds out who has died, and whether a machine has, half a minute later than the others feel it. When it has
not by then, nobody has died, and the network between them is at fault."""


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


class Reporter:
    """Tells it, for one of so many workers."""

    def __init__(self, workers: int) -> None:
        self.world_size = workers
        self.rank, self.device = 0, "auto"
        if workers > 1:
            self.rank = ray.train.get_context().get_world_rank()
            # Every worker of a group sees all the GPUs of its node: Ray says which one is its own.
            self.device = str(ray.train.torch.get_device())

    def report(self, message: dict[str, Any]) -> None:
        """Sends a message; where the driver then stops the trial, this process gets no further."""
        # One JSON string: Tune would flatten nested values, and adds fields of its own beside it.
        payload = {"message": json.dumps(message)}
        if self.world_size == 1:
            ray.tune.report(payload)
        else:
            ray.train.report(payload)

    def lose(self, trial: dict[str, Any], fault: PlaceError) -> None:
        """Tells that a trial is lost for want of what it works with; in a worker group by raising this."""
        if self.world_size > 1:
            raise fault  # as in `fail`
        details = "".join(traceback.format_exception(fault))
        stays = isinstance(fault, LackingError)
        self.report(lost(trial["number"], str(fault), details, stays=stays))

    def fail(self, trial: dict[str, Any], outcome: str, fault: BaseException) -> None:
        """Tells that a trial has failed; in a worker group by raising the fault, or `PlaceError` for one that
        is another worker's."""
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
