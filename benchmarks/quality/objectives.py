"""The built-in objectives by name."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.quality.finetuning import finetuning
from benchmarks.quality.hartmann import hartmann
from benchmarks.quality.interface import Objective
from benchmarks.quality.recorded import KINDS


def _curves(seed: int, regressor: str = "process") -> Objective:
    from benchmarks.quality.curves import curves  # nothing else here needs scikit-learn

    return curves(KINDS[seed % 2], regressor)


BUILT_IN: dict[str, Callable[[int], Objective]] = {
    "finetuning": finetuning,
    "curves": _curves,
    "curves-trees": lambda seed: _curves(seed, "trees"),
    "hartmann": lambda seed: hartmann("bad", 6),
}
"""Each for a run's seed: another task of fine-tuning; recorded curves, of simpsons-mnist where it is even and
of cifar10 where it is odd, between which one of two surrogates stands; and the same function with other
noise."""
