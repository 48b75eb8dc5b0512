"""Parameters of a search space: a domain for one value of the recipe, and when it applies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spaces.domains import Domain, Value, same
from spaces.faults import Place, shown
from spaces.priors import Prior


@dataclass(frozen=True)
class Parameter:
    """One way in which one value of the recipe is drawn."""

    path: str
    """The value's dotted name in the recipe: `optim.lr`."""
    name: str
    """Its name for Optuna: the path, with `@1`, `@2`, ... where the path has alternatives, so that each
    has one distribution throughout."""
    domain: Domain
    when: Mapping[str, tuple[Value, ...]]
    """Dotted names in the recipe, with the values that each may have for this parameter to be active."""
    place: Place
    """Where the space file has it."""
    prior: Prior | None = None

    def active(self, values: Mapping[str, Any]) -> bool:
        """Whether it applies, given a recipe's values by dotted name as far as they are known."""
        return all(
            path in values and any(same(values[path], wanted) for wanted in allowed)
            for path, allowed in self.when.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """As a space file has it."""
        when = {path: list(allowed) for path, allowed in self.when.items()}
        prior = {"prior": self.prior.to_dict()} if self.prior else {}
        return {**self.domain.to_dict(), **prior, **({"when": when} if when else {})}


def said_prior(path: str, prior: Prior, when: Mapping[str, Sequence[Value]]) -> str:
    """What a user believes, in words: `optim.lr around 0.001 (high), where model.name is plain_cnn`.

    Args:
        when: What the parameter depends on: its own is one of several ranges of one path then.
    """
    where = " and ".join(f"{name} is {' or '.join(map(_plain, allowed))}" for name, allowed in when.items())
    return f"{path} around {_plain(prior.centre)} ({prior.confidence}){', where ' * bool(where)}{where}"


def _plain(value: Value) -> str:
    return value if isinstance(value, str) else shown(value)
