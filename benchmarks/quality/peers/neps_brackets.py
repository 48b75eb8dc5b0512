"""NePS's multi-fidelity methods, through its ask-and-tell.

Its bracket optimizers take no conditions: all parameters are always drawn, and those that are inactive are
ignored. A trial that it promotes goes on from its checkpoint. One that diverges has crashed: NePS counts
that as infinitely bad. Its draws come from the global generators of numpy and torch, which are seeded: each
search has a process of its own.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from typing import Any

import neps
import numpy as np
import torch
from neps.space import HPOCategorical, HPOFloat, HPOInteger, SearchSpace

from benchmarks.quality.interface import Objective
from benchmarks.quality.peers.continued import Continued, Request
from benchmarks.quality.peers.plain import Plain, params, varied

EPOCHS = "epochs of the trial"


class NepsAsha(Continued):
    """ASHA with promotion: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning".

    As NePS has it since 0.14: of the trials in a rung that it has not promoted yet it promotes the best
    third, again after each new one, so that nearly all reach the full length. In the paper, and in NePS
    before, it is a third of all that came to the rung.
    """

    algorithm: Callable[..., Any] = staticmethod(neps.algorithms.asha)

    def __init__(self, objective: Objective, *, seed: int, workers: int) -> None:
        super().__init__()
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        logging.getLogger("neps").setLevel(logging.ERROR)
        space: dict[str, Any] = {name: _parameter(entry) for name, entry in varied(objective.space).items()}
        space[EPOCHS] = HPOInteger(1, objective.max_epochs, is_fidelity=True)
        self._tree = objective.space
        self._optimizer = neps.AskAndTell(self.algorithm(SearchSpace(space), eta=3))

    def request(self) -> Request:
        trial = self._optimizer.ask()
        return Request(
            trial.id.split("_rung_")[0],
            params(self._tree, lambda name, entry: trial.config.get(name, entry.low)),
            trial.config[EPOCHS],
            trial,
        )

    def tell(self, request: Request, score: float) -> None:
        crashed = ArithmeticError("the training diverged")
        self._optimizer.tell(request.handle, crashed if math.isnan(score) else -score)


class NepsAsyncHyperband(NepsAsha):
    """Hyperband of ASHA brackets: Klein et al. 2020, "Model-based Asynchronous Hyperparameter and NAS"."""

    algorithm = staticmethod(neps.algorithms.async_hb)


class NepsPriorBand(NepsAsha):
    """Mallik et al. 2023, "PriorBand: Practical Hyperparameter Optimization in the Age of Deep Learning".

    Over Hyperband, as published and by default. It is given no priors, as nobody else is: in their place it
    draws evenly (NePS warns of that), and its third source, around the incumbent, is at work as ever.
    """

    algorithm = staticmethod(neps.algorithms.priorband)


def _parameter(entry: Plain) -> HPOFloat | HPOInteger | HPOCategorical:
    match entry.kind:
        case "float" | "log":
            return HPOFloat(entry.low, entry.high, log=entry.kind == "log")
        case "int":
            return HPOInteger(int(entry.low), int(entry.high))
        case "choice":
            return HPOCategorical(list(range(int(entry.high) + 1)))
