"""Where a trained network looks, on the pictures of a part that tell most about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from search.images.examples import typical_hits, worst_mistakes
from spaces.recipe import Recipe
from trainables.data.dataset import Pictures
from trainables.explain.grad_cam import grad_cam
from trainables.explain.kernels import Kernels, kernels
from trainables.explain.last_maps import last_maps
from trainables.feed import Feed
from trainables.models.create import normalization
from trainables.models.ensemble import Ensemble
from trainables.portions import Portions
from trainables.runtime import Runtime

T = TypeVar("T")

HITS = MISTAKES = 10
CHANNELS = 16
AT_ONCE = 8
"""Pictures whose activations are in memory together."""
NO_LAYERS = (
    "An ensemble has no layers of its own, so there are no heat maps, kernels and feature maps. A member "
    "that is retrained alone (search.retrain --trial N) has them."
)


@dataclass(frozen=True)
class Example:
    """A picture, what the network says of it, and where it sees that."""

    kind: Literal["right", "wrong"]
    path: str
    label: str
    """The true class."""
    predicted: str
    probability: float
    """Of the predicted class."""
    probability_of_class: float
    """Of the true one."""
    square: np.ndarray
    """uint8 (S, S, 3): what the network gets."""
    heats: dict[str, np.ndarray]
    """Float32 (S, S) in [0, 1], by class: of the predicted one, then of the true one where that is another;
    see `trainables.explain.grad_cam`. Empty where the network has no feature maps."""


@dataclass(frozen=True)
class FeatureMaps:
    """The last feature maps of the first example."""

    layer: str
    shape: tuple[int, ...]
    """Of all of them: C, h, w."""
    flattened: bool
    """See `trainables.explain.last_maps.LastMaps`."""
    channels: list[int]
    """Places of those that answer most, by decreasing mean magnitude."""
    values: np.ndarray
    """float32 (n, h, w): of these channels."""


@dataclass(frozen=True)
class Explained:
    """All that is shown of a network."""

    examples: list[Example]
    """Right ones by class, then the worst mistakes, the worst first."""
    maps: FeatureMaps | None
    kernels: list[Kernels] | None
    failed: list[str]
    """What could not be had, and why."""


def explained(
    model: nn.Module,
    recipe: Recipe,
    pictures: Pictures,
    log_probabilities: np.ndarray,
    *,
    runtime: Runtime | None = None,
) -> Explained:
    """Looks into a network on typical right pictures, one of each of up to ten classes, and on the ten worst
    mistakes. The network comes back on the CPU, in evaluation mode.

    What a network raises goes into words: no model shall be lost for want of an explanation. Of an ensemble
    there are only the examples: its members have layers, and it has none.

    Args:
        pictures: The part that was evaluated; not empty.
        log_probabilities: float32 (N, C), what the network says of them; see
            `trainables.evaluate.log_probabilities`.
    """
    runtime = runtime or Runtime()
    hits = typical_hits(log_probabilities, pictures.labels, HITS)
    mistakes = worst_mistakes(log_probabilities, pictures.labels, MISTAKES)
    rows, count = np.concatenate([hits, mistakes]), len(hits)
    shown, said = pictures.chosen(rows), log_probabilities[rows]
    predicted = said.argmax(axis=1)
    mean, std = normalization(model)
    joined = isinstance(model, Ensemble)
    failed = [NO_LAYERS] if joined else []

    def tried(what: str, look: Callable[[], T]) -> T | None:
        if joined:
            return None
        try:
            return look()
        except Exception as fault:  # what networks raise has no class in common
            said_first = (str(fault).splitlines() or [""])[0]
            failed.append(f"{what}: {type(fault).__name__}: {said_first}")
            return None

    model.to(runtime.resolved_device())
    images = Feed(shown, recipe, runtime, mean, std).unchanged(np.arange(len(rows)))
    classes = np.concatenate([predicted, shown.labels[count:]])
    heats = tried("Grad-CAM", lambda: _heats(model, torch.cat([images, images[count:]]), classes))
    maps = tried("Feature maps", lambda: _maps(model, images[:1], predicted[:1]))
    weights = tried("Kernels", lambda: kernels(model, images[:1]))
    model.cpu()
    squares = _squares(images, mean, std)
    examples = []
    for place, (path, label, named) in enumerate(zip(shown.files, shown.labels, predicted, strict=True)):
        wrong = place >= count
        looks = {named: place, label: len(rows) + place - count} if wrong else {named: place}
        examples.append(
            Example(
                kind="wrong" if wrong else "right",
                path=path,
                label=shown.classes[label],
                predicted=shown.classes[named],
                probability=float(np.exp(said[place, named])),
                probability_of_class=float(np.exp(said[place, label])),
                square=squares[place],
                heats={} if heats is None else {shown.classes[of]: heats[row] for of, row in looks.items()},
            )
        )
    return Explained(examples, maps, weights, failed)


def _heats(model: nn.Module, images: Tensor, classes: np.ndarray) -> np.ndarray:
    """Grad-CAM of each picture for its class, float32 (B, S, S)."""
    labels = torch.from_numpy(classes).to(images.device)

    def work(portions: list[slice]) -> Tensor:
        return torch.cat([grad_cam(model, images[part], labels[part]).cpu() for part in portions])

    return Portions(AT_ONCE).fitted(len(images), work).numpy()


def _maps(model: nn.Module, image: Tensor, label: np.ndarray) -> FeatureMaps:
    found = last_maps(model, image, torch.from_numpy(label).to(image.device))
    values = found.values[0].cpu().numpy()
    channels = np.argsort(-np.abs(values).mean(axis=(1, 2)), kind="stable")[:CHANNELS]
    return FeatureMaps(found.layer, values.shape, found.flattened, channels.tolist(), values[channels])


def _squares(images: Tensor, mean: list[float], std: list[float]) -> np.ndarray:
    """Normalised pictures as they were before: uint8 (B, S, S, 3)."""
    offset, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    pixels = (images.cpu() * scale + offset).clamp(0, 1)
    return pixels.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
