"""A trained network as a folder that others can load: timm's own format, and a program for torch alone.

The folder holds `config.json` and `model.safetensors` (timm), `model.pt2` (torch.export), `classifier.json`
(classes and preprocessing) and a model card, `README.md`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from spaces.errors import InputError
from spaces.families import FAMILIES
from spaces.recipe import Geometry, Part, Recipe
from trainables.calibration import NOT_CALIBRATED, Calibration
from trainables.models.adapted import ADAPTED
from trainables.models.create import class_logits, creation, normalization
from trainables.models.hub import load_timm_folder, save_timm_folder
from trainables.models.weights import WEIGHTS_FILE

DESCRIPTION_FILE = "classifier.json"
PROGRAM_FILE = "model.pt2"

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


class _Program(nn.Module):
    """Squares in [0, 1], (B, 3, S, S), to probabilities (B, C): normalisation, temperature and softmax
    included."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: list[float], std: list[float], temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, squares: Tensor) -> Tensor:
        logits = class_logits(self.model((squares - self.mean) / self.std))
        return (logits / self.temperature).softmax(dim=1)


def export(
    model: nn.Module,
    recipe: Recipe,
    classes: list[str],
    folder: Path,
    *,
    calibration: Calibration = NOT_CALIBRATED,
    imports: tuple[str, ...] = (),
) -> None:
    """Writes the folder, which must exist. Nothing marks it complete: the caller moves it into place.

    Args:
        model: On the CPU, in evaluation mode.
        calibration: Goes into the program and the description; the network's own outputs stay as they are.
        imports: Modules that register the network, where it is the user's own.
    """
    mean, std = normalization(model)
    model = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    save_timm_folder(model, recipe, folder, classes=classes)
    program = torch.export.export(
        _Program(model, mean, std, calibration.temperature).eval(),
        (torch.zeros(2, 3, recipe.geometry.size_px, recipe.geometry.size_px),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    torch.export.save(program, folder / PROGRAM_FILE)
    description = _Description(
        classes=classes,
        geometry=recipe.geometry,
        mean=mean,
        std=std,
        recipe=recipe.to_dict(),
        calibration=calibration,
    )
    (folder / DESCRIPTION_FILE).write_text(description.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_card(recipe, classes, calibration, imports), encoding="utf-8")


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


def _card(recipe: Recipe, classes: list[str], calibration: Calibration, imports: tuple[str, ...]) -> str:
    architecture, _ = creation(recipe, len(classes))
    ours = ["trainables.models"] if architecture in {*FAMILIES, ADAPTED} else []
    theirs = list(imports) if recipe.model.name not in FAMILIES else []
    lines = "".join(f"import {module}  # registers the network\n" for module in [*ours, *theirs])
    outputs = (
        "a logit a class"
        if recipe.loss.name != "sigmoid"
        else "one logit z: sigmoid(z) is the probability of the second class, and the rest that of the first"
    )
    size = recipe.geometry.size_px
    # As JSON on indented lines, which is code to Markdown: no name can end a line or become markup.
    listed = "\n".join(f"    {json.dumps(name, ensure_ascii=False)}" for name in classes)
    return f"""\
---
library_name: timm
pipeline_tag: image-classification
---
# {recipe.model.name}, {len(classes)} classes

Trained by classifier-search. Input: RGB pictures, made a {size} px square (`{recipe.geometry.fit}`).

Load it with timm (normalise with the mean and std of `config.json`). It puts out {outputs}.

```python
{lines}import timm

model = timm.create_model("local-dir:THIS_FOLDER", pretrained=True).eval()
```

Or with torch alone; the input is float32 (B, 3, {size}, {size}) in [0, 1], the output probabilities
(B, {len(classes)}):

```python
import torch

model = torch.export.load("{PROGRAM_FILE}").module()
```

From the command line: `python -m search.predict THIS_FOLDER picture.jpg`.

{_promise(calibration)}

## Classes

{listed}
"""


def _promise(calibration: Calibration) -> str:
    """What the probabilities hold."""
    if calibration.fitted_on is None:
        return "Its probabilities are not calibrated, and it calls no picture unknown."
    said = (
        "Its probabilities are calibrated: they are the softmax of the logits divided by "
        f"{calibration.temperature:.4g}, which was fitted on {calibration.fitted_on.pictures} other pictures "
        "of its classes."
    )
    if calibration.unknown_below is None:
        return said
    return (
        f"{said} A picture whose best class has less than {calibration.unknown_below:.4g} is called unknown; "
        f"that happens to about {calibration.false_alarm_rate:.3g} of the pictures of its own classes."
    )
