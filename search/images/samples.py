"""What a recipe's augmentation makes of a few pictures, as cells of a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from search.images.contact_sheet import Cell
from search.images.handful import Handful
from spaces.recipe import Recipe
from trainables.feed import Feed
from trainables.runtime import Runtime


def sample_rows(recipe: Recipe, handful: Handful, *, samples: int, seed: int) -> list[list[Cell]]:
    """Rows of one picture each.

    First the square that the network is evaluated on, with the class's name; then `samples` of what `Feed`
    serves in training, at the recipe's full size and before normalisation, with the shares of the classes
    where a sample is mixed. All pictures make one batch, so partners come from the other rows.
    """
    optim = recipe.optim.model_copy(update={"batch_size": len(handful)})
    feed = Feed(
        handful,
        recipe.model_copy(update={"optim": optim}),
        Runtime(device="cpu"),
        mean=[0.0] * 3,
        std=[1.0] * 3,
    )
    evaluated = (image for images, _ in feed.evaluation() for image in images)
    rows = [[Cell(_pixels(image), [name])] for image, name in zip(evaluated, handful.names, strict=True)]
    for epoch in range(1, samples + 1):
        (batch,) = feed.training(1, seed, epoch, recipe.geometry.size_px)
        targets = [None] * len(batch.labels) if batch.targets is None else batch.targets
        for image, row, target in zip(batch.images, batch.labels.tolist(), targets, strict=True):
            rows[row].append(Cell(_pixels(image), _shares(target, row, handful.names)))
    return rows


def _pixels(image: Tensor) -> np.ndarray:
    """uint8 (S, S, 3) of float (3, S, S) in [0, 1]."""
    return image.mul(255).round().byte().permute(1, 2, 0).numpy()


def _shares(target: Tensor | None, own: int, names: Sequence[str]) -> list[str]:
    """The classes of a mixed sample with their shares, the largest first; nothing for an unmixed one."""
    if target is None or target[own] > 0.995:
        return []
    shares: dict[str, float] = {}
    for name, share in zip(names, target.tolist(), strict=True):
        shares[name] = shares.get(name, 0.0) + share
    ordered = sorted(shares.items(), key=lambda entry: -entry[1])
    return [f"{share:.0%} {name}" for name, share in ordered if share > 0.005]
