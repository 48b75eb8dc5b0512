"""Rules between the fields of a recipe, in groups that each look at a few of its values.

A space is checked group by group: what has nothing to do with each other need not be combined.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from spaces.faults import Fault, near_misses
from spaces.flat import ARGS
from spaces.network_checks import growth_faults, network_faults, setting_faults, start_faults
from spaces.optimizers import optimizers
from spaces.recipe import Recipe

Check = Callable[[Recipe, Collection[str]], list[Fault]]
"""Takes a recipe whose fields are valid one by one, and the names of the user's own networks. Places of the
faults are those of a recipe."""


def mixing_faults(recipe: Recipe, extra_models: Collection[str]) -> list[Fault]:
    """A sample gets at most one of MixUp and CutMix."""
    augment = recipe.augment
    if augment.mixup + augment.cutmix <= 1 + 1e-9:
        return []
    rule = "must make at most 1 together with augment.mixup"
    return [Fault(("augment", "cutmix"), rule, augment.cutmix)]


def focal_faults(recipe: Recipe, extra_models: Collection[str]) -> list[Fault]:
    """The focal loss wants to be sure of one class."""
    if recipe.loss.name != "focal":
        return []
    soft = {
        ("augment", "mixup"): recipe.augment.mixup,
        ("augment", "cutmix"): recipe.augment.cutmix,
        ("loss", "label_smoothing"): recipe.loss.label_smoothing,
    }
    hint = "For soft targets the focal loss is not least where the prediction equals them."
    rule = "must be 0 with loss.name: focal"
    return [Fault(place, rule, value, hint) for place, value in soft.items() if value]


def optimizer_faults(recipe: Recipe, extra_models: Collection[str]) -> list[Fault]:
    """The optimizer must be there."""
    name = recipe.optim.name
    if name in optimizers():
        return []
    hint = near_misses(name, optimizers()) or "They are in spaces/catalogue/optimizers.csv."
    rule = "must be an optimizer of timm.optim that needs neither other packages nor second derivatives"
    return [Fault(("optim", "name"), rule, name, hint)]


@dataclass(frozen=True)
class Group:
    """A check with the values that it looks at."""

    what: str
    """These values, in words: `network and picture size`."""
    paths: tuple[str, ...]
    """Their dotted names; that of the network's arguments stands for all of them."""
    check: Check

    def among(self, names: Iterable[str]) -> set[str]:
        """Which of the dotted names it looks at."""
        prefixes = tuple(path for path in self.paths if path == ARGS)
        return {name for name in names if name in self.paths or name.startswith(prefixes)}


GROUPS = (
    Group("network and picture size", ("model.name", ARGS, "geometry.size_px"), network_faults),
    Group("network and weights", ("model.name", "model.pretrained", "model.weights"), start_faults),
    Group("network and stem", ("model.name", "model.stem"), setting_faults),
    Group("network and pooling", ("model.name", "model.pool"), setting_faults),
    Group("network and dense head", ("model.name", "model.head_dense"), setting_faults),
    Group("network and drop path", ("model.name", "model.drop_path_rate"), setting_faults),
    Group("network and growth", ("model.name", "geometry.start_px", "geometry.size_px"), growth_faults),
    Group("MixUp and CutMix", ("augment.mixup", "augment.cutmix"), mixing_faults),
    Group(
        "loss and targets",
        ("loss.name", "loss.label_smoothing", "augment.mixup", "augment.cutmix"),
        focal_faults,
    ),
    Group("optimizer", ("optim.name",), optimizer_faults),
)

CHECKS = tuple(dict.fromkeys(group.check for group in GROUPS))
"""All rules, each once: what a whole recipe must keep."""
