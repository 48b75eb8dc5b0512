"""What the trials of a search scored, all of them: a good best one may be luck, a good lot is none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from search.compare.entry import Entry
from search.report.facts import outcome_name
from search.report.facts.drawn import even_sample
from search.trials.trials import ranked


class Scores(NamedTuple):
    """The trials of a search that have a score, the best first; all lists run over the same trials."""

    number: int
    """Of the search."""
    trials: list[int]
    scores: list[float]
    outcomes: list[str]
    quartiles: tuple[float, float, float] | None
    """The scores below which a quarter, a half and three quarters of them lie; None without any."""

    def thinned(self, most: int) -> Scores:
        """The same quartiles, and so many of the trials, at even distances in their ranking."""
        places = list(range(len(self.trials)))
        kept = even_sample(places, most) if len(places) > most else places
        return self._replace(
            trials=[self.trials[place] for place in kept],
            scores=[self.scores[place] for place in kept],
            outcomes=[self.outcomes[place] for place in kept],
        )


def scores(entry: Entry) -> Scores:
    """By the metric without costs, of the weights that each trial came out with; stopped trials too."""
    scored = [
        (record, score)
        for record in ranked(entry.view.records, entry.metric)
        if (score := record.score(entry.metric)) is not None
    ]
    values = [score for _, score in scored]
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)) if values else (0.0, 0.0, 0.0)
    return Scores(
        entry.number,
        [record.number for record, _ in scored],
        values,
        [outcome_name(record, entry.view.state) for record, _ in scored],
        (float(low), float(middle), float(high)) if values else None,
    )
