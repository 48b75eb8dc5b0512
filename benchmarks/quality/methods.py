"""The search methods by name: ours and the peers."""

from __future__ import annotations

from functools import partial

from benchmarks.quality.interface import MakeMethod
from benchmarks.quality.ours import Ours
from benchmarks.quality.peers import PEERS

METHODS: dict[str, MakeMethod] = {"ours": Ours, "ours-random": partial(Ours, sampler="random"), **PEERS}
SLOW = frozenset({"optuna+asha", "syne-bohb", "neps-priorband", "smac-mf"})
"""Those that take over 3 s to decide what a run needs: they get half of the runs."""
