"""The model card: `README.md` in the form of the Hugging Face hub, made of what the model's folder holds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from search.report.facts.ensemble import ensemble
from search.storage.folder import METRICS_FILE, FolderError, SearchFolder, write_text
from spaces.ensemble import EnsembleRecipe, read_recipe, trained_recipes
from spaces.errors import InputError
from spaces.recipe import Recipe
from spaces.yaml_files import dump_yaml
from trainables.calibration import NOT_CALIBRATED, Calibration
from trainables.export import DESCRIPTION_FILE, registering
from trainables.models.hub import hub_id
from trainables.programs import INPUT, ONNX_FILE, OUTPUT, PROGRAM_FILE

CARD_FILE = "README.md"
HERE = "THIS_FOLDER"
DEMO = "the built-in demo of classifier-search"
SQUARES = {
    "resize": "stretched or squeezed to a square",
    "crop": "cut to the square in its middle",
    "pad": "made a square by grey bars",
}


def write_card(model: Path, imports: Sequence[str] = ()) -> None:
    """Writes the card into a model's folder; see `card`."""
    write_text(model / CARD_FILE, card(model, imports))


def card(model: Path, imports: Sequence[str] = (), repository: str | None = None) -> str:
    """The text of the card. Whatever names hold, they are neither markup nor metadata in it.

    Of a card that is there only the licence stays.

    Args:
        model: Folder with `classifier.json` and `metrics.json`.
        imports: Modules that register the network, where it is the user's own.
        repository: Its name on the hub, where the folder is going to be there.

    Raises:
        FolderError: One of these files is missing or damaged.
    """
    try:
        return _card(model, imports, repository)
    except InputError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as fault:
        raise FolderError(
            f"{model}: {DESCRIPTION_FILE} or {METRICS_FILE} is damaged ({type(fault).__name__}: {fault}). "
            "Bring it back from a copy, or retrain."
        ) from fault


def _card(model: Path, imports: Sequence[str], repository: str | None) -> str:
    described, metrics = (SearchFolder.read_json(model / name) for name in (DESCRIPTION_FILE, METRICS_FILE))
    recipe = read_recipe(described["recipe"])
    calibration = Calibration.model_validate(described.get("calibration", NOT_CALIBRATED))
    onnx, classes = (model / ONNX_FILE).exists(), described["classes"]
    sections = [
        f"# {_name(recipe)}, {len(classes)} classes",
        _summary(metrics, len(classes)),
        "## How to use it",
        _use(recipe, calibration, len(classes), registering(recipe, len(classes), imports), onnx, repository),
        "## How good it is",
        _numbers(metrics),
        "## How it was trained",
        _training(recipe, metrics),
        "## What to beware of",
        _limits(recipe, calibration, metrics),
        "## Classes",
        # As JSON on indented lines, which is code to Markdown: no name can end a line or become markup.
        _indented("\n".join(json.dumps(name, ensure_ascii=False) for name in classes)),
    ]
    front = _metadata(recipe, metrics, onnx, _license(model)).to_yaml()
    # Read once more by the hub's own class, which checks the metadata.
    return str(ModelCard(f"---\n{front}\n---\n" + "\n\n".join(sections) + "\n"))


def _license(model: Path) -> str | None:
    """The licence that the user has written into the card that is there: it is theirs to choose."""
    file = model / CARD_FILE
    try:
        return ModelCard.load(file).data.license if file.exists() else None
    except (OSError, yaml.YAMLError) as fault:
        raise FolderError(
            f"{file} cannot be read: {fault}. Mend it, or delete it to have it written anew."
        ) from fault


