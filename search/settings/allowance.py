"""What a search may use, as it is asked for: the limits of which the first that is reached ends it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from search import text

_UNITS_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class EndedBy(StrEnum):
    """Why a search begins no further trial."""

    TRIALS = "trials"
    EPOCHS = "epochs_total"
    TIME = "time"
    GPU_HOURS = "gpu_hours"
    COST = "cost"
    PATIENCE = "patience"
    FAILURES = "failures"
    """One trial after the other failed, in a search that has no limit on trials."""
    SPACE = "space"
    """Hardly any other recipe of the space is new and within the limits on networks."""

    @property
    def option(self) -> str:
        """On the command line."""
        return f"--{self.replace('_', '-')}"


def lacked_recipes(ended_by: EndedBy | None, trials: int, asked: int | None) -> bool:
    """Whether a finished search of so many trials ended for want of recipes.

    Args:
        ended_by: As its manifest says; None in those of before, when nothing else ended a search early.
        asked: Trials that it was to have; None: their number has no limit.
    """
    return trials < (asked or 0) if ended_by is None else ended_by is EndedBy.SPACE


@dataclass(frozen=True)
class Allowance:
    """What a search may use. None: no such limit."""

    trials: int | None = None
    total_passes: int | None = None
    """Over the training part, by all trials together."""
    time_s: float | None = None
    """Of the search and of the retrain after it."""
    gpu_hours: float | None = None
    """Of the search and of the retrain after it."""
    cost: float | None = None
    """Of the search and of the retrain after it, in any currency."""
    price: float = 0.0
    """Of a node an hour, in the same currency."""
    patience: int | None = None
    """Trials that end one after the other without a better score than before."""

    @property
    def limits(self) -> dict[EndedBy, str]:
        """The limits that there are, in words."""
        row = self.patience and text.count(self.patience, "trial")
        words = {
            EndedBy.TRIALS: self.trials and text.count(self.trials, "trial"),
            EndedBy.EPOCHS: self.total_passes and f"{text.count(self.total_passes, 'epoch')} in all",
            EndedBy.TIME: self.time_s and span(self.time_s),
            EndedBy.GPU_HOURS: self.gpu_hours and f"{self.gpu_hours:g} GPU hour{'s' * (self.gpu_hours != 1)}",
            EndedBy.COST: self.cost and f"a cost of {self.cost:g} at {self.price:g} a node and hour",
            EndedBy.PATIENCE: row and f"{row} in a row without a better score",
        }
        return {limit: said for limit, said in words.items() if isinstance(said, str)}

    @property
    def pays_retrain(self) -> bool:
        """Whether some of it has to be kept back for the retrain."""
        return bool(self.time_s or self.gpu_hours or self.cost)


def duration_s(given: str) -> float:
    """The seconds of `90s`, `30m`, `1h30m` or `2d`.

    Raises:
        ValueError: It is no duration over 0.
    """
    whole = re.fullmatch(r"(?:\d+(?:\.\d+)?[dhms])+", given)
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", given) if whole else []
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if not 0 < seconds < math.inf:
        raise ValueError("must be a time over 0 with its units (d, h, m, s), such as 90s, 30m, 1h30m or 2d")
    return seconds


def span(seconds: float) -> str:
    """A time for the terminal, where spaces are plain ones: `1 h 20 min`."""
    return text.duration(seconds).replace("\u00a0", " ")
