"""What Ray knows of the death of a trial's process."""

from __future__ import annotations

import contextlib
from pathlib import Path

import ray
import ray.train
from ray import cloudpickle
from ray._private.state import state
from ray.tune.experiment import Trial as TuneTrial

from search.trials.losses import Cause, Loss

DIED = (
    "its process died: it crashed, or was killed, as the system does when memory runs out (`dmesg` of its "
    "machine tells)"
)
TAKEN = "its machine was lost or taken away"


def loss_of(trial: TuneTrial) -> Loss:
    """How a trial was lost that Tune has given up."""
    with contextlib.suppress(Exception):  # an exception of somebody's network may be of any form
        if trial.pickled_error_file:  # written by this very process a moment ago
            return loss_by(cloudpickle.loads(Path(trial.pickled_error_file).read_bytes()))
    text = Path(trial.error_file).read_text(errors="replace") if trial.error_file else ""
    return loss_by(RuntimeError(text))


def loss_by(error: Exception) -> Loss:
    """How a trial was lost, by what Ray raised."""
    if isinstance(error, ray.exceptions.RayTaskError):  # raised in the process of a worker group's trial
        error = error.cause if isinstance(error.cause, Exception) else error
    if isinstance(error, ray.train.WorkerGroupError):
        # One worker is lost, and the others fail for want of it.
        losses = [loss_by(fault) for fault in deaths_of(error) or error.worker_failures.values()]
        return min(losses, key=lambda loss: loss.cause is not Cause.NODE)
    details = str(error)
    if isinstance(error, ray.train.PreemptionError):
        return Loss(Cause.NODE, TAKEN, details)
    if isinstance(error, ray.exceptions.RayActorError):
        if _with_its_machine(error):
            return Loss(Cause.NODE, TAKEN, details)
        if "running low on memory" in details:
            return Loss(Cause.PROCESS, "Ray killed its process: its machine ran out of memory", details)
        return Loss(Cause.PROCESS, DIED, details)
    last = (details.strip().splitlines() or ["nothing is known of why"])[-1]
    return Loss(Cause.PROCESS, f"it could not be run: {last}", details)


def deaths_of(error: ray.train.WorkerGroupError) -> list[ray.exceptions.RayActorError]:
    """What Ray raised for those workers of a group that died, rather than raised something themselves."""
    found = [getattr(fault, "health_check_failure", fault) for fault in error.worker_failures.values()]
    return [fault for fault in found if isinstance(fault, ray.exceptions.RayActorError)]


def _with_its_machine(error: ray.exceptions.RayActorError) -> bool:
    """Whether a process was lost with its machine, or with the way there: by the cluster's notes that machine
    is no longer alive, or is being drained."""
    if error.preempted or isinstance(error, ray.exceptions.ActorUnavailableError):
        return True
    # In this order: a machine that is drained and has nothing left to do may go between the two questions.
    draining = set(state.get_draining_nodes())
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    known = state.actor_table(error.actor_id) if error.actor_id else {}
    return bool(known) and known["Address"]["NodeID"] not in alive - draining
