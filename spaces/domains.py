"""Domains: the values that one parameter of a search space may take.

Optuna is imported only where it is asked for: a search starts Ray before it needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from spaces.faults import Place, shown
from spaces.recipe import Scalar

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Value = Scalar | None
_LISTED = 4
"""Of a choice's values in words."""


def same(one: Any, other: Any) -> bool:
    """Equality that tells true from 1 and false from 0."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def takes(values: Sequence[Value], value: Value) -> bool:
    """Whether the value is among them."""
    if isinstance(values, range):
        return not isinstance(value, bool) and value in values
    return any(same(entry, value) for entry in values)


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    kind: Literal["float", "int", "log", "share"]
    """`log`: drawn evenly on a logarithmic scale. `share`: a share of the trial's full length in epochs,
    which becomes the nearest whole epoch."""
    low: float
    high: float
    step: float | None = None

    @property
    def distribution(self) -> BaseDistribution:
        """The same for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.kind == "int":
            return IntDistribution(int(self.low), int(self.high), step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.kind == "log", step=self.step)

    def suggest(self, trial: BaseTrial, name: str) -> Value:
        """Draws a number."""
        if self.kind == "int":
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1))
        return trial.suggest_float(name, self.low, self.high, log=self.kind == "log", step=self.step)

    def resolve(self, drawn: Any, epochs: int) -> Value:
        """What the recipe gets for a drawn number, in a trial of so many epochs."""
        return round(drawn * epochs) if self.kind == "share" else drawn

    def drawn_for(self, value: Any, epochs: int) -> Value:
        """What must be drawn for the recipe to get this value: the inverse of `resolve`.

        Raises:
            ValueError: Nothing that can be drawn gives it.
        """
        is_number = isinstance(value, int | float if self.kind in ("float", "log") else int)
        drawn = value
        if is_number and self.kind == "share":
            drawn = min(max(value / epochs, self.low), self.high)
        inside = is_number and not isinstance(value, bool) and self.distribution._contains(drawn)
        if not inside or self.resolve(drawn, epochs) != value:
            raise ValueError(f"{value!r} is not in {self.to_dict()}")
        return drawn

    @property
    def values(self) -> Sequence[Value] | None:
        """All values, where they can be counted."""
        return range(int(self.low), int(self.high) + 1, int(self.step or 1)) if self.kind == "int" else None

    def place_of(self, value: Value) -> Place:
        """Where a space file has this value."""
        return (self.kind,)

    def in_words(self) -> str:
        """Such as `0.001 to 0.1`."""
        step = "" if self.step is None else f" in steps of {self.step:g}"
        share = " of the training" if self.kind == "share" else ""
        return f"{self.low:g} to {self.high:g}{step}{share}"

    def to_dict(self) -> dict[str, Any]:
        """As a space file has it."""
        step = {} if self.step is None else {"step": self.step}
        return {self.kind: [self.low, self.high], **step}


@dataclass(frozen=True)
class Choice:
    """One of a few values, without an order."""

    values: tuple[Value, ...]

    @property
    def distribution(self) -> BaseDistribution:
        """The same for Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def suggest(self, trial: BaseTrial, name: str) -> Value:
        """Draws a value."""
        return trial.suggest_categorical(name, self.values)

    def resolve(self, drawn: Any, epochs: int) -> Value:
        """What the recipe gets for a drawn value."""
        return drawn

    def drawn_for(self, value: Any, epochs: int) -> Value:
        """The choice that is this value, whose type may differ: 0 for 0.0.

        Raises:
            ValueError: It is no choice.
        """
        for entry in self.values:
            if same(entry, value):
                return entry
        raise ValueError(f"{value!r} is not in {self.to_dict()}")

    def place_of(self, value: Value) -> Place:
        """Where a space file has this value."""
        return ("choice", next(index for index, entry in enumerate(self.values) if same(entry, value)))

    def in_words(self) -> str:
        """Such as `16, 32, 64`."""
        more = ", ..." if len(self.values) > _LISTED else ""
        return ", ".join(map(shown, self.values[:_LISTED])) + more

    def to_dict(self) -> dict[str, Any]:
        """As a space file has it."""
        return {"choice": list(self.values)}


@dataclass(frozen=True)
class Fixed:
    """One value that is not drawn at all, for use with a condition."""

    value: Value

    @property
    def values(self) -> Sequence[Value]:
        """The one value."""
        return (self.value,)

    def place_of(self, value: Value) -> Place:
        """Where a space file has this value."""
        return ("fixed",)

    def to_dict(self) -> dict[str, Any]:
        """As a space file has it."""
        return {"fixed": self.value}


Domain = Range | Choice | Fixed
