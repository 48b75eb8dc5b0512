"""Ray Tune's searcher interface over what is driven: what to run next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from search.tune.driven import Driven
from search.tune.room import Room
from search.tune.unsaved import Unsaved


class TrialSearcher(Unsaved, Searcher):
    """Hands out trials. Results go through the scheduler, which decides."""

    def __init__(self, driven: Driven, room: Room) -> None:
        super().__init__()
        self._driven, self._room = driven, room
        self._there: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial as a Tune config, with the slot of each worker; FINISHED; or None: not now.

        Not FINISHED as long as one is there: it may be lost, and is then the next.
        """
        if not self._room.is_free():
            return None
        trial = self._driven.ask()
        if trial is None:
            self._room.no_more()
            return None if self._there else str(Searcher.FINISHED)
        slot = self._room.resources.slot(trial)
        self._there.add(trial_id)
        self._room.asked(trial_id, slot)
        return {"trial": asdict(trial), "slot": asdict(slot)}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """There is room for another; the trial's own last message has said how it ended."""
        self._there.discard(trial_id)
        self._room.ended(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: all is rebuilt from the records."""
