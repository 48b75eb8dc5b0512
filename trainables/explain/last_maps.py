"""The last feature maps of a network, and what a class's score wants of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spaces.errors import InputError
from trainables.explain.activations import as_maps, forward


class NoMapsError(InputError):
    """A network has no feature maps."""


@dataclass(frozen=True)
class LastMaps:
    """Feature maps of some pictures."""

    layer: str
    """That put them out."""
    values: Tensor
    """float32 (B, C, h, w)."""
    gradients: Tensor
    """float32 (B, C, h, w): of each picture's class's score, by its maps."""
    flattened: bool
    """Whether a module puts them out as one vector: a dense layer then tells places apart."""


def last_maps(model: nn.Module, images: Tensor, classes: Tensor) -> LastMaps:
    """The last feature maps on which the scores depend, with height or width over 1.

    In most networks they are what is pooled or flattened in front of the head. In a transformer that is read
    at its class token nothing depends on the other tokens of the last block: there they are what its
    attention gets. The network is in evaluation mode afterwards; its parameters' `grad` stays untouched.

    Args:
        images: float32 (B, 3, H, W): normalised, on the network's device.
        classes: int64 (B,): whose scores are differentiated. Of a single output z the classes' scores are -z
            and z.

    Raises:
        NoMapsError: No module puts out feature maps on which they depend.
    """
    model.eval()
    with torch.enable_grad():
        images = images.detach().requires_grad_()  # whatever of the network is frozen
        outputs, activations = forward(model, images)
        scores = outputs if outputs.shape[1] > 1 else torch.cat([-outputs, outputs], dim=1)
        score = scores.gather(1, classes[:, None]).sum()  # pictures do not meet: each has its own gradient
    prefix = getattr(model, "num_prefix_tokens", 0)
    spatial = [
        entry
        for entry in activations
        if entry.output.requires_grad and as_maps(entry.output, images, prefix) is not None
    ]
    for entry in reversed(spatial):
        if entry.output.ndim != spatial[-1].output.ndim:
            continue  # among tokens: the matrices of attention, which look like maps
        (gradient,) = torch.autograd.grad(score, entry.output, retain_graph=True, allow_unused=True)
        if gradient is None:
            continue
        values, gradients = (as_maps(tensor, images, prefix) for tensor in (entry.output.detach(), gradient))
        assert values is not None
        assert gradients is not None
        # Where nothing comes through at all, not even by a class token, nothing does further in front either.
        if gradients.any() or not gradient.any():
            vectors = len(values), values[0].numel()
            flattened = any(other.output.shape == vectors for other in activations)
            return LastMaps(entry.layer, values.float(), gradients.float(), flattened)
    raise NoMapsError(f"{type(model).__name__}: its scores depend on no feature maps of its modules.")
