"""SMAC3's multi-fidelity facade, through its ask-and-tell."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ConfigSpace import (
    AndConjunction,
    CategoricalHyperparameter,
    ConfigurationSpace,
    InCondition,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from smac import MultiFidelityFacade, Scenario
from smac.runhistory import StatusType, TrialValue

from benchmarks.quality.interface import Objective
from benchmarks.quality.peers.continued import Continued, Request
from benchmarks.quality.peers.plain import Plain, params, varied
from spaces.domains import Choice, Fixed, Range, takes
from spaces.parameters import Parameter
from spaces.tree import Tree

LEAVES = 20_000
"""More than there ever are trials."""


class SmacMultiFidelity(Continued):
    """Lindauer et al. 2022, "SMAC3: A Versatile Bayesian Optimization Package" (JMLR 23).

    Random forests with Hyperband, set up as in its example "Multi-Layer Perceptron Using Multiple Epochs":
    five random configurations first, the incumbent by the highest budget, budgets rounded up to whole
    epochs. The space has its conditions. SMAC trains anew what it promotes; here that goes on from its
    checkpoint. A training that diverges has crashed, at the cost of a score of 0 or of the worst so far:
    the `crash_cost` by default, infinity, is no number that a forest could learn from.

    It repeats itself in another process only under the same PYTHONHASHSEED.
    """

    def __init__(self, objective: Objective, *, seed: int, workers: int) -> None:
        super().__init__()
        self._tree, self._worst = objective.space, 0.0
        self._folder = TemporaryDirectory(prefix="smac-")
        scenario = Scenario(
            _space(objective.space),
            output_directory=Path(self._folder.name),
            n_trials=10**6,
            min_budget=1,
            max_budget=objective.max_epochs,
            seed=seed,
        )
        model = MultiFidelityFacade.get_model(scenario)
        # The same trees, without room for a million leaves each (0.1 s) and without threads.
        model._rf_opts.update(max_leaf_nodes=LEAVES, n_jobs=1)
        self._facade = MultiFidelityFacade(
            scenario,
            model=model,
            initial_design=MultiFidelityFacade.get_initial_design(scenario, n_configs=5),
            intensifier=MultiFidelityFacade.get_intensifier(
                scenario, eta=3, incumbent_selection="highest_budget"
            ),
            logging_level=False,
        )

    def request(self) -> Request:
        trial = self._facade.ask()
        config = dict(trial.config)
        return Request(
            trial.config,
            params(self._tree, lambda name, entry: config.get(name, entry.low)),
            math.ceil(round(trial.budget, 6)),  # 9.000000000000002 is 9
            trial,
        )

    def tell(self, request: Request, score: float) -> None:
        if math.isnan(score):
            value = TrialValue(cost=self._worst, status=StatusType.CRASHED)
        else:
            value = TrialValue(cost=-score)
            self._worst = max(self._worst, -score)
        self._facade.tell(request.handle, value, save=False)


def _space(tree: Tree) -> ConfigurationSpace:
    entries = varied(tree)
    space = ConfigurationSpace()
    space.add([_parameter(name, entry) for name, entry in entries.items()])
    for parameter in tree.parameters:
        if parameter.name in entries:
            conditions = _conditions(tree, parameter, space)
            if conditions:
                space.add(conditions[0] if len(conditions) == 1 else AndConjunction(*conditions))
    return space


def _conditions(tree: Tree, parameter: Parameter, space: ConfigurationSpace) -> list[InCondition]:
    """Its conditions on values that one varied parameter alone decides.

    Others (on a value with alternatives, or with a default) are left out: it is then drawn more often
    than it is active.
    """
    found = []
    for path, wanted in parameter.when.items():
        deciding = [other for other in tree.parameters if other.path == path]
        if len(deciding) > 1 or deciding[0].name not in space or (deciding[0].when and path in tree.defaults):
            continue
        found.append(
            InCondition(space[parameter.name], space[deciding[0].name], _taken(deciding[0].domain, wanted))
        )
    return found


def _taken(domain: Range | Choice | Fixed, wanted: tuple[Any, ...]) -> list[Any]:
    """The wanted values in plain terms."""
    values = domain.values
    assert values is not None, "conditions look at single values"
    if isinstance(domain, Range) and domain.step is None:
        return [value for value in values if takes(wanted, value)]
    return [place for place, value in enumerate(values) if takes(wanted, value)]


def _parameter(name: str, entry: Plain) -> Any:
    match entry.kind:
        case "float" | "log":
            return UniformFloatHyperparameter(name, entry.low, entry.high, log=entry.kind == "log")
        case "int":
            return UniformIntegerHyperparameter(name, int(entry.low), int(entry.high))
        case "choice":
            return CategoricalHyperparameter(name, list(range(int(entry.high) + 1)))
