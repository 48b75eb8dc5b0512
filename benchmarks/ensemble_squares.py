"""What it costs a member of an ensemble that its pictures come by way of a larger member's square.

    python benchmarks/ensemble_squares.py --data DIR [--recipe default] [--epochs 6] [--larger 48,64,96]

A network is trained as it is alone, and asked about the test part twice: by squares that are made of the
files in its own size, and by squares of a larger size that are made smaller, as an ensemble does it; and, to
compare, with a bilinear filter.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spaces.recipe_files import load_recipe
from trainables.cache_dir import default_cache_dir
from trainables.data import Dataset, load, prepare
from trainables.evaluate import log_probabilities
from trainables.loop import TrainData, train
from trainables.models.create import normalization
from trainables.models.ensemble import resized
from trainables.runtime import Runtime

Shrink = Callable[[Tensor, int], Tensor]


def bilinear(squares: Tensor, size_px: int) -> Tensor:
    return F.interpolate(squares, size=(size_px, size_px), mode="bilinear", antialias=True)


class Smaller(nn.Module):
    """A network that gets larger squares in [0, 1], and makes them smaller itself."""

    def __init__(self, network: nn.Module, size_px: int, shrink: Shrink) -> None:
        super().__init__()
        self.network, self.shrink = network, partial(shrink, size_px=size_px)
        self.mean, self.std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalization(network))
        self.pretrained_cfg = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}

    def forward(self, squares: Tensor) -> Tensor:
        return self.network((self.shrink(squares) - self.mean) / self.std)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--larger", default="48,64,96", help="sides of the larger squares, in pixels")
    options = parser.parse_args()
    recipe, runtime = load_recipe(options.recipe), Runtime(device="cpu")
    own_px, cache_dir = recipe.geometry.size_px, default_cache_dir()
    split = prepare(options.data, size_px=own_px, cache_dir=cache_dir).split

    def opened(size_px: int) -> Dataset:
        return load(options.data, split, size_px=size_px, cache_dir=cache_dir)

    pictures = opened(own_px).part("train", "validation", "selection")
    model = train(recipe, TrainData(pictures), lambda *_: None, runtime=runtime, epochs=options.epochs)
    test = opened(own_px).part("test")
    alone = log_probabilities(model, recipe, test, runtime=runtime)
    print(
        f"{len(test)} test pictures of {options.data.name}: accuracy alone {accuracy(alone, test.labels):.4f}"
    )
    for larger_px in map(int, options.larger.split(",")):
        part = opened(larger_px).part("test")
        geometry = recipe.geometry.model_copy(update={"size_px": larger_px})
        seen = recipe.model_copy(update={"geometry": geometry})
        for name, shrink in (("bicubic, as it is", resized), ("bilinear", bilinear)):
            said = log_probabilities(Smaller(model, own_px, shrink), seen, part, runtime=runtime)
            off = np.abs(np.exp(said) - np.exp(alone)).max(axis=1)
            others = (said.argmax(axis=1) != alone.argmax(axis=1)).mean()
            print(
                f"{larger_px} px to {own_px} px, {name}: accuracy {accuracy(said, part.labels):.4f}, another "
                f"answer to {others:.1%}, probabilities off by {off.mean():.4f} on average"
            )


def accuracy(said: np.ndarray, labels: np.ndarray) -> float:
    return float((said.argmax(axis=1) == labels).mean())


if __name__ == "__main__":
    main()
