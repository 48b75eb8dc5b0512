"""The built-in objectives by name."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.quality.finetuning import finetuning
from benchmarks.quality.hartmann import hartmann
from benchmarks.quality.interface import Objective

BUILT_IN: dict[str, Callable[[int], Objective]] = {
    "finetuning": finetuning,
    "hartmann": lambda seed: hartmann("bad", 6),
}
"""Each for a run's seed: another task of fine-tuning, and the same function with other noise."""
