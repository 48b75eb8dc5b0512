"""The parameters of a space in the terms that every library knows, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from spaces.domains import Choice, Range
from spaces.parameters import Parameter
from spaces.tree import Tree


@dataclass(frozen=True)
class Plain:
    """A parameter without steps or labels: `low` to `high`, both included."""

    kind: Literal["float", "log", "int", "choice"]
    """`choice`: the place of a value in a list, which has no order. Steps are counted, as `int`."""
    low: float
    high: float


def plain(domain: Range | Choice) -> Plain:
    """The same in plain terms."""
    if isinstance(domain, Choice):
        return Plain("choice", 0, len(domain.values) - 1)
    if domain.step is not None:
        return Plain("int", 0, int((domain.high - domain.low) / domain.step + 1e-9))
    return Plain("float" if domain.kind == "share" else domain.kind, domain.low, domain.high)


def varied(tree: Tree) -> dict[str, Plain]:
    """Those with more than one value, by their names for Optuna, without their conditions."""
    found = {name: plain(domain) for name, domain in tree.domains.items()}
    return {name: entry for name, entry in found.items() if entry.low < entry.high}


def params(tree: Tree, given: Callable[[str, Plain], Any]) -> dict[str, Any]:
    """What a job needs: the values of those that are active, each given by its name and in plain terms."""
    found = {}

    def take(parameter: Parameter, domain: Range | Choice) -> Any:
        found[parameter.name] = _value(domain, given(parameter.name, plain(domain)))
        return found[parameter.name]

    tree.values(take)
    return found


def _value(domain: Range | Choice, given: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.values[int(given)]
    if domain.step is not None:
        stepped = domain.low + domain.step * int(given)
        return int(stepped) if domain.kind == "int" else stepped
    if domain.kind == "int":
        return int(given)
    # A logarithm and back may round to just beyond an end.
    return min(max(float(given), domain.low), domain.high)
