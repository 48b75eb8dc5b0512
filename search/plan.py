"""Everything that is checked and made ready before a search starts: space, recipes, networks, data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from search.bars import bars
from search.folder import SearchFolder
from search.networks import LimitError, Networks, load, networks_of, within_limits
from search.pictures import decode_for, ready_pictures
from search.settings import Settings
from search.starting import Named, built_in_recipes, own_recipes, starts
from search.trials import Start
from spaces.recipe import Recipe
from spaces.recipe_files import with_absolute_weights
from spaces.space import Space
from spaces.space_files import load_space
from trainables.data import Prepared
from trainables.models.create import ModelError, create_model, import_networks
from trainables.models.size import parameters
from trainables.runtime import Runtime
from trainables.weight_files import digest

ORIGINS = ("model.pretrained", "model.weights")
"""What decides on the weights that a network starts from."""
MOST_LINES = 8
"""Of networks over the limits in the plan; the rest is counted."""


@dataclass(frozen=True)
class Plan:
    """A search that is known to be able to start."""

    settings: Settings
    space: Space
    """As it was read."""
    offered: Space
    """The same without the networks of which nothing is within the limits."""
    source: Path
    """Folder or manifest of the pictures."""
    prepared: Prepared
    networks: Networks
    too_large: Sequence[str]
    """The networks over the limits, in words."""
    starts: Sequence[Start]
    """What is tried first."""
    weights: Mapping[str, str]
    """Every file of weights that trials start from, by absolute path, with its SHA-256."""

    @property
    def training_pictures(self) -> int:
        """Size of the training part."""
        return int((self.prepared.split["part"] == "train").sum())


def make_plan(settings: Settings, console: Console, *, before: SearchFolder | None = None) -> Plan:
    """Checks all that can be checked, and decodes the pictures.

    Args:
        before: The search that is to go on: its starting recipes, and sizes of networks, are taken over.

    Raises:
        SpaceError: The space or a recipe of --start-from is not valid; every fault is named.
        DataError: The pictures cannot be used.
        ModelError: An --import module fails, a network refuses its arguments, or weights to start from
            cannot be had.
        LimitError: Nothing, or not a recipe of --start-from, is within the limits.
        FolderError: The files of `before` are damaged.
    """
    assert settings.space is not None
    own_networks = import_networks(settings.imports)
    space = load_space(settings.space, extra_models=own_networks)
    own = [] if before else own_recipes(settings, own_networks)
    known = _starts_of(before) if before else ()
    tried = [(f"space {space.name}", recipe) for recipe in networks_of(space, *ORIGINS)]
    tried += [(f"--start-from {name}", config.recipe) for name, config in own]
    tried += [(start.source, Recipe.model_validate(start.recipe)) for start in known]
    weights = _try_networks(tried, console)

    first_px, *_ = space.sizes_px()
    source, prepared = ready_pictures(settings, size_px=first_px, console=console)
    classes = len(prepared.classes)
    _refuse_wrong_classes(tried, classes)
    networks = Networks(
        settings.max_params,
        settings.max_latency_ms,
        classes=classes,
        device=Runtime().resolved_device(),
        known=load(before.networks_file) if before else (),
    )
    offered, too_large = within_limits(space, networks, console)
    if before is None:
        _refuse_too_large(own, networks)
        pictures = int((prepared.split["part"] == "train").sum())
        length = {"passes": settings.max_epochs, "pictures": pictures}
        known = starts([*own, *built_in_recipes(offered, networks, **length)], offered, **length)
    sizes = {*offered.sizes_px(), *(start.recipe["geometry"]["size_px"] for start in known)}
    further = sorted(sizes - {first_px})
    decode_for(source, prepared, further, cache_dir=Path(settings.cache_dir), console=console)
    return Plan(settings, space, offered, source, prepared, networks, too_large, known, weights)


def _starts_of(folder: SearchFolder) -> tuple[Start, ...]:
    stored = folder.read_json(folder.settings_file).get("starts", [])
    return tuple(Start(**start) for start in stored)


def _try_networks(tried: Sequence[tuple[str, Recipe]], console: Console) -> dict[str, str]:
    """Makes every network once, and gets all weights to start from.

    A trial must not be the first to find that an argument is wrong, or that weights cannot be had.

    Args:
        tried: The recipes, each with where it is from.

    Returns:
        The SHA-256 of each file of weights, by its absolute path.
    """
    loaded, digests = set(), {}
    with bars(console) as bar:
        done = bar("making each network once")
        for place, (origin, recipe) in enumerate(tried):
            done(place, len(tried))
            spec = with_absolute_weights(recipe).model
            start = (spec.name, spec.pretrained, spec.weights)
            with _errors_of(origin):
                parameters(recipe, 2)  # every loss can do with two classes
                if (spec.pretrained or spec.weights) and start not in loaded:
                    loaded.add(start)
                    console.print(f"weights of {spec.name}: {spec.weights or 'pretrained'} ...")
                    create_model(recipe, 2)
            if spec.weights and spec.weights not in digests:
                digests[spec.weights] = digest(Path(spec.weights))
    return digests


def _refuse_wrong_classes(tried: Sequence[tuple[str, Recipe]], classes: int) -> None:
    """Makes the networks again whose loss depends on the number of classes, now that it is known."""
    for origin, recipe in tried:
        if recipe.loss.name == "sigmoid":
            with _errors_of(origin):
                parameters(recipe, classes)


@contextlib.contextmanager
def _errors_of(origin: str) -> Iterator[None]:
    """Says where the recipe is from that cannot be trained."""
    try:
        yield
    except ModelError as fault:
        raise ModelError(f"{origin}: {fault}") from fault


def _refuse_too_large(own: Sequence[Named], networks: Networks) -> None:
    for name, config in own:
        if excess := networks.excess(config.recipe):
            raise LimitError(
                f"--start-from {name}: {config.recipe.model.name} has {excess}. Leave it out, or raise the "
                "limit."
            )


def describe(plan: Plan) -> list[tuple[str, str]]:
    """The plan as lines of a table: what, and which."""
    settings, report = plan.settings, plan.prepared.report
    parts = plan.prepared.split["part"].value_counts()
    lines = [
        ("search", settings.name),
        ("pictures", settings.data or "built-in demo: cartoon characters drawn by code"),
        ("layout", str(report["layout"])),
        (
            "parts",
            ", ".join(f"{parts[part]} {part}" for part in ("train", "validation", "selection", "test"))
            + f" ({len(plan.prepared.classes)} classes)",
        ),
    ]
    if report["skipped"]:
        count = len(report["skipped"])
        lines.append(("skipped", f"{count} file{'s' * (count != 1)} that cannot be decoded"))
    lines += [
        ("left out", f"class {entry['class']}: {entry['pictures']} pictures ({entry['reason']})")
        for entry in report["left_out"]
    ]
    sampled = [parameter for parameter in plan.space.parameters if parameter.path != "model.name"]
    lines += [
        ("space", f"{plan.space.name}: {plan.space.description}"),
        ("networks", ", ".join(plan.offered.model_names())),
        *(("too large", line) for line in plan.too_large[:MOST_LINES]),
    ]
    if len(plan.too_large) > MOST_LINES:
        lines.append(("too large", f"and {len(plan.too_large) - MOST_LINES} more"))
    lines += [
        ("parameters", ", ".join(sorted({parameter.path for parameter in sampled}))),
        (
            "trials",
            f"{settings.trials} of up to {settings.max_epochs} epochs, ranked by {settings.metric}, "
            f"seed {settings.seed}",
        ),
        *(("tried first", _said(start)) for start in plan.starts),
    ]
    return lines


def _said(start: Start) -> str:
    model, size_px = start.recipe["model"]["name"], start.recipe["geometry"]["size_px"]
    shown = "" if start.params else ", with values outside of the space: the sampler does not see it"
    return f"{start.source}: {model} at {size_px} px, {start.epochs} epochs{shown}"
