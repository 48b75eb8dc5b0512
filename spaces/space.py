"""The search space: what may be tried, and how an Optuna trial becomes a recipe.

A space is a base recipe and parameters. Each parameter sets one value of the recipe, drawn from its
domain, and may depend on others: it is active when the recipe has, at every place that its `when` names,
one of the values named there. Where no parameter is active, the recipe keeps the value of the base.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from spaces.domains import Choice, Range, Value, takes
from spaces.families import FAMILIES
from spaces.faults import shown
from spaces.flat import ARGS, flatten, unflatten
from spaces.parameters import Parameter
from spaces.recipe import Recipe
from spaces.tree import Tree
from spaces.worlds import worlds
from spaces.yaml_files import dump_yaml

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


@dataclass(frozen=True)
class Space(Tree):
    """A search space, checked as a whole: every recipe from it is valid. Made by `load_space`.

    Its defaults are what a recipe has where no parameter is active; `model.name` may be missing.
    """

    base: Mapping[str, Any]
    """Sections of a recipe with the values that differ from its defaults, as the file has them."""

    def suggest(self, trial: BaseTrial, *, epochs: int) -> Recipe:
        """Draws a recipe, asking the trial for the active parameters only.

        Args:
            trial: An Optuna trial; afterwards `trial.params` is what `recipe` takes.
            epochs: Full length of the training, for parameters that are a share of it.
        """
        return self._recipe(
            lambda parameter, domain: domain.resolve(domain.suggest(trial, parameter.name), epochs)
        )

    def recipe(self, params: Mapping[str, Any], *, epochs: int) -> Recipe:
        """The recipe that a trial with these parameters had: the same as `suggest` returned.

        Raises:
            ValueError: The parameters are not of this space: one is missing, unknown or out of range.
        """
        self.drawn(params)
        return self._recipe(lambda parameter, domain: domain.resolve(params[parameter.name], epochs))

    def params_of(self, recipe: Recipe, *, epochs: int) -> dict[str, Any] | None:
        """The parameters that would give this recipe: the inverse of `recipe`.

        Arguments of our own networks that the recipe leaves out count as given with their defaults.

        Args:
            epochs: Full length of the training that the recipe's freeze epoch is part of.

        Returns:
            What `recipe` takes; None when no parameters give this recipe.
        """
        params, outside = self._located(recipe, epochs)
        return None if outside else params

    def outside(self, recipe: Recipe, *, epochs: int) -> list[str]:
        """The values of a recipe that the space does not give, in words, by dotted name.

        Each with what the space gives there: `optim.weight_decay 0.0 (0.001 to 0.1)`. None where `params_of`
        finds parameters.

        Args:
            epochs: Full length of the training that the recipe's freeze epoch is part of.
        """
        return self._located(recipe, epochs)[1]

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

    def without(self, is_lost: Callable[[Parameter, Value], bool]) -> Space:
        """The same space without these values of its parameters, wherever there are others.

        Of whole numbers only the lowest and the highest can be left out. A prior on a value that is left out
        goes with it.
        """
        parameters = []
        for parameter in self.parameters:
            domain = parameter.domain
            left = [value for value in domain.values or () if not is_lost(parameter, value)]
            if left and isinstance(domain, Choice):
                domain = Choice(tuple(left))
            elif left and isinstance(domain, Range):
                domain = replace(domain, low=cast(int, left[0]), high=cast(int, left[-1]))
            prior = parameter.prior
            if prior and domain.values is not None and not takes(domain.values, prior.centre):
                prior = None
            parameters.append(replace(parameter, domain=domain, prior=prior))
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

    def _located(self, recipe: Recipe, epochs: int) -> tuple[dict[str, Any], list[str]]:
        """The parameters that give a recipe's values, as far as there are any, and the values outside."""
        wanted = _with_default_args(flatten(recipe.to_dict()))
        params: dict[str, Any] = {}
        outside: dict[str, str] = {}

        def taken(parameter: Parameter, domain: Range | Choice) -> Any:
            value = wanted.get(parameter.path)
            try:
                params[parameter.name] = domain.drawn_for(value, epochs)
            except ValueError:
                outside[parameter.path] = f"{parameter.path} {shown(value)} ({domain.in_words()})"
            return value  # as if the space gave it: what depends on it is judged by it

        made = _with_default_args(self.values(taken))
        for path in sorted(made.keys() | wanted.keys()):
            here, there = wanted.get(path), made.get(path)
            if here != there and path not in outside:
                outside[path] = f"{path} {shown(here)} (only {shown(there)})"
        return params, list(outside.values())

    def _recipe(self, given: Callable[[Parameter, Range | Choice], Any]) -> Recipe:
        return Recipe.model_validate(unflatten(self.values(given)))


def _with_default_args(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's values by dotted name, with the arguments that our own networks have by default."""
    family = FAMILIES.get(values.get("model.name", ""))
    defaults = family.with_defaults({}) if family else {}
    return {f"{ARGS}{name}": value for name, value in defaults.items()} | dict(values)
