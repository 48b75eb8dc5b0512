"""One step of the optimizer: a batch forth and back, in as many portions as fit, then down the gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from trainables.feed import Batch
from trainables.loss import TrainingLoss
from trainables.models.create import class_logits
from trainables.portions import Portions
from trainables.runtime import Runtime

LEAST_NORMALISED = 16
"""Pictures in a portion, at least, where there is batch norm: with statistics of fewer it learns worse (Wu &
He 2018, "Group Normalization", figure 1)."""


class Step:
    """Takes the steps of one training.

    A batch that the device's memory does not hold goes through in portions whose gradients add up to that of
    the whole batch. Batch norm then normalises each portion by itself (Hoffer et al. 2017, "ghost batch
    normalization"); its running statistics take each portion in with so much less momentum that a batch
    still counts as one step. (An attempt that failed has moved them too, in the layers that it came to.)

    Several workers cannot begin anew each at its own moment, so there too little memory ends the training.

    Args:
        clip_norm: Of the gradient, at most; None: any.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: TrainingLoss,
        optimizer: Optimizer,
        runtime: Runtime,
        *,
        clip_norm: float | None,
    ) -> None:
        self._model, self._loss, self._optimizer, self._runtime = model, loss, optimizer, runtime
        self._clip_norm = clip_norm
        norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        self._momenta = {norm: norm.momentum for norm in norms if norm.momentum is not None}
        self._sharing = 1
        self._portions = Portions(runtime.at_once, least=LEAST_NORMALISED if norms else 1)
        self.at_once = 0
        """Pictures that went through the network at a time in the last step."""
        self.scaler = torch.amp.GradScaler(
            runtime.resolved_device().type, enabled=runtime.autocast_dtype() == torch.float16
        )

    def __call__(self, module: nn.Module, batch: Batch) -> Tensor:
        """Moves the weights by one batch.

        Args:
            module: The network, or what shares it among workers.

        Returns:
            What the network said before the weights moved, (B, outputs): detached.

        Raises:
            RuntimeError: Not even small portions fit (see `portions.is_out_of_memory`).
        """

        def gradient(portions: list[slice]) -> Tensor:
            return self._gradient(module, batch, portions)

        count = len(batch.labels)
        if self._runtime.world_size > 1:
            logits = gradient([slice(0, count)])
        else:
            logits = self._portions.fitted(count, gradient)
        if self._clip_norm is not None:
            self.scaler.unscale_(self._optimizer)
            clip_grad_norm_(self._model.parameters(), self._clip_norm)
        self.scaler.step(self._optimizer)
        self.scaler.update()
        return logits

    def _gradient(self, module: nn.Module, batch: Batch, portions: list[slice]) -> Tensor:
        """Puts the gradient of the batch's mean loss into the weights."""
        self._share_momentum(len(portions))
        self.at_once = portions[-1].stop - portions[-1].start
        self._optimizer.zero_grad(set_to_none=True)
        said = []
        for portion in portions:
            with self._runtime.autocast():
                logits = class_logits(module(batch.images[portion]))
            # A sum over this worker's share over the whole batch: the workers' gradients, which are averaged,
            # then add up to the gradient of the batch's mean, however uneven the shares.
            targets = None if batch.targets is None else batch.targets[portion]
            loss = self._loss(logits, batch.labels[portion], targets)
            self.scaler.scale(loss * (self._runtime.world_size / batch.pictures)).backward()
            said.append(logits.detach())
        return torch.cat(said)

    def _share_momentum(self, portions: int) -> None:
        if portions == self._sharing:
            return
        self._sharing = portions
        for norm, momentum in self._momenta.items():
            norm.momentum = momentum if portions == 1 else 1 - (1 - momentum) ** (1 / portions)