def _metadata(recipe: Recipe, metrics: dict[str, Any], onnx: bool, licensed: str | None) -> ModelCardData:
    """What the hub reads."""
    scores = [
        EvalResult(
            task_type="image-classification",
            task_name="Image classification",
            dataset_type="imagefolder",  # what the hub calls pictures that are none of its own data sets
            dataset_name=metrics.get("data") or DEMO,
            dataset_split="test",
            metric_type=kind,
            metric_name=name,
            metric_value=metrics["test"][key],
        )
        for kind, name, key in (("accuracy", "Accuracy", "accuracy"), ("f1", "Macro-F1", "macro_f1"))
    ]
    return ModelCardData(
        license=licensed,
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["image-classification", "timm", "classifier-search", *(["onnx"] if onnx else [])],
        metrics=["accuracy", "f1"],
        base_model=_starts_from(recipe),
        model_name=recipe.model.name,
        eval_results=scores,
    )


def _name(recipe: Recipe) -> str:
    members = len(trained_recipes(recipe))
    return recipe.model.name if members == 1 else f"Ensemble of {members} networks"


def _starts_from(recipe: Recipe) -> str | list[str] | None:
    """What the hub knows of the weights that its networks start from."""
    ids = [hub_id(one.model.name) for one in trained_recipes(recipe) if one.model.pretrained]
    known = list(dict.fromkeys(name for name in ids if name))
    return known[0] if len(known) == 1 else known or None


def _summary(metrics: dict[str, Any], classes: int) -> str:
    test = metrics["test"]
    return (
        f"Tells {classes} classes of pictures apart. Trained by classifier-search on "
        f"{_pictures_of(metrics)}; accuracy on {test['n']} test pictures: {_score(test, 'accuracy')}."
    )


def _use(
    recipe: Recipe,
    calibration: Calibration,
    classes: int,
    modules: Sequence[str],
    onnx: bool,
    repository: str | None,
) -> str:
    size_px = recipe.geometry.size_px
    imports = "".join(f"import {module}  # registers the network\n" for module in modules)
    place = f"hf-hub:{repository}" if repository else f"local-dir:{HERE}"
    outputs = "a logit a class"
    if recipe.loss.name == "sigmoid":
        outputs = (
            "one logit z: sigmoid(z) is the probability of the second class, and the rest that of the first"
        )
    elif isinstance(recipe, EnsembleRecipe):
        outputs = "the logarithm of each class's probability"
    calibrated = calibration.temperature != 1
    not_yet = f", to be divided by {calibration.temperature:.4g}" if calibrated else ""
    needs = f"`{PROGRAM_FILE}` needs torch alone"
    needs += f", and `{ONNX_FILE}` any ONNX runtime." if onnx else "."
    parts = [
        f"Pictures are RGB, {SQUARES[recipe.geometry.fit]} of {size_px} px. Outputs are in the order of the "
        "classes below.",
        f"With timm, the network puts out {outputs}{not_yet}. timm's transform normalises; it reads between "
        "pixels a little differently than the training did.",
        f'```python\n{imports}import timm\n\nmodel = timm.create_model("{place}", pretrained=True).eval()\n'
        "config = timm.data.resolve_model_data_config(model)\n"
        "transform = timm.data.create_transform(**config, is_training=False)\n```",
        f"{needs} Squares go in as float32 (B, 3, {size_px}, {size_px}) in [0, 1], any B; out come "
        f"probabilities, float32 (B, {classes}). Normalisation, temperature and softmax are inside.",
        f'```python\nimport torch\n\nprogram = torch.export.load("{PROGRAM_FILE}").module()\n'
        "probabilities = program(squares)\n```",
    ]
    if onnx:
        parts.append(
            f'```python\nimport onnxruntime\n\nsession = onnxruntime.InferenceSession("{ONNX_FILE}")\n'
            f'(probabilities,) = session.run(["{OUTPUT}"], {{"{INPUT}": squares}})\n```'
        )
    fetch = f"hf download {repository} --local-dir {HERE}\n" if repository else ""
    parts.append(
        "With classifier-search, which prepares pictures as the training did, and says when one is unknown:"
        "\n\n"
        f"```\n{fetch}python -m search.predict {HERE} picture.jpg\n```"
    )
    return "\n\n".join(parts)


