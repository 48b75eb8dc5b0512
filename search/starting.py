"""What a search tries first: the user's own recipes, then the built-in ones that fit it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from search.engine import length_epochs, length_passes
from search.networks import Networks
from search.settings import Settings
from search.trials import Start
from spaces.recipe_files import TrialConfig, load_trial_config, recipe_names, with_absolute_weights
from spaces.space import Space

Named = tuple[str, TrialConfig]
"""What a person knows a recipe by, and what its file holds."""


def own_recipes(settings: Settings, own_networks: Collection[str]) -> list[Named]:
    """The recipes of `--start-from`.

    Raises:
        SpaceError: There is no such recipe, or something is wrong with it.
    """
    return [(name, load_trial_config(name, extra_models=own_networks)) for name in settings.start_from]


def built_in_recipes(space: Space, networks: Networks, *, passes: int, pictures: int) -> list[Named]:
    """The built-in recipes that fit a search: of a network that it offers, and no dearer than its own.

    Args:
        space: What the search samples from, without what is over the limits.
        passes: Full length of a trial, in passes over the training part.
        pictures: Size of the training part.
    """
    named = [(name, load_trial_config(name)) for name in recipe_names()]
    names, pretrained, largest_px = space.model_names(), space.pretrained_names(), space.sizes_px()[-1]

    def fits(config: TrialConfig) -> bool:
        recipe, model = config.recipe, config.recipe.model
        length = length_passes(recipe, epochs=config.epochs or 0, pictures=pictures)
        return (
            model.name in (pretrained if model.pretrained else names)
            and model.weights is None
            and recipe.geometry.size_px <= largest_px
            and length <= passes
            and (recipe.loss.name != "sigmoid" or networks.classes == 2)
            and networks.fits(recipe)
        )

    return [(name, config) for name, config in named if fits(config)]


def starts(named: Iterable[Named], space: Space, *, passes: int, pictures: int) -> tuple[Start, ...]:
    """The recipes at the full length of a trial, each once.

    Seed and recorded learning rates of a file are not taken over: a search has its own.
    """
    found: list[Start] = []
    for source, config in named:
        epochs = length_epochs(config.recipe, passes=passes, pictures=pictures)
        recipe = config.recipe.rescaled(config.epochs or epochs, epochs)
        params = space.params_of(recipe, epochs=epochs) or {}
        start = Start(source, with_absolute_weights(recipe).to_dict(), epochs, params)
        if all(start.recipe != other.recipe for other in found):
            found.append(start)
    return tuple(found)
