"""What all facts are made from: a search as it stands at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.rematch.conclusion import Conclusion
from search.settings.allowance import EndedBy, lacked_recipes
from search.settings.objectives import Objectives
from search.trials.trials import Metric, TrialRecord


@dataclass(frozen=True)
class SearchView:
    """One search, read once; every fact on a page is derived from the same view."""

    name: str
    """The search's name, which is also its folder's name under `results/`."""
    metric: Metric
    """What the trials are ranked by."""
    records: list[TrialRecord]
    """By trial number."""
    settings: dict[str, Any]
    """What was asked for: `data`, `space`, `trials`, `max_epochs`, `seed`, `concurrency`; any may lack."""
    state: str
    """`running`, `finished`, `interrupted` (by its user) or `cut off` (its driver died)."""
    elapsed_s: float
    """Seconds that drivers have spent on the search, over all sessions, the rematch included."""
    data: dict[str, Any]
    """The report of `trainables.data.dataset.prepare`; any key may lack."""
    sessions: Sequence[tuple[float, float]] = ()
    """Start and end of each run of the driver, in seconds since the Unix epoch; the time between them is
    left out of time axes. Empty: one session."""
    model: dict[str, Any] = field(default_factory=dict)
    """`metrics.json` of the model in `model/`; empty where there is none."""
    explained: dict[str, Any] = field(default_factory=dict)
    """`explained.json` of that model; empty where there is none."""
    images: Mapping[str, bytes] = field(default_factory=dict)
    """The WebP pictures that it names."""
    test_readings: int = 0
    """How often the test part has been read."""
    limits: Mapping[EndedBy, str] = field(default_factory=dict)
    """What ends the search, in words."""
    ended_by: EndedBy | None = None
    """What ended it; None where that was not noted."""
    rematch: Conclusion | None = None
    """What the best trials came to with fresh seeds; None where there has been no rematch."""
    read: float = 0.0
    """When it was read, in seconds since the Unix epoch."""
    space: Mapping[str, Any] = field(default_factory=dict)
    """What was searched, as a space file has it; empty where that was not noted."""
    starts: Sequence[str] = ()
    """Where its given recipes are from."""
    formers: Sequence[Mapping[str, Any]] = ()
    """What counts of former searches: `source`, `params` and `of`, as in `former_searches.json`."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """What it ran on: `environment.json`; empty where there is none."""
    rematch_runs: Sequence[TrialRecord] = ()
    """The runs of the rematch that are due or done; the `source` of each is its contender's number."""
    rematch_s: float = 0.0
    """Seconds of `elapsed_s` that were the rematch's."""
    every_s: float = 0.0
    """How often the page is written while the search runs; 0: just once."""
    objectives: Objectives | None = None
    """The search's metric and the costs beside it; None: nothing counts but the metric."""

    @property
    def alone(self) -> bool:
        """Whether there was no space to search: `search.train` trained one recipe."""
        return "space" in self.settings and self.settings["space"] is None

    @property
    def cut_short(self) -> bool:
        """Whether it ended with fewer trials than were asked for: nothing more was within the limits."""
        asked = self.settings.get("trials")
        return self.state == "finished" and lacked_recipes(self.ended_by, len(self.records), asked)


def outcome_name(record: TrialRecord, state: str) -> str:
    """The trial's outcome; for one without, `running`, or `cut off` when nothing runs any more."""
    if record.outcome is not None:
        return str(record.outcome)
    return "running" if state == "running" else "cut off"