def _numbers(metrics: dict[str, Any]) -> str:
    test = metrics["test"]
    readings = metrics.get("test_readings", 1)
    rows = [("Accuracy", _score(test, "accuracy")), ("Macro-F1", _score(test, "macro_f1"))]
    rows += [(f"Top-{k} accuracy", f"{share:.4f}") for k, share in test["top_k"].items() if k != "1"]
    rows += [
        ("Log loss (nats)", f"{test['log_loss']:.4f}"),
        ("Calibration error (ECE)", f"{test['ece']:.4f}"),
    ]
    times = "once" if readings == 1 else f"{readings} times"
    return "\n".join(
        [
            f"On {test['n']} test pictures, which nothing was trained or chosen by. This search has read "
            f"them {times}: the more often, the less the numbers say. `{METRICS_FILE}` has more: each class, "
            "the confusion matrix, the reliability curve.",
            "",
            "| | test part |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows),
        ]
    )


def _training(recipe: Recipe, metrics: dict[str, Any]) -> str:
    on = metrics["trained_on"]
    pictures = f"{on['pictures']} pictures of {_pictures_of(metrics)} ({', '.join(on['parts'])})"
    if not isinstance(recipe, EnsembleRecipe):
        return (
            f"On {pictures} for {on['epochs']} epochs, seed {metrics['seed']}. The recipe, as `search.train` "
            f"reads it:\n\n{_yaml(recipe)}"
        )
    known = metrics["ensemble"]
    told = [
        f"Each member on {pictures}; each sees the square at its own size.",
        *ensemble(known),
        "The recipes, as `search.train` reads them:",
    ]
    for one, its in zip(recipe.members, known["members"], strict=True):
        told += [f"Trial {its['trial']}: {its['epochs']} epochs, seed {its['seed']}.", _yaml(one)]
    return "\n\n".join(told)


def _yaml(recipe: Recipe) -> str:
    return _indented(dump_yaml(recipe.to_dict()).rstrip("\n"))


def _limits(recipe: Recipe, calibration: Calibration, metrics: dict[str, Any]) -> str:
    """What the model does not do, and what its probabilities hold."""
    points = [
        "It knows its classes alone. The numbers hold for pictures such as those of its test part, from the "
        "same source as those that it was trained on."
    ]
    if calibration.fitted_on is None:
        points.append("Its probabilities are not calibrated, and it calls no picture unknown.")
    else:
        points.append(
            "Its probabilities are calibrated: they are the softmax of the logits divided by "
            f"{calibration.temperature:.4g}, which was fitted on {calibration.fitted_on.pictures} other "
            "pictures of its classes."
        )
    if calibration.unknown_below is not None:
        points.append(
            f"`search.predict` calls a picture unknown whose best class has less than "
            f"{calibration.unknown_below:.4g}; that happens to about {calibration.false_alarm_rate:.3g} of "
            "the pictures of its own classes. Of other pictures it finds many, not all."
        )
    starts = [
        _code(one.name if one.pretrained else Path(one.weights or "").name)
        for one in (member.model for member in trained_recipes(recipe))
        if one.pretrained or one.weights
    ]
    if starts:
        named = ", ".join(dict.fromkeys(starts))
        points.append(f"It started from weights of others ({named}), whose licence may bind it.")
    return "\n".join(f"- {point}" for point in points)


def _pictures_of(metrics: dict[str, Any]) -> str:
    name = metrics.get("data")
    return DEMO if name is None else _code(name)


def _score(test: dict[str, Any], name: str) -> str:
    score, interval = f"{test[name]:.4f}", test.get(f"{name}_95")
    if interval is None:
        return score
    low, high = interval
    return f"{score} (95% interval {low:.4f} to {high:.4f})"


def _indented(text: str) -> str:
    """As code to Markdown, whatever it holds."""
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))


def _code(name: str) -> str:
    """A name on a line, as code to Markdown: within more backticks than it has itself."""
    shown = json.dumps(name, ensure_ascii=False)[1:-1]
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown else f"`{shown}`"
