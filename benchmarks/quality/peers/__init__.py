"""The other search methods, by name, each in the setting that its own documents call best.

A peer's own code takes every decision; what is here only passes the simulator's events on. All of them
reduce by 3, from 1 epoch to the objective's full length, over any number of trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from benchmarks.quality.interface import MakeMethod, Method, Objective


@dataclass(frozen=True)
class _Lazily:
    """Makes a method of a module that is imported only then, so that each library is needed on its own."""

    module: str
    maker: str

    def __call__(self, objective: Objective, *, seed: int, workers: int) -> Method:
        try:
            module = import_module(f"{__name__}.{self.module}")
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"{self.maker} needs {error.name}: install the project with its `bench` extra",
                name=error.name,
            ) from error
        made: Method = getattr(module, self.maker)(objective, seed=seed, workers=workers)
        return made


PEERS: dict[str, MakeMethod] = {
    "random": _Lazily("random_search", "RandomSearch"),
    "random+asha": _Lazily("ray_tune", "RandomAsha"),
    "optuna+asha": _Lazily("ray_tune", "OptunaAsha"),
    "optuna-tpe+hyperband": _Lazily("optuna_hyperband", "OptunaHyperband"),
    "syne-asha": _Lazily("syne", "SyneAsha"),
    "syne-bohb": _Lazily("syne", "SyneBohb"),
    "neps-asha": _Lazily("neps_brackets", "NepsAsha"),
    "neps-async-hb": _Lazily("neps_brackets", "NepsAsyncHyperband"),
    "neps-priorband": _Lazily("neps_brackets", "NepsPriorBand"),
    "smac-mf": _Lazily("smac_multi_fidelity", "SmacMultiFidelity"),
}
