"""What stands on the page, made from the searches; figures are drawn of those alone that compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from search.compare import differing, lines, strips
from search.compare.cohorts import Cohort
from search.compare.differing import SideBySide
from search.compare.entry import Entry
from search.compare.match import Match, match_of
from search.compare.overview import Row, overview
from search.compare.progress import progress
from search.compare.scores import scores
from search.compare.told import Said, said
from search.report import facts
from search.report.charts import Chart, Charts
from search.report.facts import Curve
from search.report.facts.rematch import Contender
from search.trials.trials import METRICS, Metric

MOST_MARKS = 3000
"""Trials in a figure, all searches together: a browser draws these at once."""


class Shown(NamedTuple):
    """A cohort on the page."""

    place: int
    """From 1."""
    metric: Metric
    rows: list[Row]
    compares: bool
    differs: list[str]
    said: Said
    match: Match | None
    marked: frozenset[int]
    """Searches that were after something else than most of the cohort."""
    winners: dict[int, Contender]
    """By search, what its winner came to with fresh seeds."""
    best: list[Chart]
    scores: Chart | None
    thinned: bool
    """Whether that leaves out trials."""
    curves: list[Chart]
    contest: Chart | None


class Columns(NamedTuple):
    """Searches side by side in a table."""

    rows: list[Row]
    values: SideBySide


class Sections:
    """The page's contents."""

    def __init__(self, found: Sequence[Cohort]) -> None:
        self.charts = Charts()
        self.cohorts = [self._shown(place, cohort) for place, cohort in enumerate(found, start=1)]
        entries = [entry for cohort in found for entry in cohort.entries]
        self.places = {entry.number: entry.path for entry in entries}
        won = [entry for entry in entries if entry.winner is not None]
        self.recipes = Columns([overview(entry) for entry in won], differing.recipes(won)) if won else None
        self.settings = Columns([overview(entry) for entry in entries], differing.settings(entries))

    @property
    def rows(self) -> list[Row]:
        """All searches."""
        return [row for cohort in self.cohorts for row in cohort.rows]

    def _shown(self, place: int, cohort: Cohort) -> Shown:
        match, unread = match_of(cohort)
        drawn = cohort.entries if cohort.compares else []
        metric = cohort.entries[0].metric
        steered = [entry.steered_by for entry in cohort.entries]
        usual = max(steered, key=steered.count)
        marked = frozenset(entry.number for entry in cohort.entries if entry.steered_by != usual)
        names = {entry.number: entry.name + " *" * (entry.number in marked) for entry in drawn}
        played = {entry.number: again.winner for entry in drawn if (again := facts.rematch(entry.view))}
        known = [scores(entry) for entry in drawn]
        most = MOST_MARKS // max(1, len(known))
        return Shown(
            place=place,
            metric=metric,
            rows=[overview(entry) for entry in cohort.entries],
            compares=cohort.compares,
            differs=cohort.differs,
            said=said(cohort, match, unread),
            match=match,
            marked=marked,
            winners=played,
            best=self._best(place, drawn, metric, names),
            scores=self.charts.add(
                f"scores-{place}",
                "",
                strips.all_scores([one.thinned(most) for one in known], metric, names),
            )
            if any(one.quartiles for one in known)
            else None,
            thinned=any(len(one.trials) > most for one in known),
            curves=self._curves(place, drawn, metric, names),
            contest=self.charts.add(f"winners-{place}", "", strips.winners(played, metric, names))
            if played
            else None,
        )

    def _best(
        self, place: int, entries: Sequence[Entry], metric: Metric, names: dict[int, str]
    ) -> list[Chart]:
        found = [progress(entry) for entry in entries]
        if not any(one.steps for one in found):
            return []
        against_time = lines.best_against_time(found, metric, names)
        against_passes = lines.best_against_passes(found, metric, names)
        return [
            self.charts.add(f"best-{place}-time", "against time", against_time),
            self.charts.add(f"best-{place}-passes", "against passes", against_passes),
        ]

    def _curves(
        self, place: int, entries: Sequence[Entry], metric: Metric, names: dict[int, str]
    ) -> list[Chart]:
        found = {entry.number: curve for entry in entries if (curve := _curve(entry, metric))}
        shown = {one.name: one for one in (metric, METRICS["val_loss"])}.values() if found else ()
        return [
            self.charts.add(f"curves-{place}-{one.name}", one.title, lines.learning_curves(found, one, names))
            for one in shown
        ]


def _curve(entry: Entry, metric: Metric) -> Curve | None:
    """The winner's learning curve."""
    if entry.winner is None:
        return None
    curves = facts.learning_curves(entry.view, [metric.name, "val_loss"])
    return next((curve for curve in curves if curve.trial == entry.winner.number), None)
