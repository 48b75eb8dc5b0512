"""What counts in a search beside its metric, and the one number by which trials are ranked all the same.

Sampler, stopping rule and winner need one number a trial, from its first epoch on. With `--objectives` that
is the *penalised* metric: the metric, made worse by a stated weight for every tenfold of each cost. So costs
count by their ratio, as people speak of them (twice as fast), and a unit shifts all scores alike, which
ranks nobody. MnasNet (Tan et al. 2019, arXiv 1807.11626) multiplies the accuracy by a power of the latency:
the same, for the accuracy's logarithm. What to choose under other weights, the Pareto front tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search import text
from search.trials.trials import Epoch, Metric, TrialRecord

EXAMPLE = "latency:0.02,params"
WEIGHT = 0.02
"""Of a cost without one: two points of accuracy for a tenfold."""
TRAIN_TIME = "train_time_s"
SMALLEST = 1e-9
"""In a cost's unit: a clock may be too coarse to see a cost at all, and zero has no logarithm."""


@dataclass(frozen=True)
class Cost:
    """A number of which less is better."""

    name: str
    """On the command line."""
    key: str
    """In an epoch's metrics."""
    title: str
    unit: str
    """In which it enters the score."""
    size: float
    """Of the unit."""
    shown: Callable[[float], str]
    """A value in words."""


COSTS = {
    cost.name: cost
    for cost in (
        Cost("latency", "latency_ms", "latency", "ms", 1.0, lambda value: f"{text.number(value)} ms"),
        Cost("params", "parameters", "parameters", "millions", 1e6, lambda value: text.amount(int(value))),
        Cost("train-time", TRAIN_TIME, "training time", "minutes", 60.0, text.duration),
    )
}
"""What can be asked for. Latency and parameters are of the network, as `search.costs.networks` measures them;
training time is that of the trial's full length, at the seconds that its epochs took on average so far."""


@dataclass(frozen=True)
class Objectives:
    """The metric, and the costs that count beside it."""

    metric: Metric
    weights: Mapping[str, float]
    """By the cost's name, by how much a tenfold of it makes the metric worse; 0: it is only shown."""

    @property
    def costs(self) -> list[Cost]:
        """Of every weight."""
        return [COSTS[name] for name in self.weights]

    @property
    def of_networks(self) -> list[str]:
        """The keys of those costs that are known before a training."""
        return [cost.key for cost in self.costs if cost.key != TRAIN_TIME]

    @property
    def scored_by(self) -> Metric:
        """What trials are ranked by: the metric itself where no cost has a weight."""
        if not any(self.weights.values()):
            return self.metric
        return Metric(f"penalised_{self.metric.name}", f"penalised {self.metric.title}", self.metric.mode)

    @property
    def definition(self) -> str:
        """How the score comes about, in one line."""
        sign = "-" if self.metric.mode == "max" else "+"
        terms = [
            f" {sign} {weight:g} * log10({COSTS[name].title} in {COSTS[name].unit})"
            for name, weight in self.weights.items()
            if weight
        ]
        return f"{self.scored_by.title} = {self.metric.title}{''.join(terms)}" if terms else self.metric.title

    def scored(self, record: TrialRecord, epoch: Epoch, of_network: Mapping[str, float]) -> Epoch:
        """An epoch that a trial reports, with its costs and its score among the metrics.

        Args:
            record: The trial, up to the epoch before.
            of_network: The costs of its network, by key.
        """
        if not self.weights:
            return epoch
        seconds = [reported.metrics.get("epoch_s", math.nan) for reported in (*record.history, epoch)]
        known = {**of_network, TRAIN_TIME: sum(seconds) / len(seconds) * record.trial.epochs}
        costs = {cost.key: known[cost.key] for cost in self.costs}
        penalty = self._penalty(costs)
        value = epoch.metrics.get(self.metric.name, math.nan)
        score = value - penalty if self.metric.mode == "max" else value + penalty
        return replace(epoch, metrics={**epoch.metrics, **costs, self.scored_by.name: score})

    def values(self, record: TrialRecord) -> dict[str, float] | None:
        """Score, metric and costs of the weights that a trial came out with, by key; None without a score."""
        if record.score(self.scored_by) is None or record.score(self.metric) is None:
            return None
        metrics = record.kept().metrics
        names = [self.scored_by.name, self.metric.name, *(cost.key for cost in self.costs)]
        return {name: metrics[name] for name in names}

    def surcharge(self, together: Sequence[TrialRecord], alone: TrialRecord) -> float:
        """By how much several trials' networks, asked one after the other, make the score worse than one of
        them does: their costs add up. All have a score."""
        known = [self.values(record) or {} for record in together]
        costs = {cost.key: sum(of_one[cost.key] for of_one in known) for cost in self.costs}
        return self._penalty(costs) - self._penalty(self.values(alone) or {})

    def _penalty(self, costs: Mapping[str, float]) -> float:
        """By how much costs, by key, make the metric worse."""
        return math.fsum(
            self.weights[cost.name] * math.log10(max(costs[cost.key] / cost.size, SMALLEST))
            for cost in self.costs
        )

    def said(self, record: TrialRecord) -> str:
        """The metric and the costs of a trial with a score, in words."""
        values = self.values(record)
        if values is None:
            return ""
        metric = f"{self.metric.title} {text.score(values[self.metric.name], self.metric.name)}"
        return ", ".join([metric, *(f"{cost.title} {cost.shown(values[cost.key])}" for cost in self.costs)])


def weights(given: Any) -> dict[str, float]:
    """`latency:0.02,params` as weights by cost; weights are taken as they are.

    Raises:
        ValueError: A cost is not known or given twice, or a weight is not a number from 0 on.
    """
    if isinstance(given, Mapping):
        pairs = [(str(name), str(weight)) for name, weight in given.items()]
    else:
        split = (entry.partition(":") for entry in str(given).split(","))
        pairs = [(name.strip(), weight if colon else str(WEIGHT)) for name, colon, weight in split]
    found: dict[str, float] = {}
    for name, weight in pairs:
        if name not in COSTS:
            raise ValueError(
                f"{name or 'nothing'} is no cost: name some of {', '.join(COSTS)}, such as {EXAMPLE}"
            )
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = _weight(name, weight)
    return found


def _weight(name: str, given: str) -> float:
    try:
        weight = float(given)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise ValueError(
            f"the weight of {name} must be a number from 0 on, such as {name}:{WEIGHT}: by how much a "
            "tenfold makes the metric worse"
        )
    return weight
