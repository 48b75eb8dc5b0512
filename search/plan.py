"""Everything that is checked and made ready before a search starts: space, data, networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from search.settings import Settings
from spaces.families import FAMILIES
from spaces.flat import unflatten
from spaces.recipe import Recipe
from spaces.space import Space
from spaces.space_files import load_space
from spaces.worlds import worlds
from trainables.data import Prepared, build_or_open, prepare, read_listing
from trainables.data.demo import demo_source
from trainables.models.create import create_model, import_networks


@dataclass(frozen=True)
class Plan:
    """A search that is known to be able to start."""

    settings: Settings
    space: Space
    source: Path
    """Folder or manifest of the pictures."""
    prepared: Prepared

    @property
    def training_pictures(self) -> int:
        """Size of the training part."""
        return int((self.prepared.split["part"] == "train").sum())


def make_plan(settings: Settings, console: Console) -> Plan:
    """Checks all that can be checked, and decodes the pictures.

    Raises:
        SpaceError: The space is not valid; every fault is named.
        DataError: The pictures cannot be used.
        ModelError: An --import module fails, a network refuses its arguments, or pretrained weights
            cannot be had.
    """
    own_networks = import_networks(settings.imports)
    space = load_space(settings.space, extra_models=own_networks)
    _make_networks(space, console)
    cache_dir = Path(settings.cache_dir)
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:

        def hear(what: str):  # type: ignore[no-untyped-def]
            task = bar.add_task(what, total=None, visible=False)

            def progress(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total, visible=True)

            return progress

        if settings.data is None:
            source = demo_source(cache_dir, progress=hear("drawing the demo's pictures"))
        else:
            source = Path(settings.data).resolve()
        sizes = space.sizes_px()
        prepared = prepare(
            source,
            size_px=sizes[0],
            classes=settings.classes,
            min_per_class=settings.min_per_class,
            seed=settings.seed,
            cache_dir=cache_dir,
            progress=hear("decoding pictures"),
        )
        listing = read_listing(source).only(prepared.classes)
        for size_px in sizes[1:]:
            build_or_open(
                listing,
                size_px=size_px,
                cache_dir=cache_dir,
                progress=hear(f"decoding pictures for {size_px} px"),
            )
    return Plan(settings, space, source, prepared)


def _make_networks(space: Space, console: Console) -> None:
    """Makes every network once that is not ours (those are checked with the space), and fetches weights.

    A trial must not be the first to find that an argument is wrong, or that weights cannot be had.
    """
    paths = {*space.defaults, *(parameter.path for parameter in space.parameters)}
    arguments = {path for path in paths if path.startswith("model.args.")}
    seen: set[str] = set()
    for values in worlds(
        space.defaults, space.parameters, {"model.name", "model.pretrained"} | arguments, thinned=True
    ):
        recipe = Recipe.model_validate(unflatten(values))
        spec = recipe.model
        if spec.name in FAMILIES or str(spec.args) + spec.name in seen:
            continue
        weights = spec.pretrained and spec.name not in seen
        if weights:
            console.print(f"pretrained weights of {spec.name} ...")
        create_model(recipe, num_classes=2, weights=weights)
        seen |= {spec.name, str(spec.args) + spec.name}


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
        ("networks", ", ".join(plan.space.model_names())),
        ("parameters", ", ".join(sorted({parameter.path for parameter in sampled}))),
        (
            "trials",
            f"{settings.trials} of up to {settings.max_epochs} epochs, ranked by {settings.metric}, "
            f"seed {settings.seed}",
        ),
    ]
    return lines
