"""What the rematch says of its contenders."""

from __future__ import annotations

from typing import NamedTuple

from search import text
from search.rematch.verdict import Standing
from search.report.facts.settings import family
from search.report.facts.view import SearchView
from search.statistics.intervals import Interval
from search.trials.trials import METRICS, Metric

BY_PREFERENCE = {
    "cost": "whose epochs are the shortest",
    "latency": "which answers the quickest",
}


class Contender(NamedTuple):
    """A trial that was trained again."""

    trial: int
    family: str
    place: str
    """`winner`, `tied` with it, or `behind`; empty where that is not known."""
    scores: tuple[float, ...]
    """One a seed."""
    mean: float
    interval: Interval | None
    """95%, of the true score."""
    spread: float | None
    """Standard deviation over seeds."""
    search_score: float
    flattered: float
    """By how much the search's score was better than the mean."""
    behind: float
    """By how much it is worse than the best mean."""
    behind_interval: Interval | None
    parameters: int
    latency_ms: float
    epoch_s: float


class Rematch(NamedTuple):
    """A rematch."""

    metric: Metric
    contenders: list[Contender]
    """From best to worst."""
    sentences: list[str]

    @property
    def winner(self) -> Contender:
        """Who won, by score or by preference among the tied."""
        return next(one for one in self.contenders if one.place == "winner")


def rematch(view: SearchView) -> Rematch | None:
    """The rematch of a search; None where there has been none."""
    if view.rematch is None:
        return None
    verdict, costs = view.rematch.verdict, view.rematch.costs
    metric = METRICS[verdict.metric]
    families = {record.number: family(record) for record in view.records}
    contenders = [
        Contender(
            standing.trial,
            families[standing.trial],
            _place(standing, verdict.winner),
            standing.scores,
            standing.mean,
            standing.interval,
            standing.spread,
            standing.search_score,
            standing.flattered,
            standing.behind,
            standing.behind_interval,
            costs[standing.trial].parameters,
            costs[standing.trial].latency_ms,
            costs[standing.trial].epoch_s,
        )
        for standing in verdict.standings
    ]
    told = (_played(contenders, verdict.pictures), _won(view, contenders), _promised(contenders, metric))
    left_out = [f"Trial {trial} is not compared: {why}." for trial, why in view.rematch.left_out.items()]
    return Rematch(metric, contenders, [*(sentence for sentence in told if sentence), *left_out])


def _place(standing: Standing, winner: int) -> str:
    if standing.trial == winner:
        return "winner"
    return "" if standing.tied is None else "tied" if standing.tied else "behind"


def _played(contenders: list[Contender], pictures: int) -> str:
    runs = {len(one.scores) for one in contenders}
    often = text.count(max(runs), "time")
    if len(contenders) > 1:
        which = f"best {text.count(len(contenders), 'trial')} were"
        often = f"{often} each" if len(runs) == 1 else f"up to {often} each"
    else:
        which = "best trial was"
    return (
        f"The {which} trained again from scratch, {often} with fresh seeds, and then asked about "
        f"{text.count(pictures, 'picture')} that no trial had seen."
    )


def _won(view: SearchView, contenders: list[Contender]) -> str:
    assert view.rematch is not None
    winner = next(one for one in contenders if one.place == "winner")
    tied = sorted(one.trial for one in contenders if one.place in ("winner", "tied"))
    if len(contenders) == 1 or winner.interval is None:
        return ""
    if len(tied) == 1:
        return f"Trial {winner.trial} is the best of them, with 95% confidence."
    apart = f"Trials {text.listed(tied)} cannot be told apart with 95% confidence"
    if view.rematch.verdict.won_by == "cost":
        return f"{apart}; of these trial {winner.trial} wins, {BY_PREFERENCE[view.rematch.prefer]}."
    return f"{apart}; of these trial {winner.trial} has the best mean."


def _promised(contenders: list[Contender], metric: Metric) -> str:
    """The winner's curse."""
    first = max(contenders, key=lambda one: metric.gain(one.search_score))
    promised, came = (text.score(score, metric.name) for score in (first.search_score, first.mean))
    if len(contenders) == 1:
        return f"In the search it had {promised}; its fresh runs come to {came}."
    flattered = sum(one.flattered for one in contenders) / len(contenders)
    by = text.difference(abs(flattered), metric.name)
    how = "better" if flattered > 0 else "worse"
    return (
        f"The search had trial {first.trial} first, with {promised}; its fresh runs come to {came}. "
        f"On average the search's scores of these trials were {by} {how} than the fresh ones."
    )
