"""The search space: what may be tried, and how an Optuna trial becomes a recipe.

A space is a base recipe and parameters. Each parameter sets one value of the recipe, drawn from its
domain, and may depend on others: it is active when the recipe has, at every place that its `when` names,
one of the values named there. Where no parameter is active, the recipe keeps the value of the base.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial

from spaces.domains import Choice, Fixed
from spaces.families import FAMILIES
from spaces.flat import ARGS, flatten, unflatten
from spaces.parameters import Parameter
from spaces.recipe import Recipe
from spaces.worlds import worlds
from spaces.yaml_files import dump_yaml


@dataclass(frozen=True)
class Space:
    """A search space, checked as a whole: every recipe from it is valid. Made by `load_space`."""

    name: str
    description: str
    base: Mapping[str, Any]
    """Sections of a recipe with the values that differ from its defaults, as the file has them."""
    parameters: tuple[Parameter, ...]
    """In an order where the parameters that a condition refers to come first."""
    defaults: Mapping[str, Any]
    """What a recipe has where no parameter is active, by dotted name; `model.name` may be missing."""

    def suggest(self, trial: BaseTrial, *, epochs: int) -> Recipe:
        """Draws a recipe, asking the trial for the active parameters only.

        Args:
            trial: An Optuna trial; afterwards `trial.params` is what `recipe` takes.
            epochs: Full length of the training, for parameters that are a share of it.
        """
        return self._recipe(lambda parameter: _suggest(parameter, trial), epochs)

    def recipe(self, params: Mapping[str, Any], *, epochs: int) -> Recipe:
        """The recipe that a trial with these parameters had: the same as `suggest` returned.

        Raises:
            ValueError: The parameters are not of this space: one is missing, unknown or out of range.
        """
        self.distributions(params)
        used = set()

        def recorded(parameter: Parameter) -> Any:
            if parameter.name not in params:
                raise ValueError(f"{parameter.name} must be given for space {self.name}; received {params}")
            used.add(parameter.name)
            return params[parameter.name]

        recipe = self._recipe(recorded, epochs)
        if unused := set(params) - used:
            raise ValueError(f"{sorted(unused)} must not be given with the others for space {self.name}")
        return recipe

    def params_of(self, recipe: Recipe, *, epochs: int) -> dict[str, Any] | None:
        """The parameters that would give this recipe: the inverse of `recipe`.

        Arguments of our own networks that the recipe leaves out count as given with their defaults.

        Args:
            epochs: Full length of the training that the recipe's freeze epoch is part of.

        Returns:
            What `recipe` takes; None when no parameters give this recipe.
        """
        wanted = _values(recipe)
        params: dict[str, Any] = {}

        def taken(parameter: Parameter) -> Any:
            assert not isinstance(parameter.domain, Fixed)
            params[parameter.name] = parameter.domain.drawn_for(wanted[parameter.path], epochs)
            return params[parameter.name]

        try:
            made = self._recipe(taken, epochs)
        except (KeyError, ValueError):  # it has no value at this place, or one that cannot be drawn
            return None
        return params if _values(made) == wanted else None

    def distributions(self, params: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Optuna's distribution of each of the parameters, to put a recorded trial back into a study.

        Raises:
            ValueError: One of them is not a parameter of this space, or out of its range.
        """
        known = {
            parameter.name: parameter.domain
            for parameter in self.parameters
            if not isinstance(parameter.domain, Fixed)
        }
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

    def model_names(self) -> list[str]:
        """Every network that a recipe can have, by name."""
        return sorted(self._reachable("model.name"))

    def pretrained_names(self) -> list[str]:
        """Every network that a recipe can have with the pretrained weights that timm downloads."""
        found = worlds(self.defaults, self.parameters, {"model.name", "model.pretrained"})
        return sorted({values["model.name"] for values in found if values["model.pretrained"]})

    def sizes_px(self) -> list[int]:
        """Every picture size that a recipe can have, in pixels, smallest first."""
        return sorted(self._reachable("geometry.size_px"))

    def without_models(self, names: Collection[str]) -> Space:
        """The same space without these networks, wherever there is a choice of others."""
        parameters = []
        for parameter in self.parameters:
            domain = parameter.domain
            if parameter.path == "model.name" and isinstance(domain, Choice):
                left = tuple(name for name in domain.values if name not in names)
                parameter = replace(parameter, domain=Choice(left or domain.values))
            parameters.append(parameter)
        return replace(self, parameters=tuple(parameters))

    def to_dict(self) -> dict[str, Any]:
        """All that decides on the recipes, as plain values: equal for spaces that are the same."""
        parameters: dict[str, Any] = {}
        for parameter in self.parameters:
            parameters.setdefault(parameter.path, []).append(parameter.to_dict())
        return {
            "base": unflatten(flatten(self.base)),
            "parameters": {
                path: alternatives[0] if len(alternatives) == 1 else alternatives
                for path, alternatives in parameters.items()
            },
        }

    def to_yaml(self) -> str:
        """A space file that loads as this space."""
        return dump_yaml({"description": self.description, **self.to_dict()})

    def _reachable(self, path: str) -> set[Any]:
        return {values[path] for values in worlds(self.defaults, self.parameters, {path})}

    def _recipe(self, drawn: Callable[[Parameter], Any], epochs: int) -> Recipe:
        values = dict(self.defaults)
        for parameter in self.parameters:
            if parameter.active(values):
                domain = parameter.domain
                values[parameter.path] = (
                    domain.value if isinstance(domain, Fixed) else domain.resolve(drawn(parameter), epochs)
                )
        return Recipe.model_validate(unflatten(values))


def _values(recipe: Recipe) -> dict[str, Any]:
    """A recipe's values by dotted name, with the defaults of our own networks' arguments filled in."""
    values = flatten(recipe.to_dict())
    if recipe.model.name in FAMILIES:
        args = FAMILIES[recipe.model.name].with_defaults(recipe.model.args)
        values |= {f"{ARGS}{name}": value for name, value in args.items()}
    return values


def _suggest(parameter: Parameter, trial: BaseTrial) -> Any:
    assert not isinstance(parameter.domain, Fixed)
    return parameter.domain.suggest(trial, parameter.name)
