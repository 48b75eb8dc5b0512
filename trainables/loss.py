"""What a training minimises: one formula for cross-entropy and focal loss, hard and soft targets, balance."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spaces.recipe import Loss
from trainables.balance import class_weights, log_prior


class TrainingLoss:
    """The recipe's loss, summed over the pictures of a batch.

    With targets t, the one-hot labels or their mixture, and probabilities p, a picture's loss is

        -sum_c u_c (1 - p_c)**gamma log p_c,    u = smoothed(weights * t),

    where gamma is 0 but for the focal loss (Lin et al. 2017), and the weights are 1 without class weights.
    Smoothing comes after the weights, unlike in `torch.nn.CrossEntropyLoss`: there a rare class's large
    weight also multiplies its smoothed share in every other class's pictures, and soon it is always
    predicted. A mixture of pictures has the mixture of their losses, as in MixUp.

    Args:
        labels: int64 (N,): of the whole training part, whose uneven classes are balanced.
        num_classes: C.
    """

    def __init__(self, loss: Loss, labels: np.ndarray, num_classes: int, device: torch.device) -> None:
        self._classes, self._smoothing = num_classes, loss.label_smoothing
        self._gamma = loss.gamma if loss.name == "focal" else 0.0
        weights, prior = np.ones(num_classes), np.zeros(num_classes)
        if loss.balance == "class_weights":
            weights = class_weights(labels, num_classes)
        elif loss.balance == "logit_adjustment":
            prior = log_prior(labels, num_classes)
        self._weights = torch.tensor(weights, dtype=torch.float32, device=device)
        self._prior = torch.tensor(prior, dtype=torch.float32, device=device)

    def __call__(self, logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
        """The sum, a scalar in nats.

        Args:
            logits: float (B, C). A network of one output gives [0, z]: cross-entropy on these two is binary
                cross-entropy on z.
            labels: int64 (B,).
            targets: float (B, C), rows adding up to 1: soft targets in place of the labels.
        """
        if targets is None:
            targets = F.one_hot(labels, self._classes)
        targets = targets * self._weights
        if self._smoothing:
            spread = targets.sum(1, keepdim=True) / self._classes
            targets = torch.lerp(targets, spread.expand_as(targets), self._smoothing)
        log_p = F.log_softmax(logits.float() + self._prior, dim=1)
        if self._gamma:
            # Clamped, for at p = 1 the slope of a power under 1 is infinite.
            rest = (1 - log_p.exp()).clamp(min=torch.finfo(log_p.dtype).eps)
            log_p = rest**self._gamma * log_p
        return -(targets * log_p).sum()
