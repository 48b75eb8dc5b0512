"""What a search leaves behind: leaderboard, table, study, the winner's config, and last the manifest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from search.policy.sampler import Sampler, write_study
from search.rematch.conclusion import concluded
from search.rematch.runs import runs_due
from search.report.facts import SearchView
from search.report.page import write_leaderboard
from search.settings.allowance import EndedBy
from search.storage.folder import EXPLAINED, METRICS_FILE, SearchFolder, State, readable
from search.storage.readings import count_readings
from search.text import count
from search.trials.records import read
from search.trials.trials import Metric, Outcome, TrialRecord, ranked
from spaces.recipe import Recipe
from spaces.recipe_files import Split, TrialConfig


@dataclass(frozen=True)
class Finished:
    """What a search came to."""

    folder: Path
    state: State
    """FINISHED, or INTERRUPTED."""
    best: TrialRecord | None
    """The winner; None when no trial has a score."""


def view(
    folder: SearchFolder, state: State, ended_by: EndedBy | None = None, *, every_s: float = 0.0
) -> SearchView:
    """A search as its page shows it, from its folder alone.

    Args:
        ended_by: What is going to be in the manifest, as long as there is none.
        every_s: How often the page is written while the search runs; 0: just once.
    """
    settings, records, stored = folder.settings(), folder.records(), folder.read_json(folder.settings_file)
    data, metrics = folder.read_json(folder.data_file), folder.model / METRICS_FILE
    formers, ran_on, rematch = folder.former_file, folder.environment_file, read(folder.rematch_records_file)
    allowance, looked = settings.allowance, folder.model / EXPLAINED / "explained.json"
    return SearchView(
        name=settings.name,
        metric=settings.scored_by,
        rematch=concluded(folder),
        objectives=settings.all_objectives if settings.objectives else None,
        records=records.all(),
        settings=settings.model_dump(mode="json", exclude={"cache_dir"}) | {"trials": allowance.trials},
        state=str(state),
        elapsed_s=records.elapsed_s + rematch.elapsed_s,
        data=data,
        sessions=records.sessions,
        model=folder.read_json(metrics) if metrics.exists() else {},
        explained=folder.read_json(looked) if looked.exists() else {},
        images={file.name: file.read_bytes() for file in _pictures(looked.parent)},
        test_readings=count_readings(folder),
        limits=allowance.limits,
        ended_by=folder.ended_by or ended_by,
        space=stored.get("space") or {},
        starts=[start["source"] for start in stored.get("starts", ())],
        formers=folder.read_json(formers) if formers.exists() else (),
        environment=folder.read_json(ran_on) if ran_on.exists() else {},
        rematch_runs=runs_due(rematch),
        rematch_s=rematch.elapsed_s,
        read=time.time(),
        every_s=every_s,
    )


def _pictures(folder: Path) -> list[Path]:
    """The small pictures in it, never by a link: the page would show what it leads to."""
    return sorted(file for file in folder.glob("*.webp") if file.is_file() and not file.is_symlink())


def write_page(
    folder: SearchFolder, state: State, ended_by: EndedBy | None = None, *, every_s: float = 0.0
) -> Path:
    """Builds leaderboard.html and leaderboard.csv from the records, at any time; for arguments see `view`.

    Raises:
        InputError: A file of the folder is damaged.
        OSError: The page cannot be written.
    """
    with readable(folder.path):
        shown = view(folder, state, ended_by, every_s=every_s)
        return write_leaderboard(folder.path, shown)


def winner(records: list[TrialRecord], metric: Metric) -> TrialRecord | None:
    """The best trial, or None when no trial has a score."""
    best = ranked(records, metric)[:1]
    return best[0] if best and best[0].score(metric) is not None else None


def winner_of(folder: SearchFolder) -> TrialRecord | None:
    """What a retrain trains: the winner of the rematch, or without one the best by its score.

    Raises:
        FolderError: What the rematch came to is damaged.
    """
    settings, records, found = folder.settings(), folder.records(), concluded(folder)
    if found is not None and found.verdict.winner in records.trials:
        return records.trials[found.verdict.winner]
    return winner(records.all(), settings.scored_by)


def config_of(record: TrialRecord) -> TrialConfig:
    """What a retrain repeats of a trial: its recipe and length, and what was decided on the way.

    A complete trial's own end, by its patience or at the epoch whose weights it kept, is repeated; one that
    was cut short is retrained at its full length. The drops of its plateau schedule are repeated, and the
    last one stays in force.
    """
    recipe = Recipe.model_validate(record.trial.recipe)
    scales = [epoch.metrics["lr_scale"] for epoch in record.history]
    if record.outcome is Outcome.COMPLETE:
        scales = scales[: record.kept().epoch]
    elif recipe.schedule.name == "plateau":
        scales += scales[-1:] * (record.trial.epochs - len(scales))
    else:
        scales = []
    return TrialConfig(
        recipe=recipe,
        epochs=record.trial.epochs,
        seed=record.trial.seed,
        lr_scales=tuple(scales) or None,
    )


def write_results(
    folder: SearchFolder,
    state: State,
    *,
    sampler: Sampler | None = None,
    ended_by: EndedBy | None = None,
) -> TrialRecord | None:
    """Writes everything that is derived from the records; the manifest comes last.

    Args:
        sampler: None where nothing was sampled: there is no study then.
        ended_by: Why a finished search began no further trial.

    Returns:
        The winner, if any trial has a score.
    """
    settings, records = folder.settings(), folder.records().all()
    metric = settings.scored_by
    best = winner_of(folder)
    if best is not None:
        score = best.score(metric)
        split = folder.read_json(folder.settings_file).get("split")
        config = config_of(best).model_copy(update={"split": Split.model_validate(split) if split else None})
        about = f" It has {settings.all_objectives.said(best)}." if settings.objectives else ""
        config.save(
            folder.best_file,
            f"The best trial of search {settings.name}: trial {best.number}, {metric.title} {score:.4f} "
            f"after {best.epochs_done} of {count(best.trial.epochs, 'epoch')}.{about}\n"
            f"Train it for real: python -m search.retrain {folder.path}",
        )
    if sampler is not None:
        write_study(folder.study_file, settings.name, sampler, records)
    manifest = {
        "state": str(state),
        "written": time.time(),
        "trials": len(records),
        "best_trial": None if best is None else best.number,
        "best_score": None if best is None else best.score(metric),
        "metric": metric.name,
        "ended_by": ended_by,
    }
    write_page(folder, state, ended_by)
    folder.write_json(folder.manifest_file, manifest)
    return best
