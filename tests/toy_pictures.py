"""A small problem in memory: each class is a pattern, each picture its class's pattern under noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spaces.recipe import Recipe
from trainables.runtime import Runtime

CPU = Runtime(device="cpu", threads=1)
HOSTILE = [
    'quote " and \\ backslash',
    "```\n# fence and newline",
    "<script>alert(1)</script>",
    "| a | table [link](http://x) **bold**",
    "日本 ü \u2028 line separator",
    "---",
    "{curly} {0} %s",
]
"""Names of classes that might be taken for code, markup or a format."""

TINY = {
    "model": {"name": "plain_cnn", "args": {"width": 8, "blocks": 2, "dense": 16}},
    "geometry": {"size_px": 16},
    "augment": {"strength": 0.0},
    "optim": {"lr": 1e-2, "batch_size": 16},
    "schedule": {"name": "constant"},
}


def tiny_recipe(**sections: Any) -> Recipe:
    """A recipe that trains in no time; sections given replace the tiny recipe's fields of the same name."""
    merged: dict[str, Any] = dict(TINY)
    for name, section in sections.items():
        base = TINY.get(name)
        merged[name] = {**base, **section} if isinstance(base, dict) else section
    return Recipe.model_validate(merged)


@dataclass(frozen=True)
class ToyPictures:
    """Pictures of one shape, or of several in canvases; see `trainables.feed.Pictures`."""

    pixels: np.ndarray
    labels: np.ndarray
    classes: list[str]
    served: list[int] = field(default_factory=list)
    """The rows that were asked for, in order."""

    @property
    def canvas_px(self) -> tuple[int, int]:
        return self.pixels.shape[1], self.pixels.shape[2]

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.served.extend(rows.tolist())
        return self.pixels[rows], np.full((len(rows), 2), self.pixels.shape[1], np.int64)


def toy_pictures(
    count: int, seed: int, *, classes: int = 3, size_px: int = 16, random_labels: bool = False
) -> ToyPictures:
    """Pictures that a small network tells apart after a few epochs; the patterns don't depend on the seed.

    Args:
        random_labels: The labels say nothing about the pictures.
    """
    coarse = np.random.default_rng(0).integers(0, 256, (classes, 4, 4, 3))
    patterns = coarse[:, np.arange(size_px) * 4 // size_px][:, :, np.arange(size_px) * 4 // size_px]
    rng = np.random.default_rng([seed, 1])
    kinds = rng.integers(0, classes, count)
    noise = rng.integers(0, 256, (count, size_px, size_px, 3))
    labels = rng.permutation(kinds) if random_labels else kinds
    names = [f"class {number}" for number in range(classes)]
    return ToyPictures(((patterns[kinds] + noise) // 2).astype(np.uint8), labels, names)
