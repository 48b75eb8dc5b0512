"""The stopping rule by forecasts: successive halving in which trials are ranked by where they will end."""

from __future__ import annotations

import math

from search.policy.asha import Asha, Decision
from search.policy.forecaster import Forecaster, Forecasts
from search.policy.rungs import Rungs

AMONG_THEMSELVES = 2
"""At so many rungs, the lowest ones, trials are compared within their branch."""


class ForecastRule:
    """ASHA by forecasts.

    A trial that comes to a rung goes on when it is among the best `1/reduction` of those that came to it, as
    in ASHA, but by what each is expected to score at full length from all that is known by then. So what
    learns fast and what learns late, a backbone that is frozen and one that is not, are compared by the same
    thing at every rung. Still, what a family of networks gains late is not known before some of it have come
    so far, so at the lowest rungs each branch of the space is compared within itself, as soon as there are
    `reduction` of it, and whatever is the best of all goes on. From then on all are compared with all.

    As long as too little is known for forecasts, and for recipes outside of the space, scores are compared
    (`Asha`).
    """

    def __init__(self, asha: Asha, forecaster: Forecaster) -> None:
        self._asha, self._forecaster = asha, forecaster

    @property
    def reached(self) -> Rungs:
        """The rungs."""
        return self._asha.reached

    def enter(self, trial: int, passes: float, gain: float) -> None:
        """Takes a report in; see `Rungs.enter`."""
        self._asha.enter(trial, passes, gain)

    def decide(self, trial: int) -> Decision:
        """On a trial's latest report; one whose score is not finite stops at once."""
        latest = self.reached.latest(trial)
        if not latest.entries:
            return Decision.CONTINUE
        own = latest.entries[-1]
        if not math.isfinite(own.gain):
            return Decision.STOP
        if own.level == len(self._asha.rungs):
            return Decision.CONTINUE
        known = self._forecaster.forecasts(until=latest.until)
        if known is None or trial not in known.ranked:
            return self._asha.decide(trial)
        return self._by_forecasts(known, known.ranked.index(trial), own.level)

    def _by_forecasts(self, known: Forecasts, own: int, level: int) -> Decision:
        here = known.reached > level
        kin = here & (known.branch == known.branch[own])
        enough = known.weight[kin].sum() >= self._asha.reduction
        peers = kin if level < AMONG_THEMSELVES and enough else here
        not_worse = known.final >= known.final[own]
        rank, allowed = known.weight[peers & not_worse].sum(), known.weight[peers].sum()
        best_of_all = (here & not_worse).sum() == 1
        goes_on = best_of_all or rank <= allowed // self._asha.reduction
        return Decision.CONTINUE if goes_on else Decision.STOP
