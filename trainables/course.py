"""What a training learns from, and what steers it."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.data import Dataset
from trainables.loop import TrainData


@dataclass(frozen=True)
class Course:
    """What a training has of the pictures, and decisions that it repeats; by default a search's trial."""

    parts: tuple[str, ...] = ("train",)
    """What it learns from."""
    watched: str | None = "validation"
    """The part that decisions go by; None: nothing is held back, and none is taken."""
    replay: tuple[float, ...] | None = None
    """Decisions of another training; see `trainables.loop.train`."""

    def of(self, data: Dataset) -> TrainData:
        """The pictures."""
        return TrainData(data.part(*self.parts), data.part(self.watched) if self.watched else None)
