"""Everything that is checked and made ready before a search starts: space, recipes, networks, data."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from search import text
from search.costs.networks import Networks, load
from search.costs.variants import variants
from search.engine.budget import UNMEASURED_SHARE
from search.engine.starting import (
    AT_ONCE,
    Named,
    built_in_recipes,
    own_recipes,
    starts,
    stored_starts,
    turn,
)
from search.planning.disk import Disk, disk
from search.planning.limits import LimitError, within_limits
from search.planning.pictures import decode_for, ready_pictures
from search.planning.rehearsal import Tried, check_losses, fetch_weights, rehearse
from search.planning.warm_start import said, stored_formers, warm_start
from search.policy.former import Former
from search.settings.asks import require_known
from search.settings.settings import Settings
from search.storage.folder import SearchFolder
from search.trials.trials import Epoch, Start, TrialRecord
from spaces.domains import Value
from spaces.parameters import Parameter, said_prior
from spaces.recipe import Recipe
from spaces.space import Space
from spaces.space_files import load_space
from trainables.data import Cache, Prepared
from trainables.models.create import import_networks
from trainables.runtime import Runtime

FURTHER = ("model.pretrained", "model.weights", "model.drop_path_rate", "geometry.start_px")
"""What can be wrong with a network, beside what decides on its size."""
MOST_VALUES = 3
"""Of a starting recipe's values outside of the space."""


@dataclass(frozen=True)
class Plan:
    """A search that is known to be able to start."""

    settings: Settings
    space: Space
    """As it was read."""
    offered: Space
    """The same without the choices of which nothing is within the limits, or that are for two classes where
    there are more."""
    source: Path
    """Folder or manifest of the pictures."""
    prepared: Prepared
    decoded: Sequence[Cache]
    """The pictures in all sizes, held so that no other search deletes them."""
    networks: Networks
    over_limits: Sequence[str]
    """The networks over the limits, in words."""
    starts: Sequence[Start]
    """What is tried early, see `turn`."""
    left_out: Mapping[str, str]
    """By name, why each of the others, which were given or are built in, is not."""
    weights: Mapping[str, str]
    """Every file of weights that trials start from, by absolute path, with its SHA-256."""
    formers: Sequence[Former] = ()
    """The searches that it learns from."""

    @property
    def training_pictures(self) -> int:
        """Size of the training part."""
        return int((self.prepared.split["part"] == "train").sum())

    @property
    def retrain_pictures(self) -> int:
        """Size of all parts but test."""
        return int((self.prepared.split["part"] != "test").sum())

    @functools.cached_property
    def disk(self) -> Disk:
        """How much of it the search takes."""
        starts = [Recipe.model_validate(start.recipe) for start in self.starts]
        selection = int((self.prepared.split["part"] == "selection").sum())
        return disk(self.settings, self.offered, starts, len(self.prepared.classes), selection)

    def fits(self, params: Mapping[str, Any]) -> bool:
        """Whether the network that these parameters give is within the limits."""
        return self.networks.fits(self.offered.recipe(params, epochs=self.settings.max_epochs))

    def scored(self, record: TrialRecord, epoch: Epoch) -> Epoch:
        """An epoch that a trial reports, with what the search's objectives make of it."""
        costs = self.networks.costs(Recipe.model_validate(record.trial.recipe))
        return self.settings.all_objectives.scored(record, epoch, costs)


def make_plan(settings: Settings, console: Console, *, before: SearchFolder | None = None) -> Plan:
    """Checks all that can be checked, decodes the pictures, and gets the weights to start from.

    Args:
        before: The search that is to go on: its starting recipes, what it learns from former searches, and
            sizes of networks, are taken over.

    Raises:
        SpaceError: The space or a recipe of --start-from is not valid; every fault is named.
        DataError: The pictures cannot be used.
        ModelError: An --import module fails, networks refuse their arguments or pictures, or weights to start
            from cannot be had.
        LimitError: Nothing, or not a recipe of --start-from, is within the limits.
        FolderError: The files of `before` are damaged, or a former search is of no use.
    """
    assert settings.space is not None
    own_networks = import_networks(settings.imports)
    space = load_space(settings.space, extra_models=own_networks)
    own = [] if before else own_recipes(settings, own_networks)
    known = stored_starts(before) if before else ()
    formers = stored_formers(before, own_networks) if before else ()
    given = [(f"--start-from {name}", config.recipe) for name, config in own]
    given += [(start.source, Recipe.model_validate(start.recipe)) for start in known]
    offers = _of(space)
    require_known(settings.resources, {recipe.model.name for _, recipe in [*offers, *given]})
    rehearse([*offers, *given], 2, console)  # every loss can do with two; how many there are is not known

    first_px, *_ = space.sizes_px()
    source, prepared = ready_pictures(settings, size_px=first_px, console=console)
    classes = len(prepared.classes)
    possible = space if classes == 2 else space.without(_is_for_two_classes)
    tried = [*(offers if possible == space else _of(possible)), *given]
    check_losses(tried, classes)
    networks = Networks(
        settings.max_params,
        settings.max_latency_ms,
        classes=classes,
        device=Runtime().resolved_device(),
        known=load(before.networks_file) if before else (),
        counted=settings.all_objectives.of_networks,
    )
    limited = within_limits(possible, networks, console)
    offered, left_out = limited.space, dict[str, str]()
    if before is None:
        _refuse_over_limits(own, networks)
        pictures = int((prepared.split["part"] == "train").sum())
        length = {"passes": settings.max_epochs, "pictures": pictures}
        fitting, misfits = built_in_recipes(offered, networks, **length)
        warm = warm_start(settings, offered, networks, **length)
        formers, wanted = warm.formers, [*own, *warm.best, *fitting]
        known, repeated = starts(wanted, offered, **length)
        left_out = {name: why for name, why in misfits.items() if name not in settings.start_from} | repeated
    # Only now: what is over the limits is not downloaded.
    weights = fetch_weights([entry for entry in tried if networks.fits(entry[1])], console)
    sizes = {*offered.sizes_px(), *(start.recipe["geometry"]["size_px"] for start in known)}
    decoded = decode_for(
        source,
        prepared,
        sorted(sizes | {first_px}),
        cache_dir=Path(settings.cache_dir),
        cache_gb=settings.cache_gb,
        console=console,
    )
    return Plan(
        settings,
        space,
        offered,
        source,
        prepared,
        decoded,
        networks,
        limited.over,
        known,
        left_out,
        weights,
        formers,
    )


