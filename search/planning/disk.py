"""How much disk a search takes, in its folder or, with `--storage`, there: told before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.costs.variants import identity, key, named, variants
from search.settings.settings import Settings
from spaces.recipe import Recipe
from spaces.space import Space
from trainables.models.state_size import numbers_a_weight, state_bytes

PAGE_BYTES, TRIAL_BYTES, EPOCH_BYTES = 5_500_000, 6_000, 700
"""Of the page without trials, and what a trial and each epoch add to records, page, tables and study."""


@dataclass(frozen=True)
class Disk:
    """What of a search takes room."""

    state: int
    """Bytes of a trial's state, at most."""
    largest: str
    """The network whose state that is."""
    kept: int
    """States of trials that have ended."""
    answers: int
    """Bytes of what the rematch's runs answer."""
    trial: int
    """Bytes that a trial adds to records and page, about."""

    def at_most(self, at_a_time: int) -> int:
        """Bytes of states and answers, with so many trials at a time: a new state is written beside the one
        before, and takes its place when it is whole."""
        return (2 * at_a_time + self.kept) * self.state + self.answers

    def said(self) -> str:
        """For people."""
        besides = PAGE_BYTES + self.kept * self.state + self.answers
        return (
            f"{size(2 * self.state)} at most for each trial that runs (its state, for {self.largest}), about "
            f"{size(self.trial)} for each that has ended, and {size(besides)} besides"
        )


def disk(settings: Settings, offered: Space, starts: Sequence[Recipe], classes: int, selection: int) -> Disk:
    """What a search may take.

    Args:
        offered: The space, within the limits.
        starts: The recipes that are tried first.
        selection: Pictures of the selection part.

    Raises:
        ModelError: A network cannot be made.
    """
    worst: dict[str, Recipe] = {}
    for recipe in [*variants(offered, "optim.name", "ema.decay", "keep").recipes, *starts]:
        network = key(identity(recipe))
        if network not in worst or numbers_a_weight(recipe) > numbers_a_weight(worst[network]):
            worst[network] = recipe
    sizes = {name: state_bytes(recipe, classes) for name, recipe in worst.items()}
    largest = max(sizes, key=lambda name: sizes[name])
    runs = settings.rematch * settings.rematch_seeds
    return Disk(
        sizes[largest],
        f"{named(worst[largest])}, {worst[largest].optim.name}",
        settings.keep_checkpoints,
        runs * selection * classes * 4,
        TRIAL_BYTES + EPOCH_BYTES * settings.max_epochs,
    )


def size(number_of_bytes: float) -> str:
    """Bytes for people, with two digits or three."""
    for unit, bytes_in_it in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if number_of_bytes >= bytes_in_it:
            return f"{number_of_bytes / bytes_in_it:.3g} {unit}"
    return f"{number_of_bytes:.0f} bytes"
