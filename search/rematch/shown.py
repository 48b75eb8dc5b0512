"""What a running rematch shows in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console

from search.console.live import LiveLine
from search.console.progress import ended
from search.rematch.conclusion import Conclusion
from search.rematch.runs import Rematch
from search.text import count
from search.trials.trials import METRICS, Metric


def announcement(rematch: Rematch, pictures: int) -> str:
    """What is going to be run, and what for.

    Args:
        pictures: Of the selection part.
    """
    numbers = ", ".join(str(contender.number) for contender in rematch.contenders)
    several = len(rematch.contenders) > 1
    which = f"the best {len(rematch.contenders)} trials ({numbers})" if several else f"trial {numbers}"
    return (
        f"Rematch: {which}, from scratch with {rematch.seeds} fresh seeds each; then asked for the "
        f"{count(pictures, 'picture')} of the selection part, which nothing has looked at before. While they "
        "run, their scores are of the validation part."
    )


def outcome(conclusion: Conclusion) -> Iterator[str]:
    """What the rematch came to, in lines."""
    verdict = conclusion.verdict
    metric = METRICS[verdict.metric].quantity
    for standing in verdict.standings:
        place = "wins" if standing.trial == verdict.winner else "is tied" if standing.tied else "is behind"
        interval = standing.interval
        sure = f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
        yield (
            f"trial {standing.trial:>3} {place}: {metric} {standing.mean:.4f}{sure} on the selection part, "
            f"{count(len(standing.scores), 'seed')}; the search had {standing.search_score:.4f}"
        )
    for trial, why in conclusion.left_out.items():
        yield f"trial {trial:>3} is not compared: {why}"


def progress(rematch: Rematch, metric: Metric, console: Console) -> LiveLine:
    """Follows the runs; their scores are those of the validation part."""
    told = {run.number for run in rematch.records if run.outcome}

    def news() -> Iterator[str]:
        for run in rematch.records:
            if run.outcome and run.number not in told:
                told.add(run.number)
                trial = replace(run.trial, number=int(run.trial.source), source="")
                yield f"rematch of {ended(replace(run, trial=trial), metric)}"

    def line() -> str:
        due, lacking = rematch.due, len(rematch.lacking())
        done = sum(run.outcome is not None for run in due)
        epochs = [f"epoch {run.epochs_done} of {run.trial.epochs}" for run in due if run.outcome is None]
        running = f" | {len(epochs)} running ({', '.join(epochs)})" if epochs else ""
        return f"rematch: {done} of {count(len(due) + lacking, 'run')} done{running}"

    return LiveLine(console, news=news, line=line)
