"""What a search takes from former ones, whose folders `--warm-start` names.

A former search may have run on other data, over another space and at another length. Of its trials those
count whose recipes are in this search's space, with what they scored by this search's metric. The policy
learns from them (`search.policy.former`), and the best of them are tried first. All of it is copied into the
new search's folder, so that a resume goes on alike whatever becomes of the former one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from pydantic import TypeAdapter

from search.costs.networks import Networks
from search.engine.starting import Named, start_of
from search.planning.names import former_folders
from search.policy.former import Former, former_search, tried_first
from search.policy.rungs import Rungs
from search.settings.settings import Settings
from search.storage.folder import FolderError, SearchFolder
from search.trials.lengths import length_epochs
from search.trials.trials import METRICS, Outcome, Start, TrialRecord, ranked
from spaces.recipe import Recipe
from spaces.recipe_files import TrialConfig
from spaces.space import Space
from spaces.space_files import load_space

TELLING = (None, Outcome.COMPLETE, Outcome.STOPPED, Outcome.DIVERGED)
"""Outcomes that say something about a recipe."""

_FORMERS = TypeAdapter(tuple[Former, ...])


@dataclass(frozen=True)
class WarmStart:
    """What former searches give to one."""

    formers: tuple[Former, ...]
    """In the order in which they were named."""
    best: list[Named]
    """Their recipes that are tried first."""


def warm_start(
    settings: Settings, space: Space, networks: Networks, *, passes: int, pictures: int
) -> WarmStart:
    """What the searches of `--warm-start` give to the search with these settings.

    Args:
        space: What the search samples from, without what is over the limits.
        networks: Knows the limits, and what networks cost.
        passes: Full length of a trial, in passes over the training part.
        pictures: Size of the training part.

    Raises:
        FolderError: A former search is not there, or damaged, or none of its trials counts here; the message
            says why.
    """
    formers, best = [], []
    for name, folder in zip(settings.warm_start, former_folders(settings), strict=True):
        try:
            trials = _Trials(name, folder, settings, space, networks, passes=passes, pictures=pictures)
            formers.append(trials.former())
            best.append(trials.best())
        except (AttributeError, TypeError) as fault:  # records hold what this program never writes
            raise FolderError(f"--warm-start {name}: {folder.records_file} is damaged: {fault}") from fault
    first = tried_first(best, lambda named: named[1].recipe.model.name, lambda named: named[1].recipe)
    return WarmStart(tuple(formers), first)


class _Trials:
    """The trials of one former search that count.

    Raises:
        FolderError: None does, or they lack the metric.
    """

    def __init__(
        self,
        name: str,
        folder: SearchFolder,
        settings: Settings,
        space: Space,
        networks: Networks,
        *,
        passes: int,
        pictures: int,
    ) -> None:
        self._name, self._before, self._metric = name, folder.settings(), settings.scored_by
        records = folder.records()
        telling = [record for record in records.all() if record.history and record.outcome in TELLING]
        if not telling:
            raise FolderError(f"--warm-start {name}: no trial of it has a score yet.")
        self._of, self._order = len(telling), records.order
        self._length = {"passes": passes, "pictures": pictures}
        self._records: dict[int, TrialRecord] = {}
        self._named: dict[int, Named] = {}
        self._params: dict[int, dict[str, object]] = {}
        outside: list[str] = []
        for record in ranked(telling, METRICS[settings.metric]):
            if any(settings.metric not in epoch.metrics for epoch in record.history):
                raise FolderError(
                    f"--warm-start {name}: its trial {record.number} does not say its {settings.metric}. "
                    "Leave it out, or search by another --metric."
                )
            named = self._at_this_length(record)
            start = start_of(*named, space, passes=passes, pictures=pictures)
            if start.outside:
                outside = outside or start.outside
            elif networks.fits(Recipe.model_validate(start.recipe)):
                self._named[record.number] = named
                self._params[record.number] = start.params
                self._records[record.number] = _rescored(record, settings, networks)
        if not self._params:
            reason = f", as {', '.join(outside[:3])}" if outside else ""
            raise FolderError(
                f"--warm-start {name}: none of its {self._of} trials is in this search's space and within "
                f"its limits{reason}. Leave it out, or widen the --space."
            )

    def _at_this_length(self, record: TrialRecord) -> Named:
        """Its recipe, at the length of this search's trials."""
        try:
            recipe = Recipe.model_validate(record.trial.recipe)
            epochs = length_epochs(recipe, **self._length)
            config = TrialConfig(recipe=recipe.rescaled(record.trial.epochs, epochs), epochs=epochs)
        except ValueError as fault:
            raise FolderError(f"--warm-start {self._name}: trial {record.number}: {fault}") from fault
        return source_of(self._name, record.number), config

    def former(self) -> Former:
        """What the policy learns from."""
        found = former_search(
            self._name,
            dict(sorted(self._params.items())),
            self._records,
            self._order,
            self._metric,
            of=self._of,
            max_passes=self._before.max_epochs,
            reduction=self._before.reduction,
        )
        if not found.scored:
            raise FolderError(
                f"--warm-start {self._name}: of its {len(self._params)} trials in this search's space none "
                "has a score. Leave it out."
            )
        return found

    def best(self) -> list[Named]:
        """The recipes that were trained in full length, from the best to the worst."""
        whole = [record for record in self._records.values() if record.outcome is Outcome.COMPLETE]
        scored = [record for record in whole if record.score(self._metric) is not None]
        return [self._named[record.number] for record in ranked(scored, self._metric)]


