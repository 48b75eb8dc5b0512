"""Machines that are being taken away: Ray is told so by its autoscaler, at a spot notice say."""

from __future__ import annotations

import time

import ray
from ray._private.state import state
from ray.tune.experiment import Trial as TuneTrial

EVERY_S = 1.0
"""Between two questions."""


class Draining:
    """Has trials leave machines that are being drained, where Ray itself starts nothing more.

    A trial leaves when it has just reported, and mostly just saved its state. Its process is ended, which
    `loss_of` then knows by its machine, and it starts again elsewhere.
    """

    def __init__(self) -> None:
        self._asked, self._nodes = -EVERY_S, set[str]()

    def leave(self, trial: TuneTrial) -> None:
        """Ends the process of a trial whose machine is being drained."""
        if time.monotonic() - self._asked >= EVERY_S:
            self._asked, self._nodes = time.monotonic(), set(state.get_draining_nodes())
        actor = trial.temporary_state.ray_actor
        if self._nodes and actor is not None and node_of(actor) in self._nodes:
            ray.kill(actor)


def node_of(actor: ray.actor.ActorHandle) -> str:
    """The machine that a process is on, or was."""
    return str(state.actor_table(actor._actor_id.hex())["Address"]["NodeID"])
