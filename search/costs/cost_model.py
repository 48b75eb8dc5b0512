"""What trainings are expected to cost, for those who choose between them before they have run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from search.costs.pace import Pace
from search.costs.packing import Kind, kind
from search.costs.variants import identity, is_decisive, key
from search.trials.records import Records
from search.trials.trials import Epoch
from spaces.domains import Fixed
from spaces.recipe import Recipe
from spaces.space import Space
from trainables.models.size import multiply_adds

FORWARD, BACKWARD = 1, 2
"""Of a step: the way back has twice the multiply-adds, for it takes gradients of weights and of what comes in
(Kaplan et al. 2020, "Scaling Laws for Neural Language Models", 2.1; Hobbhahn & Sevilla 2021, "What's the
backward-forward FLOP ratio for neural networks?")."""
NOMINAL = 1e12
"""Multiply-adds a second of a machine that there is not: `static` counts its seconds."""
FREEZE = "freeze.epoch"


class _Network(NamedTuple):
    kind: Kind
    forward_s: float
    """Of the nominal machine, for the network's way forward with each picture of the training part."""


class CostModel:
    """Expects how many seconds trainings take.

    With `static` these are seconds of a nominal machine, by the multiply-adds of the networks alone: they
    compare trainings, and are the same everywhere and in every run. With `measured` they are what the epochs
    so far make of these (see `Pace`): real ones, from the first epoch on.

    While a backbone is frozen it goes forward only. Left out are pictures that grow (`geometry.start_px`),
    what stays frozen to the end (`freeze.then`), validation, and all that is done with pictures in front of
    the network: of these `measured` learns what they come to in the mean.

    Args:
        records: Of this session's `RecordFile`; they grow.
        space: What parameters are of.
        classes: How many the networks tell apart.
        passes: Full length of a trial, in passes over the training part.
        pictures: Size of the training part.
    """

    def __init__(
        self,
        mode: Literal["measured", "static"],
        records: Records,
        space: Space,
        *,
        classes: int,
        passes: int,
        pictures: int,
    ) -> None:
        self._mode, self._records, self._space = mode, records, space
        self._classes, self._passes, self._pictures = classes, passes, pictures
        self._pace, self._seen = Pace(), 0
        self._networks: dict[str, _Network] = {}
        self._of_params: dict[tuple[Any, ...], _Network] = {}
        self._of_trials: dict[int, tuple[_Network, int]] = {}
        drawn = [entry for entry in space.parameters if not isinstance(entry.domain, Fixed)]
        deciding = _deciding(space)
        self._names = [entry.name for entry in drawn if entry.path in deciding]
        self._freezes = [entry for entry in drawn if entry.path == FREEZE]

    def of(self, params: Mapping[str, Any]) -> float:
        """Seconds of a trial of full length with these parameters of the space.

        It is told in microseconds, but for the first trial with a network.

        Raises:
            ModelError: The network cannot be made.
        """
        values = tuple(params.get(name) for name in self._names)
        if values not in self._of_params:
            self._of_params[values] = self._network(self._space.recipe(params, epochs=self._passes))
        shares = (params[entry.name] for entry in self._freezes if entry.name in params)
        return self._passes * self._pass_s(self._of_params[values], next(shares, 0.0))

    def pass_s(self, recipe: Recipe, *, epochs: int) -> float:
        """Seconds of a pass over the training part, in the mean over the training.

        Args:
            epochs: The training's full length, in epochs of the recipe.

        Raises:
            ModelError: The network cannot be made.
        """
        return self._pass_s(self._network(recipe), min(1.0, recipe.freeze.epoch / epochs))

    def _pass_s(self, network: _Network, frozen: float) -> float:
        """The same, where the backbone is frozen for this share of the training."""
        parts = [(frozen, FORWARD), (1 - frozen, FORWARD + BACKWARD)]
        if self._mode == "measured":
            self._learn()
        return sum(
            share * self._pace.seconds(network.kind, network.forward_s * ways) for share, ways in parts
        )

    def _network(self, recipe: Recipe) -> _Network:
        # With its own head: another one hardly adds arithmetic, and would be counted apart.
        model = recipe.model.model_copy(update={"head_dense": None, "pool": None})
        body = recipe.model_copy(update={"model": model})
        name = key(identity(body))
        if name not in self._networks:
            work = max(1, multiply_adds(body, self._classes)) * self._pictures
            self._networks[name] = _Network(kind(recipe), work / NOMINAL)
        return self._networks[name]

    def _learn(self) -> None:
        """Takes in the epochs that are new."""
        for epoch in self._records.order[self._seen :]:
            network, frozen_epochs = self._trained(epoch)
            ways = FORWARD if epoch.epoch <= frozen_epochs else FORWARD + BACKWARD
            seconds = epoch.metrics.get("epoch_s", 0.0) * epoch.epoch / epoch.passes
            if seconds > 0:
                self._pace.add(network.kind, network.forward_s * ways, seconds)
        self._seen = len(self._records.order)

    def _trained(self, epoch: Epoch) -> tuple[_Network, int]:
        """The network of an epoch's trial, and for how many epochs its backbone is frozen."""
        if epoch.trial not in self._of_trials:
            recipe = Recipe.model_validate(self._records.trials[epoch.trial].trial.recipe)
            self._of_trials[epoch.trial] = self._network(recipe), recipe.freeze.epoch
        return self._of_trials[epoch.trial]


def _deciding(space: Space) -> set[str]:
    """The dotted names of what decides on a network, and of all that those values depend on."""
    found: set[str] = set()
    for parameter in reversed(space.parameters):  # conditions come first
        if is_decisive(parameter.path) or parameter.path in found:
            found |= {parameter.path, *parameter.when}
    return found