def _of(space: Space) -> list[Tried]:
    """A recipe of each network that the space gives, with the weights that it may start from."""
    return [(f"space {space.name}", recipe) for recipe in variants(space, *FURTHER).recipes]


def _is_for_two_classes(parameter: Parameter, value: Value) -> bool:
    """Whether this value has a meaning for two classes only."""
    return parameter.path == "loss.name" and value == "sigmoid"


def _refuse_over_limits(own: Sequence[Named], networks: Networks) -> None:
    over = [
        f"--start-from {name}: {config.recipe.model.name} has {excess}."
        for name, config in own
        if (excess := networks.excess(config.recipe))
    ]
    if over:
        raise LimitError(
            f"{' '.join(over)} Leave {'it' if len(over) == 1 else 'them'} out, or raise the limit."
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
        lines.append(("skipped", f"{text.count(len(report['skipped']), 'file')} that cannot be decoded"))
    lines += [
        ("left out", f"class {one['class']}: {text.count(one['pictures'], 'picture')} ({one['reason']})")
        for one in report["left_out"]
    ]
    sampled = [parameter for parameter in plan.space.parameters if parameter.path != "model.name"]
    lines += [
        ("space", f"{plan.space.name}: {plan.space.description}"),
        ("networks", ", ".join(plan.offered.model_names())),
        *(("measured", line) for line in plan.over_limits),
        ("parameters", ", ".join(sorted({parameter.path for parameter in sampled}))),
        *(
            ("prior", said_prior(parameter.path, parameter.prior, parameter.when))
            for parameter in plan.space.parameters
            if parameter.prior
        ),
        (
            "trials",
            f"up to {text.count(settings.max_epochs, 'epoch')} each, suggested by {settings.sampler}, "
            f"ranked by {settings.scored_by.name}, seed {settings.seed}",
        ),
        *([("objectives", settings.all_objectives.definition)] if settings.objectives else []),
        ("budget", _said_budget(settings)),
        *([("rematch", _said_rematch(settings))] if settings.rematch else []),
        ("disk", plan.disk.said()),
        *(("warm start", said(former, plan.starts)) for former in plan.formers),
        *_said_starts(plan),
        *(("not tried", line) for line in _said_left_out(plan.left_out)),
        *(
            ("left out", f"{parameter.path} {value}: it is for two classes")
            for parameter in plan.space.parameters
            for value in parameter.domain.values or ()
            if _is_for_two_classes(parameter, value) and len(plan.prepared.classes) != 2
        ),
    ]
    return lines


def _said_budget(settings: Settings) -> str:
    allowance = settings.allowance
    said = ", ".join(allowance.limits.values())
    if len(allowance.limits) > 1:
        said += "; the search ends by what is reached first"
    if (allowance.total_passes or settings.max_epochs) < settings.max_epochs:
        said += f"; no trial can come to its full length of {text.count(settings.max_epochs, 'epoch')}"
    if allowance.gpu_hours and Runtime().resolved_device().type != "cuda":
        said += "; this machine has no GPU, and trials on it would use none of them up"
    if allowance.pays_retrain:
        said += f"; the retrain's time is kept back of it ({UNMEASURED_SHARE:.0%} until it is measured)"
    return said


def _said_rematch(settings: Settings) -> str:
    runs = text.count(settings.rematch * settings.rematch_seeds, "run")
    which = f"the best {settings.rematch} trials" if settings.rematch > 1 else "the best trial"
    return (
        f"then {which} again, from scratch with {settings.rematch_seeds} fresh seeds each: {runs} of "
        f"{text.count(settings.max_epochs, 'epoch')} at most"
    )


def _said_starts(plan: Plan) -> Iterator[tuple[str, str]]:
    limit = plan.settings.allowance.trials
    for place, start in enumerate(plan.starts):
        if limit is not None and turn(place) >= limit:
            yield (
                "left out",
                f"{start.source}: its turn is trial {turn(place)}, and trials end with {limit - 1}",
            )
        else:
            yield "tried first" if place < AT_ONCE else f"trial {turn(place)}", _said(start)


def _said(start: Start) -> str:
    model, size_px = start.recipe["model"]["name"], start.recipe["geometry"]["size_px"]
    own = f" (its own length is {start.own_epochs})" if start.own_epochs not in (None, start.epochs) else ""
    said = f"{start.source}: {model} at {size_px} px, {text.count(start.epochs, 'epoch')}{own}"
    if start.params:
        return said
    more = f" and {len(start.outside) - MOST_VALUES} more" if len(start.outside) > MOST_VALUES else ""
    values = ", ".join(start.outside[:MOST_VALUES]) + more
    return f"{said}, with values outside of the space: the sampler does not see it ({values})"


def _said_left_out(reasons: Mapping[str, str]) -> list[str]:
    """The recipes that are not tried, in one line."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    said = "; ".join(f"{', '.join(alike)} ({reason})" for reason, alike in names.items())
    return [f"recipes {said}"] if said else []
