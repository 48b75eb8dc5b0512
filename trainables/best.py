"""The best epoch of a training: what its patience counts from, and what `keep: best` goes back to."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from spaces.recipe import Recipe


class BestEpoch:
    """The epoch with the lowest validation loss so far.

    Its weights are kept, on the CPU, only where the recipe asks for them.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._patience, self._keep = recipe.patience_epochs, recipe.keep == "best"
        self._loss, self._epochs_since = math.inf, 0
        self._weights: dict[str, Tensor] | None = None

    def after_epoch(self, val_loss: float, model: nn.Module) -> None:
        """Takes an epoch in.

        Args:
            model: The network that the loss was measured on.
        """
        if val_loss < self._loss:
            self._loss, self._epochs_since = val_loss, 0
            if self._keep:
                state = model.state_dict()
                self._weights = {name: value.to("cpu", copy=True) for name, value in state.items()}
        else:
            self._epochs_since += 1

    @property
    def out_of_patience(self) -> bool:
        """Whether the best epoch lies too far back for the training to go on."""
        return self._patience is not None and self._epochs_since >= self._patience

    def put_back(self, model: nn.Module) -> None:
        """Gives the network the kept weights, where there are any."""
        if self._weights is not None:
            model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {"loss": self._loss, "epochs_since": self._epochs_since, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        self._loss, self._epochs_since = state["loss"], state["epochs_since"]
        self._weights = state["weights"]