def _rescored(record: TrialRecord, settings: Settings, networks: Networks) -> TrialRecord:
    """The record as this search's objectives see it."""
    costs, again = networks.costs(Recipe.model_validate(record.trial.recipe)), replace(record, history=[])
    for epoch in record.history:
        again.history.append(settings.all_objectives.scored(again, epoch, costs))
    return again


def source_of(name: str, number: int) -> str:
    """What a person knows a former trial's recipe by."""
    return f"trial {number} of {name}"


def said(former: Former, starts: Sequence[Start]) -> str:
    """What of a former search counts, in words.

    Args:
        starts: What the search tries first, other recipes too.
    """
    sources = {source_of(former.source, number) for number in former.params}
    first = sum(start.source in sources for start in starts)
    few = "" if former.can_forecast else "; too few scored to say what is good beside them"
    return (
        f"{len(former.params)} of {former.of} trials of {former.source} that scored or diverged are in this "
        f"space; {first} of them {'is' if first == 1 else 'are'} tried first{few}"
    )


def store_formers(folder: SearchFolder, formers: Sequence[Former]) -> None:
    """Copies what counts of former searches into the folder of the search that learns from it."""
    if formers:
        folder.write_json(folder.former_file, [asdict(former) for former in formers])


def stored_formers(folder: SearchFolder, own_networks: Sequence[str]) -> tuple[Former, ...]:
    """What `store_formers` wrote for the search in a folder.

    Raises:
        FolderError: The file is missing or damaged.
    """
    if not folder.settings().warm_start:
        return ()
    stored = folder.read_json(folder.former_file)
    space = load_space(folder.space_file, extra_models=own_networks)
    try:
        found = _FORMERS.validate_python(stored)
        for former in found:
            _check(former, space)
    except (AttributeError, TypeError, ValueError) as fault:
        raise FolderError(
            f"{folder.former_file} does not hold what counts of former searches: {fault}"
        ) from fault
    return found


def _check(former: Former, space: Space) -> None:
    """Makes sure that a policy over a space can learn from it; else ValueError."""
    if former.max_passes < 1:
        raise ValueError(f"a length of {former.max_passes} passes")
    Rungs(former.max_passes, reduction=former.reduction)
    for params in former.params.values():
        space.drawn(params)
    if unknown := {trial for trial, _, _ in former.reports} - former.params.keys():
        raise ValueError(f"reports of trials that it does not have: {sorted(unknown)}")
