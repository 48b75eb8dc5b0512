"""Which figures stand on the page, and where."""

from __future__ import annotations

import shlex

from search.report import contest, facts, figures, front, ladder, parallel, style, tested, timeline
from search.report.charts import Chart, Charts
from search.report.facts import SearchView

MOST_SLICES = 9
"""Settings that get a figure of their own: the most important ones."""
MOST_AXES = 11
"""Settings in the parallel coordinates."""
COMPARED = 3
"""Trials whose training and validation curves are drawn against each other."""
FEWEST_FOR_PARALLEL = 2
AXIS_PX = 92
"""Width of one parallel axis with its labels."""
CLASS_PX = 14
"""The least width of a column of the confusion matrix."""


class Sections:
    """The figures of a page; a section without anything to show is empty or None.

    Args:
        palette: A colour a family.
        leader: The trial at the top of the table, None without one.
    """

    def __init__(self, view: SearchView, palette: dict[str, str], leader: int | None) -> None:
        self._view, self._palette, self._leader = view, palette, leader
        self.charts = Charts()
        self._drawn = facts.drawn_trials(view)
        self.importances = facts.importances(view)
        self.judged_from = facts.MIN_TRIALS
        self.data = facts.data_facts(view)
        self.part_colours = style.part_colours(self.data.parts) if self.data else {}
        self.objectives = facts.objectives_of(view)
        self.candidates = [] if view.alone else facts.candidates(view)
        self.front = [candidate for candidate in self.candidates if candidate.on_front]
        self.rematch = facts.rematch(view)
        self.runs = facts.rematch_runs(view)
        self.method = facts.method(view)
        self.contest = self._contest()
        self.model = facts.model(view)
        self.explained = facts.explained(view)
        self.confusion, self.reliability = self._tested()
        settings = self._by_importance()
        self.tradeoffs = self._tradeoffs()
        self.curves = self._curves()
        self.slices = self._slices(settings)
        self.parallel = self._parallel(settings)
        self.importance = self._importance()
        self.best = self._best()
        self.stints = facts.stints(view)
        self.places = facts.places(self.stints)
        self.timeline_from = ""
        self.timeline = self._timeline()
        self.arrivals = facts.arrivals(view)
        self.fates = facts.fates(self.arrivals)
        self.fate_marks = ladder.MARKS
        self.ladder = self._ladder()
        self.pictures = self._pictures()

    @property
    def thinned(self) -> str:
        """What figures leave out; empty where they show all trials."""
        all_trials, drawn = len(self._view.records), len(self._drawn)
        if drawn == all_trials:
            return ""
        return (
            f"Figures draw {drawn:,} of the {all_trials:,} trials: the best {facts.BEST_DRAWN:,}, and of the "
            "others an even sample of their ranks. The table has all trials, and all numbers are of all."
        )

    def _by_importance(self) -> list[facts.Setting]:
        """The settings that took more than one value, the most important first."""
        places = {item.path: place for place, item in enumerate(self.importances)}
        found = [setting.among(self._drawn) for setting in facts.settings_against_score(self._view)]
        settings = [setting for setting in found if len(set(map(str, setting.values))) > 1]
        return sorted(settings, key=lambda setting: places.get(setting.path, len(places)))

    @property
    def retrain_one(self) -> str:
        """The command that trains another trial of the front than the leader, where there is one."""
        trial = next((item.trial for item in self.front if item.trial != self._leader), self._leader)
        return f"python -m search.retrain {shlex.quote(f'results/{self._view.name}')} --trial {trial}"

    def _contest(self) -> Chart | None:
        if self.rematch is None:
            return None
        return self.charts.add("rematch", "", contest.contest(self.rematch, self._palette))

    def _tested(self) -> tuple[Chart | None, Chart | None]:
        if self.model is None:
            return None, None
        width = CLASS_PX * len(self.model.classes)
        return (
            self.charts.add("confusion", "", tested.confusion(self.model), width=width),
            self.charts.add("reliability", "", tested.reliability(self.model)) if self.model.bins else None,
        )

    def _tradeoffs(self) -> list[Chart]:
        shown = [one for one in self.candidates if one.on_front or one.trial in self._drawn]
        return [
            self.charts.add(
                f"front-{cost.name}",
                cost.title,
                front.front(shown, cost, self.objectives, self._palette, self._leader),
            )
            for cost in self.objectives.costs
            if self.candidates
        ]

    def _curves(self) -> list[Chart]:
        metric = self._view.metric
        plain = self._view.objectives.metric if self._view.objectives else metric
        shown = {metric.name: metric.title, plain.name: plain.title}
        shown |= {"val_loss": "validation loss", "train_loss": "training loss"}
        parts = {"loss": "loss", "accuracy": "accuracy"}
        needed = [*shown, *(f"{side}_{part}" for part in parts for side in ("train", "val"))]
        found = [c for c in facts.learning_curves(self._view, needed) if c.trial in self._drawn]
        rungs = facts.levels(self._view)
        charts = [
            self.charts.add(
                f"curves-{name}",
                title,
                figures.curves(found, name, title, self._palette, self._leader, rungs),
            )
            for name, title in shown.items()
            if found and not self._view.alone
        ]
        best = [curve for curve in found if len(curve.passes) > 1][:COMPARED]
        if best:
            which = "" if self._view.alone else f"best {len(best)}: " if len(best) > 1 else "best: "
            for part, title in parts.items():
                figure = figures.train_against_validation(best, part, title, self._palette)
                charts.append(self.charts.add(f"best-{part}", f"{which}{title}", figure))
        return charts

    def _slices(self, settings: list[facts.Setting]) -> list[Chart]:
        shown = settings[:MOST_SLICES]
        scores = [score for setting in shown for score in setting.scores]
        drawn = [figures.slice_of(s, self._view.metric, self._palette, scores) for s in shown]
        return [self.charts.add(f"slice-{i}", s.path, drawn[i]) for i, s in enumerate(shown)]

    def _parallel(self, settings: list[facts.Setting]) -> Chart | None:
        trials = {trial for setting in settings for trial in setting.trials}
        if len(trials) < FEWEST_FOR_PARALLEL:
            return None
        family_first = sorted(settings[:MOST_AXES], key=lambda setting: setting.path != facts.FAMILY)
        figure = parallel.parallel_coordinates(family_first, self._view.metric, self._palette)
        return self.charts.add("parallel", "", figure, width=AXIS_PX * (len(family_first) + 1))

    def _importance(self) -> Chart | None:
        if not any(item.share is not None for item in self.importances):
            return None
        return self.charts.add("importance", "", figures.importance(self.importances))

    def _best(self) -> Chart | None:
        if self._view.alone:  # there is nothing to be better than
            return None
        found = facts.best_to_draw(facts.best_over_time(self._view), self._drawn)
        figure = figures.best_over_time(found, self._view.metric, self._palette)
        return self.charts.add("best", "", figure) if found else None

    def _timeline(self) -> Chart | None:
        if self._view.alone or not self.stints:
            return None
        starts = sorted(stint.start_s for stint in self.stints)[-facts.MOST_DRAWN :]
        shown = [stint for stint in self.stints if stint.start_s >= starts[0]]
        if len(shown) == len(self.stints):
            return self.charts.add("timeline", "", timeline.timeline(shown, self._palette))
        self.timeline_from = f" The last {len(shown):,} of {len(self.stints):,} bars are drawn."
        return self.charts.add("timeline", "", timeline.timeline(shown, self._palette, starts[0]))

    def _ladder(self) -> Chart | None:
        shown = [arrival for arrival in self.arrivals if arrival.trial in self._drawn]
        if not shown:
            return None
        return self.charts.add("ladder", "", ladder.ladder(shown, self._view.metric, self._palette))

    def _pictures(self) -> Chart | None:
        if self.data is None:
            return None
        return self.charts.add("pictures", "", figures.pictures(self.data, self.part_colours))
