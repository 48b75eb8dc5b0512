"""What is wrong with a recipe's network: whether it exists, takes its arguments, fits its pictures."""

from __future__ import annotations

from collections.abc import Collection

from spaces.abilities import Abilities
from spaces.families import FAMILIES
from spaces.faults import Fault, near_misses
from spaces.recipe import Recipe
from spaces.timm_names import timm_models

# Arguments of a timm model that a recipe says elsewhere, that follow from the data, or that would read
# files behind the recipe's back.
_RESERVED = {
    "pretrained": "Set model.pretrained.",
    "stem": "Set model.stem.",
    "global_pool": "Set model.pool.",
    "head_dense": "Set model.head_dense.",
    "drop_rate": "Set model.drop_rate.",
    "drop_path_rate": "Set model.drop_path_rate.",
    "backbone": "Set model.name.",
    "num_classes": "It follows from the data.",
    "img_size": "Set geometry.size_px.",
    "in_chans": "Pictures always come as RGB.",
    "features_only": "A classifier is trained.",
    "checkpoint_path": "Set model.weights.",
    "cache_dir": "It is not part of a recipe.",
    "pretrained_cfg": "Name the weights as a tag of the model: resnet50.a1_in1k.",
    "pretrained_cfg_overlay": "Name the weights as a tag of the model: resnet50.a1_in1k.",
    "pretrained_strict": "Name the weights as a tag of the model: resnet50.a1_in1k.",
}


def abilities_of(name: str) -> Abilities | None:
    """What the network takes; None for one of the user's own, and for one that is not known."""
    if name in FAMILIES:
        return FAMILIES[name].abilities
    known = timm_models().get(name.partition(".")[0])
    return known.abilities if known else None


def network_faults(recipe: Recipe, extra_models: Collection[str]) -> list[Fault]:
    """What is wrong with the network's name, its arguments and the picture size."""
    model = recipe.model
    faults = [
        Fault(("model", "args", name), "is not an argument to give here", model.args[name], hint)
        for name, hint in _RESERVED.items()
        if name in model.args
    ]
    if model.name in extra_models:
        return faults
    if model.name in FAMILIES:
        args = {name: value for name, value in model.args.items() if name not in _RESERVED}
        return faults + FAMILIES[model.name].check(args, recipe.geometry.size_px)
    return faults + name_faults(model.name, extra_models)


def name_faults(name: str, extra_models: Collection[str]) -> list[Fault]:
    """What is wrong with the network's name."""
    if name in FAMILIES or name in extra_models:
        return []
    architecture, _, tag = name.partition(".")
    known = timm_models().get(architecture)
    if known is None:
        hint = near_misses(name, [*FAMILIES, *extra_models, *timm_models()]) or (
            f"Ours are {', '.join(FAMILIES)}; timm's are in spaces/catalogue/timm.csv; your own come with "
            "--import MODULE."
        )
        return [Fault(("model", "name"), "must be a network of ours, of timm's or of your own", name, hint)]
    if "." not in name or tag in known.tags:
        return []
    alike = near_misses(name, [f"{architecture}.{other}" for other in known.tags])
    exist = f"There are: {', '.join(known.tags)}." if known.tags else "There are none."
    rule = f"must end in the name of pretrained weights of {architecture}, or have no dot"
    return [Fault(("model", "name"), rule, name, f"{alike} {exist}".strip())]


def start_faults(recipe: Recipe, extra_models: Collection[str]) -> list[Fault]:
    """What is wrong with the weights that the network starts from."""
    model, place = recipe.model, ("model", "pretrained")
    if not model.pretrained:
        return []
    if model.weights is not None:
        rule = "must be null with model.pretrained: true"
        return [Fault(("model", "weights"), rule, model.weights, "Drop one of the two.")]
    if model.name in extra_models:
        return []
    if model.name in FAMILIES:
        return [Fault(place, f"must be false: there are no pretrained weights for {model.name}", True)]
    known = timm_models().get(model.name.partition(".")[0])
    if known is None or known.tags:
        return []
    return [Fault(place, f"must be false: timm has no pretrained weights for {known.name}", True)]


def setting_faults(recipe: Recipe, extra_models: Collection[str]) -> list[Fault]:
    """What the recipe asks of its network that the network does not take."""
    model = recipe.model
    takes = None if model.name in extra_models else abilities_of(model.name)
    if takes is None:
        return []
    faults = []
    if model.stem == "small" and not takes.small_stem:
        hint = "It has no early downsampling, or one that cannot be left out."
        faults.append(Fault(("model", "stem"), f"must be standard for {model.name}", model.stem, hint))
    if model.pool is not None and model.pool not in takes.pools:
        allowed = " or ".join(["null", *takes.pools])
        faults.append(Fault(("model", "pool"), f"must be {allowed} for {model.name}", model.pool))
    if model.head_dense is not None and not takes.head_dense:
        dense = model.name in FAMILIES and "dense" in FAMILIES[model.name].args
        hint = "Set model.args.dense." if dense else "Its head is not a single linear layer."
        rule = f"must be null for {model.name}"
        faults.append(Fault(("model", "head_dense"), rule, model.head_dense, hint))
    if model.drop_path_rate and not takes.drop_path:
        hint = "It has no stochastic depth."
        place, rule = ("model", "drop_path_rate"), f"must be 0 for {model.name}"
        faults.append(Fault(place, rule, model.drop_path_rate, hint))
    return faults


def growth_faults(recipe: Recipe, extra_models: Collection[str]) -> list[Fault]:
    """What is wrong with pictures that grow during the training."""
    start_px, place = recipe.geometry.start_px, ("geometry", "start_px")
    if start_px is None:
        return []
    if start_px > recipe.geometry.size_px:
        return [Fault(place, "must be at most geometry.size_px", start_px)]
    name = recipe.model.name
    takes = None if name in extra_models else abilities_of(name)
    if takes is not None and takes.fixed_size:
        return [Fault(place, f"must be null for {name}, which is made for one picture size", start_px)]
    return []
