"""Tells an autoscaler that a search could use more than there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ray.util
from ray.util.placement_group import PlacementGroup


class Demand:
    """Placement groups that nothing runs in: as long as one waits, an autoscaler looks for a node for it.

    As soon as one has room it is removed, and a trial takes its place. Unlike what
    `ray.autoscaler.sdk.request_resources` asks for, they end with the driver, however that ends.

    Args:
        bundles: What a trial asks for, in Ray's terms.
    """

    def __init__(self, bundles: Sequence[Mapping[str, float]]) -> None:
        self._bundles = [dict(bundle) for bundle in bundles]
        self._waiting: list[PlacementGroup] = []

    def set(self, trials: int) -> None:
        """Asks for room for so many trials, beside those that there are."""
        waiting = [group for group in self._waiting if _waits(group)]
        for group in self._waiting:
            if group not in waiting[:trials]:
                ray.util.remove_placement_group(group)
        self._waiting = waiting[:trials]
        while len(self._waiting) < trials:
            self._waiting.append(ray.util.placement_group(self._bundles))


def _waits(group: PlacementGroup) -> bool:
    return bool(ray.util.placement_group_table(group).get("state") == "PENDING")
