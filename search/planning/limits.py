"""A space within the hard limits of a search: what is over them is taken out, and told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rich.console import Console

from search.console.bars import bars
from search.costs.networks import Networks
from search.costs.variants import Variants, is_decisive, named, variants
from spaces.domains import Value, same
from spaces.errors import InputError
from spaces.flat import flatten
from spaces.parameters import Parameter
from spaces.recipe import Recipe
from spaces.space import Space

MOST_LINES = 8
"""Of networks over the limits; the others are named."""


class LimitError(InputError):
    """Nothing that is to be tried is within the limits."""


@dataclass(frozen=True)
class Limited:
    """What is left of a space."""

    space: Space
    """Without the choices of which nothing fits. What it gives need not fit in every combination."""
    over: list[str]
    """What does not fit, in words, a line for each network's name."""


def within_limits(space: Space, networks: Networks, console: Console) -> Limited:
    """The space without what is over the limits. Networks are measured here where anything asks for it.

    Raises:
        LimitError: Nothing fits.
    """
    if not networks.needed:
        return Limited(space, [])
    found = variants(space)
    with bars(console) as bar:
        done = bar("measuring networks")
        fitting: list[Recipe] = []
        over: list[tuple[Recipe, str]] = []
        for place, recipe in enumerate(found.recipes):
            done(place, len(found.recipes))
            if excess := networks.excess(recipe):
                over.append((recipe, excess))
            else:
                fitting.append(recipe)
    told = _told(found, over)
    if not fitting:
        raise LimitError(
            f"nothing of space {space.name} is within the limits: {'; '.join(told)}. Raise --max-params or "
            "--max-latency-ms, or take another --space."
        )
    if not found.whole and networks.timed:
        told.append(
            "there are so many networks that only the smallest and the largest were timed; the others are "
            "when first drawn, beside running trials, which makes them look slower"
        )
    return Limited(_narrowed(space, found, fitting), told)


def _narrowed(space: Space, found: Variants, fitting: list[Recipe]) -> Space:
    """The space without the values that were looked at and of which nothing fits."""
    looked_at, kept = ([flatten(recipe.to_dict()) for recipe in side] for side in (found.recipes, fitting))

    def is_lost(parameter: Parameter, value: Value) -> bool:
        """Conditions on what decides on no network are taken as met."""
        if not is_decisive(parameter.path):
            return False
        when = {path: values for path, values in parameter.when.items() if is_decisive(path)}

        def there(values: dict[str, Value]) -> bool:
            return same(values.get(parameter.path), value) and all(
                any(same(values.get(path), wanted) for wanted in among) for path, among in when.items()
            )

        return any(map(there, looked_at)) and not any(map(there, kept))

    return space.without(is_lost)


def _told(found: Variants, over: list[tuple[Recipe, str]]) -> list[str]:
    """A line a name: those that are gone altogether first."""
    there = Counter(recipe.model.name for recipe in found.recipes)
    examples: dict[str, list[str]] = {}
    for recipe, excess in over:
        examples.setdefault(recipe.model.name, []).append(f"{named(recipe)}: {excess}")
    gone, thinner = {}, {}
    of = "variants" if found.whole else "smallest and largest variants"
    for name, (example, *more) in examples.items():
        beyond = 1 + len(more)
        if there[name] == 1:
            gone[name] = example
        elif beyond == there[name]:
            gone[name] = f"{name}: all {beyond} {of}, such as {example}"
        else:
            thinner[name] = f"{name}: {beyond} of {there[name]} {of}, such as {example}"
    lines = {**gone, **thinner}
    shown, others = list(lines.values())[:MOST_LINES], list(lines)[MOST_LINES:]
    return shown + ([f"and {len(others)} more: {', '.join(others)}"] if others else [])
