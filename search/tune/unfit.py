"""Machines where a trial found nothing to work with: its pictures are gone there, say, or a disk is full."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from search.tune.nodes import Node

REST_S = 600.0
"""For so long no further trial goes to such a machine, if there are others: it may be mended by then."""


class Unfit:
    """Remembers them for `REST_S`: such a machine is free again at once, and would take trial after trial.

    Args:
        clock: Seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def add(self, node_id: str) -> None:
        """A trial has just found nothing to work with on this one."""
        self._until[node_id] = self._clock() + REST_S

    def others(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """These nodes without those."""
        now = self._clock()
        return tuple(node for node in nodes if self._until.get(node.id, now) <= now)
