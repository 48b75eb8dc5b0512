"""A trained network as a folder that others can load: timm's own format, and programs that need neither timm
nor us.

The folder holds `config.json` and `model.safetensors` (timm), `model.pt2` (torch.export), `model.onnx` where
asked for, and `classifier.json` (classes and preprocessing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationError
from torch import nn

from spaces.ensemble import ENSEMBLE, EnsembleRecipe, trained_recipes
from spaces.errors import InputError
from spaces.families import FAMILIES
from spaces.recipe import Geometry, Part, Recipe
from trainables.calibration import NOT_CALIBRATED, Calibration
from trainables.models.adapted import ADAPTED
from trainables.models.create import creation, normalization
from trainables.models.hub import load_timm_folder, save_timm_folder
from trainables.models.weights import WEIGHTS_FILE
from trainables.programs import write_programs

DESCRIPTION_FILE = "classifier.json"

Channels = Annotated[list[float], Field(min_length=3, max_length=3)]


class ExportError(InputError):
    """A folder is not an exported classifier."""


@dataclass(frozen=True)
class Classifier:
    """An exported network with all that is needed to use it."""

    model: nn.Module
    """On the CPU, in evaluation mode: normalised squares (B, 3, S, S) to outputs, of which `class_logits`
    makes logits (B, C)."""
    classes: list[str]
    geometry: Geometry
    mean: list[float]
    std: list[float]
    calibration: Calibration = NOT_CALIBRATED


class _Description(Part):
    """What `classifier.json` holds."""

    classes: list[str]
    geometry: Geometry
    mean: Channels
    std: Channels
    recipe: dict[str, Any]
    calibration: Calibration = NOT_CALIBRATED


def export(
    model: nn.Module,
    recipe: Recipe,
    classes: list[str],
    folder: Path,
    *,
    calibration: Calibration = NOT_CALIBRATED,
    onnx: bool = False,
) -> None:
    """Writes the folder, which must exist. Nothing marks it complete: the caller moves it into place.

    Args:
        model: On the CPU, in evaluation mode.
        calibration: Goes into the programs and the description; the network's own outputs stay as they are.
        onnx: Writes `model.onnx` too; needs the `onnx` extra.
    """
    mean, std = normalization(model)
    model = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    save_timm_folder(model, recipe, folder, classes=classes)
    write_programs(
        model,
        folder,
        mean=mean,
        std=std,
        temperature=calibration.temperature,
        size_px=recipe.geometry.size_px,
        onnx=onnx,
    )
    description = _Description(
        classes=classes,
        geometry=recipe.geometry,
        mean=mean,
        std=std,
        recipe=without_folders(recipe).to_dict(),
        calibration=calibration,
    )
    (folder / DESCRIPTION_FILE).write_text(description.model_dump_json(indent=2) + "\n", encoding="utf-8")


def registering(recipe: Recipe, classes: int, imports: Sequence[str] = ()) -> list[str]:
    """The modules that another program has to import before timm can make the network.

    Args:
        imports: Modules of the user's own.
    """
    architecture, _ = creation(recipe, classes)
    ours = ["trainables.models"] if architecture in {*FAMILIES, ADAPTED, ENSEMBLE} else []
    known = all(one.model.name in FAMILIES for one in trained_recipes(recipe))
    return ours + ([] if known else list(imports))


def without_folders(recipe: Recipe) -> Recipe:
    """The same recipe with the mere name of the file of weights that it starts from: an export may leave this
    machine, and its paths should not."""
    if isinstance(recipe, EnsembleRecipe):
        return recipe.model_copy(update={"members": tuple(map(without_folders, recipe.members))})
    if recipe.model.weights is None:
        return recipe
    name = Path(recipe.model.weights).name
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": name})})


def load(folder: Path) -> Classifier:
    """Loads an exported folder; weights come from safetensors, and no code from the folder runs.

    Raises:
        ExportError: It is not one, or its network is not registered here.
    """
    try:
        description = _Description.model_validate_json((folder / DESCRIPTION_FILE).read_bytes())
    except OSError as fault:
        raise _no_classifier(folder, str(fault)) from fault
    except ValidationError as fault:
        faults = [(".".join(map(str, error["loc"])), error["msg"]) for error in fault.errors()]
        said = "; ".join(f"{place}: {what}" if place else what for place, what in faults)
        raise _no_classifier(folder, f"{DESCRIPTION_FILE}: {said}") from fault
    if not (folder / WEIGHTS_FILE).exists():  # timm would also take a pickle
        raise _no_classifier(folder, f"it has no {WEIGHTS_FILE}")
    try:
        model = load_timm_folder(folder)
    except Exception as fault:  # timm's own checks raise many classes
        raise ExportError(
            f"{folder}: the network cannot be loaded ({type(fault).__name__}: {fault}). If it is a network "
            "of your own, name its module with --import."
        ) from fault
    classes = description.classes
    if len(classes) != (2 if model.num_classes == 1 else model.num_classes):
        raise ExportError(
            f"{folder}: {len(classes)} classes, but the network has {model.num_classes} output"
            f"{'s' * (model.num_classes != 1)}."
        )
    return Classifier(
        model.eval(),
        classes,
        description.geometry,
        description.mean,
        description.std,
        description.calibration,
    )


def _no_classifier(folder: Path, reason: str) -> ExportError:
    return ExportError(
        f"{folder} is not an exported classifier ({reason}). It should be a folder that search.retrain "
        "wrote, such as results/NAME/model."
    )
