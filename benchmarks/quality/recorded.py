"""Recorded learning curves of real trainings: what `record_curves.py` writes and the surrogate is fitted to.

Small networks, trained on 2,000 pictures of simpsons-mnist and of cifar10 by recipes of small_nets.yaml. Most
are drawn at random. The others are what the surrogate took for the best when it was fitted to those before:
a search goes where the surrogate is best, so this is where it has to be right (Eggensperger et al. 2015).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.quality.interface import Config
from benchmarks.quality.objective_files import load_tree
from spaces.errors import InputError
from spaces.tree import Tree

Kind = Literal["simpsons", "cifar10"]
KINDS: tuple[Kind, ...] = ("simpsons", "cifar10")
Source = Literal["random", "surrogate"]

SPACE = Path(__file__).with_name("small_nets.yaml")
PACKED = Path(__file__).with_name("curves.json.gz")
MAX_EPOCHS = 27
WATCHED = 1_000
"""Pictures that a score is measured on."""
CHANCE = 0.1
"""The accuracy of guessing."""


@dataclass(frozen=True)
class Recorded:
    """A training."""

    pictures: Kind
    source: Source
    """Of the recipe."""
    number: int
    """Of the recipe, among those of its pictures and source."""
    config: Config
    scores: np.ndarray
    """Accuracy by epoch, float (MAX_EPOCHS,); NaN from where it diverged."""
    epoch_s: float
    predicted: float
    """Final accuracy that the surrogate of its time chose it for; NaN of a random recipe."""


@lru_cache(maxsize=1)
def space() -> Tree:
    """Of both kinds of pictures."""
    return load_tree(SPACE, "small_nets")


def as_recorded(lines: Iterable[Mapping[str, Any]]) -> list[Recorded]:
    """Of the lines of a recorder's file, the trainings that are finished."""
    return [
        Recorded(
            line["pictures"],
            line["source"],
            line["number"],
            space().drawn(line["params"]),
            np.array(line["scores"], dtype=float),
            line["epoch_s"],
            line.get("predicted", float("nan")),
        )
        for line in lines
        if "scores" in line
    ]


def load_recorded(path: Path = PACKED) -> list[Recorded]:
    """The trainings of a packed file.

    Raises:
        InputError: There is none.
    """
    if not path.exists():
        raise InputError(
            f"{path} must be there: the recorded learning curves. To record them (hours; --help says more): "
            "python benchmarks/record_curves.py --simpsons DIR --cifar10 DIR; then the same with --pack."
        )
    return as_recorded(json.loads(gzip.decompress(path.read_bytes()))["curves"])
