"""From stored pictures to normalised batches on the device, for training and for evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from spaces.recipe import Recipe
from trainables.augment import augmented, draw
from trainables.runtime import Runtime

EVALUATION_BATCH = 256


class Pictures(Protocol):
    """Labelled pictures that lie decoded somewhere: a part of a data set."""

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,): places in `classes`."""
        ...

    @property
    def classes(self) -> list[str]:
        """Names, in the order of the network's outputs."""
        ...

    def __len__(self) -> int: ...

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Canvases uint8 (B, H, W, 3), and each picture's height and width in them int64 (B, 2)."""
        ...


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
        self._mean = torch.tensor(mean, device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=self._device).view(1, 3, 1, 1)

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def steps_per_pass(self) -> int:
        """Batches in one pass over the part."""
        return -(-len(self) // self._recipe.optim.batch_size)

    def training(self, steps: int, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor, int]]:
        """`steps` shuffled, augmented batches: images (B, 3, S, S), targets (B,), and the step's pictures
        over all workers.

        Seed and epoch fix order and augmentation, whatever the number of workers: each takes its share of
        every batch. A pass is cut into batches that differ by one picture at most, so that none is tiny.
        """
        rng = np.random.default_rng([seed, epoch])
        done = 0
        while done < steps:
            batches = np.array_split(rng.permutation(len(self)), self.steps_per_pass)
            for rows in batches[: steps - done]:
                random = draw(len(rows), self._recipe.augment, rng)
                mine = slice(self._runtime.rank, None, self._runtime.world_size)
                pixels, extents = self._load(rows[mine])
                images = augmented(
                    pixels,
                    extents,
                    self._recipe.geometry,
                    self._recipe.augment,
                    random and random.rows(mine),
                )
                yield self._normalized(images), self._targets(rows[mine]), len(rows)
            done += len(batches)

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This worker's share of the part, in order and unchanged: images and targets."""
        mine = np.arange(len(self))[self._runtime.rank :: self._runtime.world_size]
        for rows in np.split(mine, range(EVALUATION_BATCH, len(mine), EVALUATION_BATCH)):
            if len(rows):
                pixels, extents = self._load(rows)
                images = augmented(pixels, extents, self._recipe.geometry, self._recipe.augment, None)
                yield self._normalized(images), self._targets(rows)

    def _load(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        pixels, extents = self._pictures.batch(rows)
        return torch.from_numpy(pixels).to(self._device, non_blocking=True), torch.from_numpy(extents)

    def _targets(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self._pictures.labels[rows]).to(self._device, non_blocking=True)

    def _normalized(self, images: Tensor) -> Tensor:
        return (images - self._mean).div_(self._std)
