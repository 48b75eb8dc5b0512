"""How many trials a cluster holds, looked at anew as its nodes come and go."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum

import ray

from search.text import count
from search.tune.demand import Demand
from search.tune.nodes import Node, NodeType, nodes_alive, size_of, there_are
from search.tune.resources import Resources, pool
from search.tune.trial import in_ray
from trainables.workplace import Slot

LOOK_S = 2.0
"""Between two looks at the nodes."""
BUSY_S = 30.0
"""When trials wait for so long, and none runs, that is told."""
PATIENCE_S = 60.0
"""When for so long there is no node that a trial fits on, and none runs, that is the end."""
TO_COME_S = 900.0
"""For a node that an autoscaler may add is waited for so long, where there is something else to try."""
SEARCH_ENDS = "the search ends, and keeps what there is"


class _State(Enum):
    RUNS = "some trial runs, or none is wanted"
    BUSY = "there are nodes, and others use them"
    TO_COME = "an autoscaler may add a node"
    LACKING = "only such places are left where trials found nothing to work with"
    NOWHERE = "there is no node, and none may be added"


@dataclass
class _Place:
    """A trial that has been asked for and has not ended."""

    slot: Slot
    runs: bool = False
    rests: bool = False
    """Whether it found nothing to work with, and keeps its place from others."""


class Room:
    """Says when there is room for another trial, and makes an end when there is none left.

    A trial that nothing is free for waits: for an autoscaler's next node, or until others leave the cluster.

    Args:
        most: Trials at a time, however large the cluster becomes.
        to_come: What an autoscaler may add.
        told: Hears what becomes of the cluster, in words.
        counted: Hears how many nodes there are, when that has changed.
        stop: Ends what runs.
        then: What follows that, in words.
        to_come_s: For a node that an autoscaler may add is waited for so long.
        look: The nodes that there are.
        clock: Seconds, from any start.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        most: int,
        to_come: Sequence[NodeType],
        told: Callable[[str], None],
        counted: Callable[[int], None],
        stop: Callable[[], None],
        then: str = SEARCH_ENDS,
        to_come_s: float = math.inf,
        look: Callable[[], tuple[Node, ...]] = nodes_alive,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resources, self._most, self._to_come = resources, most, tuple(to_come)
        self._told, self._counted, self._stop = told, counted, stop
        self._to_come_s = to_come_s
        self._then, self._look, self._clock = then, look, clock
        self._trials: dict[str, _Place] = {}
        self._more = True
        self._let_go: set[str] = set()
        self._in_vain = False
        self._demand = Demand([in_ray(resources.worker)] * resources.workers)
        self._nodes, self._looked = look(), clock()
        self._places = self._on(self._nodes)
        self._state, self._since, self._said = _State.RUNS, clock(), False

    def is_free(self) -> bool:
        """Whether another trial should be asked for.

        One always, so that an autoscaler hears of it. Where families wait for different nodes, what the next
        one needs is not known before: as many may wait as run, lest nodes stand idle for want of their own.
        """
        if not self._trials:
            return True
        waiting = 1 if len(self._places) > 1 else 0
        if len(self._trials) >= (1 + waiting) * sum(self._places.values()):
            return False
        if len(self._trials) - len(self._resting()) >= self._most:
            return False
        there = Counter(pool(place.slot) for place in self._trials.values())
        return any(there[key] < places for key, places in self._places.items())

    def asked(self, trial_id: str, slot: Slot) -> None:
        """A trial waits from now on."""
        self._trials[trial_id], self._more = _Place(slot), True

    def runs(self, trial_id: str) -> None:
        """A trial has what it asked for."""
        if trial_id in self._trials:
            self._trials[trial_id].runs = True

    def lacks(self, trial_id: str) -> bool:
        """A trial found nothing to work with where it is. Whether it then rests: its process keeps its place
        from others, which would find nothing either. Not so where there is no better place for them."""
        others = sum(self._places.values()) - len(self._resting() | {trial_id})
        self._trials[trial_id].rests = rests = others > 0 and not self._in_vain
        return rests

    def works(self) -> None:
        """Some trial has all that it works with."""
        self._in_vain = False

    def rests(self, trial_id: str) -> bool:
        """Whether a trial has found nothing to work with, and keeps its place."""
        return trial_id in self._trials and self._trials[trial_id].rests

    def let_go(self) -> set[str]:
        """The trials that have rested long enough, each told once."""
        found, self._let_go = self._let_go, set()
        return found

    def ended(self, trial_id: str) -> None:
        """A trial needs nothing more."""
        self._trials.pop(trial_id, None)

    def no_more(self) -> None:
        """No further trial is going to be asked for."""
        self._more = False

    def close(self) -> None:
        """Asks an autoscaler for nothing more."""
        self._demand.set(0)

    def tick(self) -> None:
        """Looks at the cluster, when it is time to; cheap enough to be called many times a second."""
        now = self._clock()
        if now - self._looked < LOOK_S:
            return
        self._looked, nodes = now, self._look()
        if nodes != self._nodes:
            self._nodes, self._places = nodes, self._on(nodes)
            places = sum(self._places.values())
            self._counted(len(nodes))
            self._told(f"Ray has {size_of(nodes)} now: room for {count(places, 'trial')} at a time.")
        self._demand.set(self._wanted())
        if (state := self._found()) is not self._state:
            self._state, self._since, self._said = state, now, False
        self._act(now - self._since)

    def _on(self, nodes: Sequence[Node]) -> dict[tuple[bool, str | None], int]:
        return self.resources.places([NodeType(node, 1) for node in nodes])

    def _wanted(self) -> int:
        """For how many more trials an autoscaler should add nodes; at most for as many again as there are."""
        there = sum(self._places.values())
        # Where families wait for different nodes, those that wait tell it themselves.
        if not self._to_come or not self._more or self.is_free() or len(self._places) > 1:
            return 0
        come = sum(self.resources.places(self._to_come).values())
        asked = max(there, len(self._trials))  # one that waits tells it itself
        return max(0, min(self._most - asked, come, max(1, there)))

    def _found(self) -> _State:
        waiting = {place.slot for place in self._trials.values() if not place.runs}
        if any(place.runs and not place.rests for place in self._trials.values()):
            return _State.RUNS
        if self._resting():
            return _State.LACKING
        if not waiting:
            return _State.RUNS
        nodes = [NodeType(node, 1) for node in self._nodes]
        if any(self.resources.room(slot, nodes) for slot in waiting):
            return _State.BUSY
        if self._may_come(waiting):
            return _State.TO_COME
        return _State.NOWHERE

    def _resting(self) -> set[str]:
        return {key for key, place in self._trials.items() if place.rests}

    def _may_come(self, slots: Collection[Slot]) -> bool:
        """Whether an autoscaler may add a node that holds a trial with one of these slots."""
        return any(self.resources.room(slot, self._to_come) for slot in slots)

    def _act(self, since_s: float) -> None:
        """Tells once of what keeps trials waiting, and ends the search when that has lasted too long."""
        if self._state is _State.RUNS:
            return
        if self._state is _State.LACKING:
            self._try_again(since_s)
            return
        slot = next(place.slot for place in self._trials.values() if not place.runs)
        asked = f"a trial asks for {self.resources.asked(slot)}, and {there_are(self._nodes, self._to_come)}"
        patience_s = {_State.NOWHERE: PATIENCE_S, _State.TO_COME: self._to_come_s}
        if since_s >= patience_s.get(self._state, math.inf):
            self._told(f"Still no node can hold a trial: {asked}. So {self._then}.")
            self._stop()
        elif not self._said and since_s >= (BUSY_S if self._state is _State.BUSY else 0.0):
            self._said = True
            self._told(self._why(asked))

    def _try_again(self, since_s: float) -> None:
        """Lets those go that rest, when there is nobody else to wait for. Whoever then finds nothing does not
        rest again, so that a search in which nothing works comes to its end."""
        waiting = {place.slot for place in self._trials.values() if not place.runs}
        patience_s = TO_COME_S if self._may_come(waiting) else PATIENCE_S
        if not self._more and not waiting:
            self._let_go = self._resting()
        elif since_s >= patience_s:
            self._told("Trials found nothing to work with in any place that is left: all are tried again.")
            self._let_go, self._in_vain = self._resting(), True
            self._since, self._said = self._clock(), False
        elif not self._said and since_s >= BUSY_S:
            self._said = True
            self._told(
                "No trial is at work: in the places that are left they found nothing to work with. If that "
                f"lasts, all are tried again in {patience_s - since_s:.0f} seconds."
            )

    def _why(self, asked: str) -> str:
        """What keeps trials waiting."""
        if self._state is _State.BUSY:
            return f"Waiting, for the cluster is in use: {asked}. Free are {_free()}."
        if self._state is _State.TO_COME:
            return f"Waiting for a node: {asked}. `ray status` says what becomes of it."
        return f"No node can hold a trial: {asked}. If none comes in {PATIENCE_S:g} seconds, {self._then}."


def _free() -> str:
    return str(Node.of(ray.available_resources()))
