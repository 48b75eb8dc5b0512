"""From stored pictures to normalised batches on the device, for training and for evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from spaces.recipe import Recipe
from trainables.augment.draw import draw
from trainables.augment.mix import mixed
from trainables.augment.pipeline import augmented
from trainables.balance import pass_order
from trainables.pixels import Canvases, pixels_of
from trainables.runtime import Runtime

EVALUATED_AT_ONCE = {"cpu": 64}
"""Pictures, by device: with more, what a layer makes of them no longer fits into a CPU's caches. A GPU takes
as many as its memory holds."""
EVALUATED_AT_MOST = 1024


class Pictures(Canvases, Protocol):
    """Labelled pictures that lie decoded somewhere: a part of a data set."""

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,): places in `classes`."""
        ...

    @property
    def classes(self) -> list[str]:
        """Names, in the order of the network's outputs."""
        ...


class Batch(NamedTuple):
    """One worker's share of an optimizer step."""

    images: Tensor
    """float32 (B, 3, S, S): normalised, channels_last in memory."""
    labels: Tensor
    """int64 (B,)."""
    targets: Tensor | None
    """float32 (B, classes): what is to be learned where the recipe mixes samples, else None: the labels."""
    pictures: int
    """Of the step, over all workers."""


class Feed:
    """Serves one part's pictures to one worker of a training.

    Args:
        mean, std: Of the network's normalisation, a channel.
    """

    def __init__(
        self,
        pictures: Pictures,
        recipe: Recipe,
        runtime: Runtime,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        self._pictures, self._recipe, self._runtime = pictures, recipe, runtime
        self._device = runtime.resolved_device()
        self._pixels = pixels_of(pictures, runtime)
        self._mean = torch.tensor(mean, device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=self._device).view(1, 3, 1, 1)

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def steps_per_pass(self) -> int:
        """Batches in one pass over the part."""
        return self._recipe.steps_per_pass(len(self))

    def training(self, steps: int, seed: int, epoch: int, size_px: int) -> Iterator[Batch]:
        """`steps` shuffled, augmented batches.

        Seed and epoch fix the order and every sample's draw, whatever the number of workers: each takes its
        share of every batch. Only a sample's partner, for mixing and for its surroundings, is another one
        where there are several workers: each finds it in its own share. A pass is cut into batches that
        differ by one picture at most, so that none is tiny.
        """
        augment, fit = self._recipe.augment, self._recipe.geometry.fit
        rng = np.random.default_rng([seed, epoch])
        mine = slice(self._runtime.rank, None, self._runtime.world_size)
        done = 0
        while done < steps:
            order = pass_order(self._pictures.labels, self._recipe.loss.balance, rng)
            batches = np.array_split(order, self.steps_per_pass)
            for rows in batches[: steps - done]:
                drawn = draw(len(rows), augment, size_px, rng)
                drawn = drawn and drawn.rows(mine)
                pixels, extents = self._pixels.batch(rows[mine])
                labels, targets = self.labels(rows[mine]), None
                images = augmented(pixels, extents, drawn, size_px=size_px, fit=fit)
                if drawn is not None and (augment.mixup or augment.cutmix):
                    classes = len(self._pictures.classes)
                    images, targets = mixed(images, labels, classes, drawn.blend, drawn.blend_box)
                yield Batch(self._normalized(images), labels, targets, len(rows))
            done += len(batches)

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This worker's share of the part, in order and unchanged: images, as in `Batch`, and labels."""
        for rows in self.in_order():
            yield self.unchanged(rows), self.labels(rows)

    def in_order(self) -> list[np.ndarray]:
        """This worker's share of the part, in pieces to evaluate: rows int64 (B,)."""
        mine = np.arange(len(self))[self._runtime.rank :: self._runtime.world_size]
        at_once = EVALUATED_AT_ONCE.get(self._device.type, EVALUATED_AT_MOST)
        return [rows for rows in np.split(mine, range(at_once, len(mine), at_once)) if len(rows)]

    def unchanged(self, rows: np.ndarray) -> Tensor:
        """The pictures in these rows as they are: images, as in `Batch`."""
        geometry = self._recipe.geometry
        pixels, extents = self._pixels.batch(rows)
        return self._normalized(augmented(pixels, extents, None, size_px=geometry.size_px, fit=geometry.fit))

    def labels(self, rows: np.ndarray) -> Tensor:
        """The labels in these rows, on the device: int64 (B,)."""
        return torch.from_numpy(self._pictures.labels[rows]).to(self._device, non_blocking=True)

    def _normalized(self, images: Tensor) -> Tensor:
        """Normalises pictures in place, and lays them out as convolutions like them."""
        return images.sub_(self._mean).div_(self._std).contiguous(memory_format=torch.channels_last)
