"""What a search may still do within its allowance: whether a trial may begin, or go on to another epoch.

All of it follows from the records and a clock, so that a resumed search goes on counting where the last one
ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search import text
from search.settings.allowance import Allowance, EndedBy, span
from search.trials.accounts import Accounts, After, next_s
from search.trials.trials import TrialRecord

UNMEASURED_SHARE = 0.1
"""Of a limit, what is kept back for the retrain as long as nothing is measured."""
MOST_SHARE = 0.5
"""Of a limit, what is kept back at most: without a search there is nothing to retrain."""
REMATCH_SHARE = 0.25
"""Of a limit, what is kept back for the rematch at most: where its runs take longer, there are fewer."""
FEWEST_ENDED = 3
"""Trials that must have ended before others are expected to be as long."""
MOST_FAILURES = 16
"""Trials in a row that may fail where their number has no limit: those that fail at once use nothing up."""
CHANGE = 0.2
"""An estimate that differs by more than this share is worth telling again."""


@dataclass(frozen=True)
class Estimate:
    """What a search is expected to come to."""

    trials: int | None
    """None as long as too few have ended to tell."""
    passes: float
    time_s: float
    after_s: float | None = None
    """Of what follows it. None where no limit has to pay for that."""
    kept_back_s: float = math.inf
    """For that, where it is all that a limit allows for it."""
    after: str = "the retrain"
    """In words."""

    def __str__(self) -> str:
        trials = "" if self.trials is None else f"{text.count(self.trials, 'trial')}, "
        kept = ""
        if self.after_s is not None:
            kept = f"; {span(min(self.after_s, self.kept_back_s))} kept back for {self.after}"
            kept += f", in place of {span(self.after_s)}" if self.kept_back_s < self.after_s else ""
        return f"about {trials}{text.count(round(self.passes), 'epoch')} in {span(self.time_s)}{kept}"

    def differs(self, told: Estimate) -> bool:
        """Whether it is worth telling after another one."""
        pairs = [(self.passes, told.passes), (self.time_s, told.time_s)]
        if self.trials is not None:
            pairs.append((self.trials, told.trials or 0))
        return any(abs(now - before) > CHANGE * before for now, before in pairs)


class Budget:
    """Lets trials begin and go on, as long as their next epochs are within the allowance.

    An epoch that is being trained is promised: finishing what was begun exceeds no limit on epochs. An epoch
    that would end after the time is up, by the seconds that the trial's own took so far, is not begun; the
    first epoch of a trial, of which nothing is known, may last longer. GPU hours go by both rules.

    Args:
        nodes: Of the cluster at the start, taken for former sessions too: a node's price is paid for each.
    """

    def __init__(self, accounts: Accounts, allowance: Allowance, *, nodes: int = 1) -> None:
        self.allowance, self._accounts = allowance, accounts
        self._nodes = [(0.0, nodes)]
        """How many there are, from when on: seconds of the search."""

    def has_nodes(self, nodes: int) -> None:
        """The cluster has so many nodes from now on."""
        self._nodes.append((self.elapsed_s, nodes))

    @property
    def _clocks_s(self) -> dict[EndedBy, float]:
        """When the limits on the time are reached, in seconds of the search."""
        allowed = self.allowance
        found = {EndedBy.TIME: allowed.time_s} if allowed.time_s else {}
        if allowed.cost:
            left_s = 3600 * allowed.cost / allowed.price - self._node_s()
            found[EndedBy.COST] = self.elapsed_s + left_s / max(1, self._nodes[-1][1])
        return found

    def _node_s(self) -> float:
        """Seconds of all nodes together until now."""
        until = [*(since_s for since_s, _ in self._nodes[1:]), self.elapsed_s]
        spans = zip(self._nodes, until, strict=True)
        return sum(nodes * (until_s - since_s) for (since_s, nodes), until_s in spans)

    @property
    def elapsed_s(self) -> float:
        """Seconds of the search, over all sessions, until now."""
        return self._accounts.elapsed_s

    @property
    def left_s(self) -> float:
        """Seconds until a limit on the time is reached; infinite where there is none."""
        return max(0.0, min(self._clocks_s.values(), default=math.inf) - self.elapsed_s)

    @property
    def retrain_s(self) -> float | None:
        """Seconds that a retrain of the best trial so far takes, about; None where nothing is measured."""
        after = self._accounts.after(self._accounts.sums())
        return None if after is None else after.retrain_s

    def over(self) -> EndedBy | None:
        """Which limit lets no further trial begin; those that run go on to their own ends."""
        allowed, sums = self.allowance, self._accounts.sums()
        if allowed.trials is None and self._accounts.ended.failures >= MOST_FAILURES:
            return EndedBy.FAILURES
        if allowed.trials is not None and sums.trials >= allowed.trials:
            return EndedBy.TRIALS
        if allowed.patience is not None and sums.since_best >= allowed.patience:
            return EndedBy.PATIENCE
        return None

    def refuses(self, record: TrialRecord) -> EndedBy | None:
        """Which limit does not let a trial, a new one or one that runs, be trained for another epoch."""
        if record.epochs_done >= record.trial.epochs:
            return None
        allowed, accounts, sums = self.allowance, self._accounts, self._accounts.sums()
        due = [*(other for other in accounts.running if other.number != record.number), record]
        if allowed.total_passes is not None:
            passes = sums.passes + sum(map(accounts.next_passes, due))
            if passes > allowed.total_passes + 1e-6:  # shares of a pass do not add up exactly
                return EndedBy.EPOCHS
        after = accounts.after(sums)
        for limit, allowed_s in self._clocks_s.items():
            if self.elapsed_s + next_s(record, sums) > allowed_s - _kept_back_s(allowed_s, after):
                return limit
        if allowed.gpu_hours is not None:
            allowed_s = 3600 * allowed.gpu_hours
            gpu_s = sum(next_s(other, sums) * accounts.gpus(other.trial) for other in due)
            gpu_s += accounts.gpu_s(sums)
            if gpu_s > allowed_s - _kept_back_gpu_s(allowed_s, after):
                return EndedBy.GPU_HOURS
        return None

    def has_room(self, runs: Sequence[TrialRecord]) -> bool:
        """Whether a rematch of these trials, each as often as it is named, ends in time for the retrain.

        Side by side they take at most the bound of Graham (1969) for any order.
        """
        accounts, sums = self._accounts, self._accounts.sums()
        after = accounts.after(sums)
        times_s, at_once = [accounts.run_s(record) for record in runs], accounts.at_once
        takes_s = sum(times_s) / at_once + max(times_s, default=0.0) * (1 - 1 / at_once)
        for allowed_s in self._clocks_s.values():
            retrain_s = min(MOST_SHARE * allowed_s, after.retrain_s if after else 0.0)
            if self.elapsed_s + takes_s > allowed_s - retrain_s:
                return False
        if self.allowance.gpu_hours is None:
            return True
        allowed_s = 3600 * self.allowance.gpu_hours
        retrain_s = min(MOST_SHARE * allowed_s, after.retrain_gpu_s if after else 0.0)
        gpu_s = sum(time_s * accounts.gpus(run.trial) for time_s, run in zip(times_s, runs, strict=True))
        return accounts.gpu_s(sums) + gpu_s <= allowed_s - retrain_s

    def used(self) -> Iterator[str]:
        """How much of each limit but the trials is used up, in words."""
        allowed, sums = self.allowance, self._accounts.sums()
        if allowed.total_passes is not None:
            yield f"epochs {sums.passes:.0f} of {allowed.total_passes}"
        if allowed.time_s is not None:
            yield f"time {span(self.elapsed_s)} of {span(allowed.time_s)}"
        if allowed.gpu_hours is not None:
            yield f"GPU hours {self._accounts.gpu_s(sums) / 3600:.2f} of {allowed.gpu_hours:g}"
        if allowed.cost is not None:
            cost = allowed.price * self._node_s() / 3600
            yield f"cost {cost:.2f} of {allowed.cost:g}"
        if allowed.patience is not None:
            yield f"no better score in {sums.since_best} of {allowed.patience} trials"

    def estimate(self) -> Estimate | None:
        """What the search is going to come to, at the pace of this session.

        None as long as its running trials have not reported twice on average, and where a limit on trials
        alone needs to know how long they are.
        """
        allowed, accounts, sums = self.allowance, self._accounts, self._accounts.sums()
        ended, running, pace = accounts.ended, accounts.running, accounts.pace(sums)
        if pace <= 0 or sums.epochs - accounts.earlier.epochs < 2 * len(running):
            return None
        a_trial = ended.passes / ended.trials if ended.trials >= FEWEST_ENDED else 0.0
        due = sum(self._due(record, a_trial) for record in running) if a_trial else 0.0
        after = accounts.after(sums)
        more = []
        if allowed.trials is not None and a_trial:
            more.append(due + (allowed.trials - sums.trials) * a_trial)
        if allowed.total_passes is not None:
            more.append(allowed.total_passes - sums.passes)
        for allowed_s in self._clocks_s.values():
            more.append((allowed_s - _kept_back_s(allowed_s, after) - self.elapsed_s) * pace)
        if allowed.gpu_hours is not None and sums.gpu_s:
            allowed_s = 3600 * allowed.gpu_hours
            left_s = allowed_s - _kept_back_gpu_s(allowed_s, after) - accounts.gpu_s(sums)
            more.append(left_s * sums.passes / sums.gpu_s)
        if not more:
            return None
        passes = max(0.0, min(more))
        return Estimate(
            sums.trials + round(max(0.0, passes - due) / a_trial) if a_trial else None,
            sums.passes + passes,
            self.elapsed_s + passes / pace,
            after.retrain_s + after.rematch_s if after and allowed.pays_retrain else None,
            min((_kept_back_s(allowed_s, after) for allowed_s in self._clocks_s.values()), default=math.inf),
            "the rematch and the retrain" if after and after.rematch_s else "the retrain",
        )

    def _due(self, record: TrialRecord, a_trial: float) -> float:
        """Passes that a running trial has before it, where an ended one had `a_trial`.

        One that has come further has passed rungs too, and is expected to run its full length.
        """
        if record.passes <= a_trial:
            return a_trial - record.passes
        return self._accounts.next_passes(record) * (record.trial.epochs - record.epochs_done)


def _kept_back_s(allowed_s: float, after: After | None) -> float:
    """How much of a limit on seconds is kept back for what follows the search."""
    if after is None:
        return UNMEASURED_SHARE * allowed_s
    return _within(allowed_s, after.retrain_s, after.rematch_s)


def _kept_back_gpu_s(allowed_s: float, after: After | None) -> float:
    """The same of a limit on the seconds of GPUs."""
    if after is None:
        return UNMEASURED_SHARE * allowed_s
    return _within(allowed_s, after.retrain_gpu_s, after.rematch_gpu_s)


def _within(allowed_s: float, retrain_s: float, rematch_s: float) -> float:
    return min(MOST_SHARE * allowed_s, retrain_s + min(REMATCH_SHARE * allowed_s, rematch_s))
