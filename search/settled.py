"""A finished search of which nothing more is asked: a resume says so, and starts no Ray."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from search.rematch.runs import contenders
from search.settings.allowance import EndedBy, lacked_recipes, span
from search.settings.settings import Settings
from search.storage.folder import SearchFolder, State
from search.storage.scratch import sweep
from search.text import count
from search.trials.trials import TrialRecord

WHERE = {
    *("ray", "concurrency", "workers_per_trial", "cpus_per_trial", "gpus_per_trial", "pack"),
    *("resources", "timeout_min", "cache_dir", "cache_gb"),
}
"""Settings that say where and how fast trials run: where only these are others, there is no more to do."""
LIMITS = {"trials", "epochs_total", "time", "gpu_hours", "cost", "price", "patience"}


def is_settled(folder: SearchFolder, settings: Settings) -> bool:
    """Whether a search is finished, and a resume with these settings asks for nothing that it has not done.

    A rematch that has come to nothing, or a study that is gone, is something to do.
    """
    before = folder.settings()
    others = WHERE | LIMITS
    return (
        folder.state is State.FINISHED
        and settings.model_dump(exclude=others) == before.model_dump(exclude=others)
        and settings.allowance == before.allowance
        and folder.study_file.exists()
        and (folder.rematch_file.exists() or not _plays(folder, settings))
    )


def _plays(folder: SearchFolder, settings: Settings) -> bool:
    return bool(contenders(folder.records().all(), settings.scored_by, settings.rematch))


def leave(folder: SearchFolder, console: Console, *, write: bool) -> TrialRecord | None:
    """Says of such a search what it came to and how to add trials.

    Args:
        write: Whether leaderboard, table and the winner's config are written anew, and what a driver has left
            that was killed at its very end is deleted. The folder must be held then.

    Returns:
        The winner, if any trial has a score.
    """
    from search.console.progress import main_settings  # only now: the page's libraries take seconds
    from search.report.facts import summary
    from search.results import view, winner_of, write_results

    settings, best = folder.settings(), winner_of(folder)
    if write:
        sweep()
        folder.sweep()
        write_results(folder, State.FINISHED, ended_by=folder.ended_by)
    console.print(f"{escape(str(folder.path))} is finished: {escape(_ended(folder))}. Nothing is left to do.")
    if best is not None:
        metric = settings.scored_by
        console.print(
            f"Winner: trial {best.number}, {metric.title} {best.score(metric):.4f} in the search "
            f"({escape(main_settings(best))})"
        )
    for command in summary(view(folder, State.FINISHED)).commands:
        console.print(f"{command.purpose}:  {escape(command.line)}")
    console.print(f"Leaderboard:  {escape(str(folder.page_file))}")
    return best


def _ended(folder: SearchFolder) -> str:
    """How far a finished search came, and what ended it."""
    allowed, records, end = folder.settings().allowance, folder.records(), folder.ended_by
    said = f"{count(len(records.trials), 'trial')} in {span(records.elapsed_s)}"
    if lacked_recipes(end, len(records.trials), allowed.trials):
        return f"{said}; hardly any other recipe of its space is new and within its limits"
    if end is EndedBy.FAILURES:
        return f"{said}; too many in a row failed"
    end = end or EndedBy.TRIALS
    return f"{said}, ended by {end.option} ({allowed.limits[end]})"
