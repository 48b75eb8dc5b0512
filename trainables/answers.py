"""What trained networks say about a part, kept in files: the log-probabilities of one training each."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from spaces.errors import InputError
from trainables.storage import Storage


class AnswersError(InputError):
    """A file does not hold a network's answers."""


def answers_name(number: int) -> str:
    """The file with those of a training."""
    return f"run-{number}.npz"


def answers_file(folder: Path, number: int) -> Path:
    """Where it is."""
    return folder / answers_name(number)


def packed(log_probabilities: np.ndarray) -> bytes:
    """What the file holds.

    Args:
        log_probabilities: float32 (N, C), in the order of the part.
    """
    content = io.BytesIO()
    np.savez_compressed(content, log_probabilities=log_probabilities)
    return content.getvalue()


def save_answers(path: Path, log_probabilities: np.ndarray) -> None:
    """Writes a file whole or not at all; for the argument see `packed`."""
    Storage.of(path.parent).write(path.name, packed(log_probabilities))


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
