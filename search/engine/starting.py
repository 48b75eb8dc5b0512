"""What a search tries first: the user's own recipes, the best of former searches, then the built-in ones that
fit it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from pydantic import TypeAdapter

from search.costs.networks import Networks
from search.settings.settings import Settings
from search.storage.folder import FolderError, SearchFolder
from search.trials.lengths import length_epochs, length_passes
from search.trials.trials import Start
from spaces.errors import InputError
from spaces.recipe import Recipe
from spaces.recipe_files import TrialConfig, load_trial_config, recipe_names, with_absolute_weights
from spaces.space import Space

AT_ONCE = 3
"""So many starting recipes come before anything else; of the trials after them every second one is one of the
others. Many in a row would keep the workers busy while nothing of the space is seen yet."""

Named = tuple[str, TrialConfig]
"""What a person knows a recipe by, and what its file holds."""


def turn(place: int) -> int:
    """The number of the trial that tries a search's starting recipe at this place, both from 0 on."""
    return place if place < AT_ONCE else 2 * place - AT_ONCE + 1


def own_recipes(settings: Settings, own_networks: Collection[str]) -> list[Named]:
    """The recipes of `--start-from`.

    Raises:
        SpaceError: There is no such recipe, or something is wrong with it.
    """
    return [(name, load_trial_config(name, extra_models=own_networks)) for name in settings.start_from]


def built_in_recipes(
    space: Space, networks: Networks, *, passes: int, pictures: int
) -> tuple[list[Named], dict[str, str]]:
    """The built-in recipes that fit a search: of a network that it offers, and no dearer than its own.

    Args:
        space: What the search samples from, without what is over the limits.
        passes: Full length of a trial, in passes over the training part.
        pictures: Size of the training part.

    Returns:
        Those that fit, and by its name why each of the others does not: `64 px; the space goes to 48`.
    """
    names, pretrained, largest_px = space.model_names(), space.pretrained_names(), space.sizes_px()[-1]

    def misfit(config: TrialConfig) -> str:
        recipe, model = config.recipe, config.recipe.model
        if model.name not in names:
            return "not in the space"
        if model.pretrained and model.name not in pretrained:
            return "not pretrained in the space"
        if recipe.geometry.size_px > largest_px:
            return f"{recipe.geometry.size_px} px; the space goes to {largest_px}"
        length = length_passes(recipe, epochs=config.epochs or 0, pictures=pictures)
        if length > passes:
            return f"{length:.3g} passes; a trial has {passes}"
        if recipe.loss.name == "sigmoid" and networks.classes != 2:
            return "for two classes"
        return networks.excess(recipe)

    named = [(name, load_trial_config(name)) for name in recipe_names()]
    misfits = {name: misfit(config) for name, config in named}
    fitting = [(name, config) for name, config in named if not misfits[name]]
    return fitting, {name: reason for name, reason in misfits.items() if reason}


def starts(
    named: Iterable[Named], space: Space, *, passes: int, pictures: int
) -> tuple[tuple[Start, ...], dict[str, str]]:
    """The recipes at the length of a trial, see `start_of`, each once; and why the others are left out."""
    found: list[Start] = []
    repeated: dict[str, str] = {}
    for source, config in named:
        start = start_of(source, config, space, passes=passes, pictures=pictures)
        same = [one.source for one in found if (one.recipe, one.epochs) == (start.recipe, start.epochs)]
        if not same:
            found.append(start)
        elif same != [source]:
            repeated[source] = f"the same as {same[0]}"
    return tuple(found), repeated


def start_of(source: str, config: TrialConfig, space: Space, *, passes: int, pictures: int) -> Start:
    """A recipe at the length of a trial, with the parameters that give it in the space.

    Seed and recorded learning rates of a file are not taken over: a search has its own.

    Raises:
        InputError: The freeze epoch of a recipe without a length of its own lies behind the end of a trial.
    """
    epochs = _epochs(config, passes=passes, pictures=pictures)
    try:
        recipe = config.recipe.rescaled(config.epochs or epochs, epochs)
    except InputError as fault:
        raise InputError(f"--start-from {source}: {fault} Its file may say its `epochs`.") from fault
    in_space = _weights_as_in(space, recipe)
    return Start(
        source,
        with_absolute_weights(recipe).to_dict(),
        epochs,
        space.params_of(in_space, epochs=epochs) or {},
        space.outside(in_space, epochs=epochs),
        config.epochs,
    )


def _weights_as_in(space: Space, recipe: Recipe) -> Recipe:
    """The recipe with the path of its weights as the space has it: what a trial records is absolute."""
    wanted = with_absolute_weights(recipe).model.weights
    if wanted is None:
        return recipe
    named = [space.defaults.get("model.weights")]
    for parameter in space.parameters:
        if parameter.path == "model.weights":
            named += parameter.domain.values or ()
    for weights in named:
        model = recipe.model.model_copy(update={"weights": weights})
        respelled = recipe.model_copy(update={"model": model})
        if with_absolute_weights(respelled).model.weights == wanted:
            return respelled
    return recipe


def _epochs(config: TrialConfig, *, passes: int, pictures: int) -> int:
    """The length of a trial in epochs of the recipe's own.

    Where those are short ones, at most as many as its file asks for: they would become hundreds, each with a
    validation, to make the search's passes.
    """
    longest = length_epochs(config.recipe, passes=passes, pictures=pictures)
    if config.recipe.steps_per_epoch is None or config.epochs is None:
        return longest
    return min(config.epochs, longest)


def stored_starts(folder: SearchFolder) -> tuple[Start, ...]:
    """What a search that is to go on began with.

    Raises:
        FolderError: Its settings are damaged.
    """
    stored = folder.read_json(folder.settings_file)
    try:
        found = TypeAdapter(tuple[Start, ...]).validate_python(stored.get("starts", ()))
        return tuple(replace(start, recipe=Recipe.model_validate(start.recipe).to_dict()) for start in found)
    except (AttributeError, TypeError, ValueError) as fault:
        raise FolderError(
            f"{folder.settings_file} does not hold a search's starting recipes: {fault}"
        ) from fault
