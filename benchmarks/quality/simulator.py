"""Runs a search method on an objective with simulated workers and a simulated clock."""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from benchmarks.quality.interface import Job, Method, Objective


@dataclass(frozen=True)
class Setting:
    """Under what a method searches."""

    workers: int
    startup_s: float
    """Seconds before the first epoch of each job: a process, a network, a checkpoint."""
    time_s: float
    """Simulated seconds that the search has."""


@dataclass
class History:
    """What a search did, as the clock saw it."""

    times_s: list[float] = field(default_factory=list)
    """When an epoch ended, in order."""
    trials: list[int] = field(default_factory=list)
    """Whose."""
    observed: list[float] = field(default_factory=list)
    noiseless: list[float] = field(default_factory=list)
    """Its scores."""
    started: int = 0
    """Trials."""
    method_s: float = 0.0
    """Real seconds that the method took to decide."""

    def incumbent(self, times_s: np.ndarray) -> np.ndarray:
        """The noiseless score, at each of these times, of the trial whose latest score was the highest.

        The trials are chosen by what was observed, as a user would. A trial counts with its latest score:
        that is the model that it has. Before there is any: NaN.

        Args:
            times_s: float (T,), rising.

        Returns:
            float (T,).
        """
        latest: dict[int, tuple[float, float]] = {}
        found = np.full(len(times_s), np.nan)
        event = 0
        for place, until_s in enumerate(times_s):
            while event < len(self.times_s) and self.times_s[event] <= until_s:
                latest[self.trials[event]] = (self.observed[event], self.noiseless[event])
                event += 1
            scores = [score for score in latest.values() if math.isfinite(score[0])]
            if scores:
                found[place] = max(scores)[1]
        return found


@dataclass
class _Running:
    job: Job
    observed: np.ndarray
    noiseless: np.ndarray
    epoch_s: float
    epoch: int
    """The one that ends next."""


def simulate(objective: Objective, method: Method, setting: Setting, *, seed: int) -> History:
    """One search, until its time is over or nothing more is to be done.

    Args:
        seed: Of the objective's noise. Trial n has noise of its own, the same for all methods that
            train the same configuration as their n-th.
    """
    history, order, heap = History(), count(), []  # type: ignore[var-annotated]
    epochs_done: dict[int, int] = {}
    curves: dict[int, tuple[np.ndarray, np.ndarray, float]] = {}
    idle = setting.workers

    def decided(call: Any, *arguments: Any) -> Any:
        before = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            history.method_s += time.perf_counter() - before

    def occupy(now_s: float) -> None:
        nonlocal idle
        while idle and (job := decided(method.ask)) is not None:
            first = epochs_done.get(job.trial, 0) + 1
            if not first <= job.until_epoch <= objective.max_epochs:
                raise ValueError(f"{job} of a trial that has had {first - 1} epochs")
            if job.trial not in curves:
                config = objective.space.drawn(job.params)
                own_seed = int(np.random.SeedSequence([seed, job.trial]).generate_state(1)[0])
                curves[job.trial] = objective.evaluate(config, own_seed)
                history.started += 1
            running = _Running(job, *curves[job.trial], epoch=first)
            idle -= 1
            heapq.heappush(heap, (now_s + setting.startup_s + running.epoch_s, next(order), running))

    occupy(0.0)
    while heap:
        now_s, _, running = heapq.heappop(heap)
        if now_s > setting.time_s:
            break
        trial, epoch = running.job.trial, running.epoch
        observed = float(running.observed[epoch - 1])
        epochs_done[trial] = epoch
        history.times_s.append(now_s)
        history.trials.append(trial)
        history.observed.append(observed)
        history.noiseless.append(float(running.noiseless[epoch - 1]))
        goes_on = decided(method.report, trial, epoch, observed)
        if goes_on and epoch < running.job.until_epoch and math.isfinite(observed):
            running.epoch += 1
            heapq.heappush(heap, (now_s + running.epoch_s, next(order), running))
        else:
            idle += 1
        occupy(now_s)
    return history
