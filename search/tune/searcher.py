"""Ray Tune's searcher interface over the engine: what to run next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from search.engine import Engine
from search.tune.resources import Resources
from search.tune.unsaved import Unsaved


class EngineSearcher(Unsaved, Searcher):
    """Hands out the engine's trials. Results reach the engine through the scheduler, which decides."""

    def __init__(self, engine: Engine, resources: Resources) -> None:
        super().__init__()
        self._engine, self._resources = engine, resources

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial as a Tune config, with the slot of each of its workers, or FINISHED."""
        trial = self._engine.ask()
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
        """Nothing: the engine is rebuilt from the records."""
