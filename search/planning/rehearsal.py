"""Every network of a search made once, its weights fetched: no trial must be the first to find a fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from search.console.bars import bars
from spaces.recipe import Recipe
from spaces.recipe_files import with_absolute_weights
from trainables.models.create import ModelError, create_model, creation
from trainables.models.dry_run import dry_run
from trainables.weight_files import digest

Tried = tuple[str, Recipe]
"""A recipe, and where people find it."""


def rehearse(tried: Sequence[Tried], classes: int, console: Console) -> None:
    """Makes the networks, and sends pictures through them, without memory for either.

    Every body at every picture size, every head, and each network with and without drop path, but not all of
    their combinations: they are many, and none looks at the others.

    Args:
        classes: How many the networks tell apart.

    Raises:
        ModelError: Some cannot be made, or not take their pictures; all faults at once.
    """
    distinct = _distinct(tried)
    with bars(console) as bar:
        done = bar("making each network once")

        def check(place: int, recipe: Recipe) -> None:
            done(place, len(distinct))
            dry_run(recipe, classes)

        _each(distinct, check)


def check_losses(tried: Sequence[Tried], classes: int) -> None:
    """Makes sure that the classes are two where the loss is for two.

    Raises:
        ModelError: They are not; all who ask for it at once.
    """
    one_each = {origin: (origin, recipe) for origin, recipe in tried if recipe.loss.name == "sigmoid"}

    def check(place: int, recipe: Recipe) -> None:
        creation(recipe, classes)

    _each(list(one_each.values()), check)


def fetch_weights(tried: Sequence[Tried], console: Console) -> dict[str, str]:
    """Gets all weights to start from, and loads them into their networks.

    Returns:
        The SHA-256 of each file of weights, by its absolute path.

    Raises:
        ModelError: Files cannot be had, or are another network's, all faults at once; or the first download
            that fails, for the others would too.
    """
    loaded: set[str] = set()
    digests: dict[str, str] = {}

    def fetch(place: int, recipe: Recipe) -> None:
        spec = with_absolute_weights(recipe).model
        start = str((spec.name, spec.args, spec.pretrained, spec.weights))
        if start in loaded or not (spec.pretrained or spec.weights):
            return
        loaded.add(start)
        console.print(escape(f"weights of {spec.name}: {spec.weights or 'pretrained'} ..."))
        create_model(recipe, 2)  # every loss can do with two classes, and the head starts anew
        if spec.weights and spec.weights not in digests:
            digests[spec.weights] = digest(Path(spec.weights))

    _each([entry for entry in tried if entry[1].model.weights], fetch)
    for entry in tried:
        _each([entry], fetch)
    return digests


def _distinct(tried: Sequence[Tried]) -> list[Tried]:
    """The recipes with a body, a head or drop path that none before them has."""
    seen: set[str] = set()
    distinct = []
    for origin, recipe in tried:
        model, geometry = recipe.model, recipe.geometry
        body = str((model.name, model.args, model.stem, geometry.size_px, geometry.start_px))
        head = str((model.name, model.pool, model.head_dense, recipe.loss.name == "sigmoid"))
        drop_path = str((model.name, model.drop_path_rate > 0))
        if not {body, head, drop_path} <= seen:
            seen |= {body, head, drop_path}
            distinct.append((origin, recipe))
    return distinct


def _each(tried: Sequence[Tried], check: Callable[[int, Recipe], None]) -> None:
    """Checks the recipes one by one; of a network's faults the first is told, with the number of others."""
    faults: dict[tuple[str, str], list[ModelError]] = {}
    for place, (origin, recipe) in enumerate(tried):
        try:
            check(place, recipe)
        except ModelError as fault:
            faults.setdefault((origin, recipe.model.name), []).append(fault)
    if not faults:
        return
    told = []
    for (origin, _), (first, *others) in faults.items():
        alike = len([fault for fault in others if str(fault) != str(first)])
        more = f" (And {alike} more of its variants.)" if alike else ""
        told.append(f"{origin}: {first}{more}")
    raise ModelError("\n".join(told)) from next(iter(faults.values()))[0]
