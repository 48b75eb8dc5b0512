"""The stopping rule: successive halving by scores, and by forecasts of where trials will end."""

from __future__ import annotations

import math

from search.policy.asha import Asha, Decision
from search.policy.forecaster import Forecaster, Forecasts
from search.policy.rungs import Rungs


class ForecastRule:
    """ASHA that lets those go on, too, of whom the model expects much.

    A trial that comes to a rung goes on when it is among the best `1 / reduction` of those that it is
    compared with, by what they score there (`Asha`), or among the best `1 / reduction**(r * r)` by what each
    is expected to score at full length from all that is known by then. Here r is the correlation of scores at
    the rung with those at full length, as far as it has been learnt: the less a rung says, the fewer it
    stops. So what learns fast and what learns late, a backbone that is frozen and one that is not, have their
    chance at every rung, and where the model is wrong it stops nobody. By forecasts, too, branches of the
    space are compared within themselves at the lowest rungs, where there are enough of one, and what is the
    best of all goes on.

    As long as too little is known for forecasts, and for recipes outside of the space, scores decide alone.
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
        if self._asha.decide(trial) is Decision.CONTINUE:
            return Decision.CONTINUE
        latest = self.reached.latest(trial)
        own = latest.entries[-1]
        if not math.isfinite(own.gain):
            return Decision.STOP
        if own.level == len(self._asha.rungs):
            return Decision.CONTINUE
        known = self._forecaster.forecasts(until=latest.until)
        if known is None or trial not in known.ranked:
            return Decision.STOP
        return self._by_forecasts(known, known.ranked.index(trial), own.level)

    def _by_forecasts(self, known: Forecasts, own: int, level: int) -> Decision:
        reduction = self.reached.reduction
        here = known.reached > level
        kin = here & (known.branch == known.branch[own])
        peers = kin if self._asha.among_kin(level) and kin.sum() >= reduction else here
        not_worse = known.final >= known.final[own]
        rank, compared = known.weight[peers & not_worse].sum(), known.weight[peers].sum()
        share = reduction ** -(known.model.foretold()[level] ** 2)
        best_of_all = (here & not_worse).sum() == 1
        goes_on = best_of_all or rank <= share * compared
        return Decision.CONTINUE if goes_on else Decision.STOP
