"""A tree of parameters: which values are drawn, and which of them only where others have certain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spaces.domains import Choice, Fixed, Range
from spaces.parameters import Parameter
from spaces.priors import Prior

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial


@dataclass(frozen=True)
class Tree:
    """What an Optuna trial is asked for."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    """In an order where the parameters that a condition refers to come first."""
    defaults: Mapping[str, Any]
    """The values where no parameter is active, by dotted name; some may be missing."""

    @property
    def domains(self) -> dict[str, Range | Choice]:
        """Those of all parameters that are drawn, by name, whatever they depend on."""
        return {
            parameter.name: parameter.domain
            for parameter in self.parameters
            if not isinstance(parameter.domain, Fixed)
        }

    @property
    def priors(self) -> dict[str, Prior]:
        """What the user believes of parameters, by their names."""
        return {parameter.name: parameter.prior for parameter in self.parameters if parameter.prior}

    def draw(self, trial: BaseTrial) -> dict[str, Any]:
        """Asks a trial for the active parameters only.

        Returns:
            All values by dotted name, as drawn: `trial.params` with `defaults` and what is fixed.
        """
        return self.values(lambda parameter, domain: domain.suggest(trial, parameter.name))

    def drawn(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What `draw` gave for a trial that ended up with these parameters.

        Raises:
            ValueError: The parameters are not of this tree: one is missing, unknown or out of range.
        """
        self.distributions(params)
        used = set()

        def recorded(parameter: Parameter, domain: Range | Choice) -> Any:
            if parameter.name not in params:
                raise ValueError(f"{parameter.name} must be given for space {self.name}; received {params}")
            used.add(parameter.name)
            return params[parameter.name]

        values = self.values(recorded)
        if unused := set(params) - used:
            raise ValueError(f"{sorted(unused)} must not be given with the others for space {self.name}")
        return values

    def distributions(self, params: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Optuna's distribution of each of the parameters, to put a recorded trial back into a study.

        Raises:
            ValueError: One of them is not a parameter of this tree, or out of its range.
        """
        known = self.domains
        found: dict[str, BaseDistribution] = {}
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{name} must be a parameter of space {self.name}: {', '.join(known)}")
            found[name] = known[name].distribution
            try:
                inside = found[name]._contains(found[name].to_internal_repr(value))
            except (TypeError, ValueError):
                inside = False
            if not inside:
                rule = known[name].to_dict()
                raise ValueError(f"{name} must be of {rule} in space {self.name}; received {value!r}")
        return found

    def values(self, given: Callable[[Parameter, Range | Choice], Any]) -> dict[str, Any]:
        """All values by dotted name, where those of active parameters that are drawn are given."""
        values = dict(self.defaults)
        for parameter in self.parameters:
            if parameter.active(values):
                domain = parameter.domain
                values[parameter.path] = (
                    domain.value if isinstance(domain, Fixed) else given(parameter, domain)
                )
        return values
