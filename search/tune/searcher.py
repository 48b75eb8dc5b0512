"""Ray Tune's searcher interface over the engine: what to run next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from search.engine import Engine
from search.tune.unsaved import Unsaved


class EngineSearcher(Unsaved, Searcher):
    """Hands out the engine's trials. Results reach the engine through the scheduler, which decides."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial as a Tune config, or FINISHED."""
        trial = self._engine.ask()
        return Searcher.FINISHED if trial is None else {"trial": asdict(trial)}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the trial's own last message has said how it ended."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the engine is rebuilt from the records."""
