"""timm's folder format: `config.json` and `model.safetensors`, as on the Hugging Face hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import timm
from timm.models import save_for_hf
from torch import nn

from spaces.families import FAMILIES, Whole
from spaces.recipe import Recipe
from trainables.models.create import creation

CROP_MODES = {"resize": "squash", "crop": "center", "pad": "border"}
"""What timm calls each `fit` of a recipe's geometry."""


def save_timm_folder(model: nn.Module, recipe: Recipe, folder: Path, *, classes: list[str]) -> None:
    """Writes a network so that `timm.create_model("local-dir:FOLDER", pretrained=True)` makes it again.

    The arguments that it was created with go into `config.json`, and so does how its pictures are prepared,
    in place of what timm recommends for the pretrained weights.
    """
    timm_model = cast(Any, model)
    of_weights = {key: value for key, value in timm_model.pretrained_cfg.items() if "test_" not in key}
    timm_model.pretrained_cfg = of_weights | {
        "input_size": (3, recipe.geometry.size_px, recipe.geometry.size_px),
        "crop_pct": 1.0,
        "crop_mode": CROP_MODES[recipe.geometry.fit],
        "interpolation": "bilinear",
    }
    save_for_hf(
        model,
        str(folder),
        model_config={"label_names": classes},
        model_args=creation(recipe, len(classes))[1],
        safe_serialization=True,
    )


def load_timm_folder(folder: Path) -> nn.Module:
    """The network of such a folder.

    Raises:
        ValueError: It asks for one of our networks with more than any recipe may: a billion blocks would
            never be made. Other errors are timm's.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    family = FAMILIES.get(config["architecture"])
    for name, rule in family.args.items() if family else ():
        value = config.get("model_args", {}).get(name, rule.default)
        if isinstance(rule, Whole) and value > rule.high:
            raise ValueError(f"config.json: {name} must be {rule.high} at most; it is {value!r}")
    return timm.create_model(f"local-dir:{folder}", pretrained=True)


def hub_id(name: str) -> str | None:
    """Where the hub keeps the weights that timm starts a network from; None where they are not there."""
    cfg = timm.models.get_pretrained_cfg(name)
    return cfg.hf_hub_id if cfg is not None else None
