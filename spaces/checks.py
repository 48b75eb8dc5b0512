"""All that is wrong with a recipe: its fields one by one, then whether its network exists and fits."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from spaces.families import FAMILIES
from spaces.faults import Fault, faults_of, near_misses
from spaces.recipe import Model, Recipe
from spaces.timm_names import TimmModel, timm_models

# Arguments of a timm model that a recipe says elsewhere, that follow from the data, or that would read
# files behind the recipe's back.
_RESERVED = {
    "pretrained": "Set model.pretrained.",
    "drop_rate": "Set model.drop_rate.",
    "num_classes": "It follows from the data.",
    "img_size": "Set geometry.size_px.",
    "in_chans": "Pictures always come as RGB.",
    "features_only": "A classifier is trained.",
    "checkpoint_path": "Weights come from model.pretrained or from a checkpoint of a training.",
    "cache_dir": "It is not part of a recipe.",
    "pretrained_cfg": "Name the weights as a tag of the model: resnet50.a1_in1k.",
    "pretrained_cfg_overlay": "Name the weights as a tag of the model: resnet50.a1_in1k.",
    "pretrained_strict": "Name the weights as a tag of the model: resnet50.a1_in1k.",
}


def check_recipe(recipe: Recipe, extra_models: Collection[str] = ()) -> list[Fault]:
    """All that is wrong with the recipe's network and its picture size; places are those of a recipe.

    Args:
        recipe: A recipe whose fields are valid one by one.
        extra_models: Names of the user's own networks, which may take any arguments.
    """
    model = recipe.model
    faults = [
        Fault(("model", "args", name), "is not an argument to give here", model.args[name], hint)
        for name, hint in _RESERVED.items()
        if name in model.args
    ]
    if model.name in extra_models:
        return faults
    if model.name in FAMILIES:
        if model.pretrained:
            rule = f"must be false: there are no pretrained weights for {model.name}"
            faults.append(Fault(("model", "pretrained"), rule, True))
        args = {name: value for name, value in model.args.items() if name not in _RESERVED}
        return faults + FAMILIES[model.name].check(args, recipe.geometry.size_px)
    name, _, tag = model.name.partition(".")
    if name not in timm_models():
        return [*faults, _unknown(model.name, extra_models)]
    return faults + _check_timm(timm_models()[name], tag, model)


def sift_recipe(data: Mapping[str, Any]) -> tuple[list[Fault], Recipe | None]:
    """The faults of the fields one by one, and the recipe that the other fields make.

    Returns:
        The faults, and the recipe with defaults in place of the faulty values; None where too little is
        left for one.
    """
    try:
        return [], Recipe.model_validate(data)
    except ValidationError as error:
        faults = faults_of(error, Recipe, data)
    rest: dict[Any, Any] = copy.deepcopy(dict(data))
    for fault in faults:
        section: Any = rest
        for key in fault.place[:-1]:
            section = section.get(key, {})
        section.pop(fault.place[-1], None)
    try:
        return faults, Recipe.model_validate(rest)
    except ValidationError:
        return faults, None


def check_recipe_data(data: Mapping[str, Any], extra_models: Collection[str] = ()) -> list[Fault]:
    """All that is wrong with a recipe given as plain values."""
    faults, recipe = sift_recipe(data)
    if recipe is None:
        return faults
    told = {fault.place for fault in faults}
    return faults + [fault for fault in check_recipe(recipe, extra_models) if fault.place not in told]


def _unknown(name: str, extra_models: Collection[str]) -> Fault:
    known = [*FAMILIES, *extra_models, *timm_models()]
    hint = near_misses(name, known) or (
        f"Ours are {', '.join(FAMILIES)}; timm's are in spaces/catalogue/timm.csv; your own come with "
        "--import MODULE."
    )
    return Fault(("model", "name"), "must be a network of ours, of timm's or of your own", name, hint)


def _check_timm(known: TimmModel, tag: str, model: Model) -> list[Fault]:
    faults = []
    if tag and tag not in known.tags:
        hint = near_misses(model.name, [f"{known.name}.{other}" for other in known.tags])
        exist = f"There are: {', '.join(known.tags)}." if known.tags else "There are none."
        rule = f"must end in the name of pretrained weights of {known.name}, or have no dot"
        faults.append(Fault(("model", "name"), rule, model.name, f"{hint} {exist}".strip()))
    elif model.pretrained and not known.tags:
        rule = f"must be false: timm has no pretrained weights for {known.name}"
        faults.append(Fault(("model", "pretrained"), rule, True))
    return faults
