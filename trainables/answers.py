"""What trained networks say about a part, kept in files: the log-probabilities of one training each."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from spaces.errors import InputError


class AnswersError(InputError):
    """A file does not hold a network's answers."""


def answers_file(folder: Path, number: int) -> Path:
    """Where those of a training are."""
    return folder / f"run-{number}.npz"


def save_answers(path: Path, log_probabilities: np.ndarray) -> None:
    """Writes a file whole or not at all.

    Args:
        log_probabilities: float32 (N, C), in the order of the part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, log_probabilities=log_probabilities)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_answers(path: Path) -> np.ndarray:
    """What `save_answers` wrote.

    Raises:
        AnswersError: The file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = file["log_probabilities"]
    except Exception as fault:  # readers of damaged files raise nearly everything
        reason = f"{type(fault).__name__}: {fault}"
        raise AnswersError(f"{path} does not hold a network's answers ({reason}).") from fault
    if found.ndim != 2 or found.dtype != np.float32:
        raise AnswersError(
            f"{path} holds {found.dtype} {found.shape} in place of float32 (pictures, classes)."
        )
    return found
