"""Ray Tune's searcher interface over what is driven: what to run next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from search.tune.driven import Driven
from search.tune.resources import Resources
from search.tune.unsaved import Unsaved


class TrialSearcher(Unsaved, Searcher):
    """Hands out trials. Results go through the scheduler, which decides."""

    def __init__(self, driven: Driven, resources: Resources) -> None:
        super().__init__()
        self._driven, self._resources = driven, resources

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial as a Tune config, with the slot of each of its workers, or FINISHED."""
        trial = self._driven.ask()
        if trial is None:
            return str(Searcher.FINISHED)
        return {"trial": asdict(trial), "slot": asdict(self._resources.slot(trial))}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the trial's own last message has said how it ended."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: all is rebuilt from the records."""
