"""For libraries that ask for a configuration at a number of epochs and hear the score at its end."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.quality.interface import Job


@dataclass(frozen=True)
class Request:
    """What a library asks for."""

    configuration: Hashable
    """The same for the same configuration, whose training then goes on."""
    params: Mapping[str, Any]
    until_epoch: int
    handle: Any
    """What the library wants to hear the score with."""


class Continued(ABC):
    """A configuration that is asked for again goes on from its checkpoint, and costs only what is new.

    That is generous to a library which would train it anew. One that is asked for while it still trains
    has no checkpoint yet: it is trained anew, as a trial of its own.
    """

    def __init__(self) -> None:
        self._trials: dict[Hashable, int] = {}
        self._scores: dict[int, list[float]] = {}
        self._running: dict[int, Request] = {}

    @abstractmethod
    def request(self) -> Request:
        """What the library would have next."""

    @abstractmethod
    def tell(self, request: Request, score: float) -> None:
        """The score at the end; NaN: it diverged."""

    def ask(self) -> Job:
        while True:
            request = self.request()
            trial = self._trials.get(request.configuration)
            if trial is None or trial in self._running:
                trial = self._trials[request.configuration] = len(self._scores)
                self._scores[trial] = []
            scores = self._scores[trial]
            if len(scores) >= request.until_epoch:
                self.tell(request, scores[request.until_epoch - 1])
            elif scores and math.isnan(scores[-1]):
                self.tell(request, math.nan)
            else:
                self._running[trial] = request
                return Job(trial, request.params, request.until_epoch)

    def report(self, trial: int, epoch: int, score: float) -> bool:
        self._scores[trial].append(score)
        if math.isnan(score) or epoch == self._running[trial].until_epoch:
            self.tell(self._running.pop(trial), score)
        return True
