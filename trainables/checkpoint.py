"""The whole state of a training in one file, written atomically, loaded without running code from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from spaces.errors import InputError
from spaces.flat import flatten
from trainables.storage import Storage


class CheckpointError(InputError):
    """A file is not a checkpoint of this training."""


def checkpoint_name(trial: int) -> str:
    """The file in which the state of a search's trial is kept, while it may be needed."""
    return f"trial-{trial:05d}.pt"


@dataclass(frozen=True)
class Checkpoint:
    """State after an epoch.

    Every epoch's randomness is drawn from generators made of the seed and the epoch, so these two are
    the whole state of the random numbers.
    """

    recipe: dict[str, Any]
    seed: int
    epochs: int
    """Full length of the training."""
    history: list[dict[str, float]]
    """What each epoch so far reported, in order: a training resumed from here can report it again."""
    model: dict[str, Any]
    ema: dict[str, Any] | None
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    scaler: dict[str, Any]
    best: dict[str, Any]
    """See `trainables.best.BestEpoch`."""

    @property
    def metrics(self) -> dict[str, float]:
        """What the last epoch reported."""
        return self.history[-1]

    @property
    def epoch(self) -> int:
        """The epoch it was taken after, counted from 1."""
        return int(self.metrics["epoch"])

    def require(self, **identity: Any) -> None:
        """Makes sure that it belongs to a training.

        Args:
            identity: The training's `recipe`, `seed` and `epochs`.

        Raises:
            CheckpointError: It is of another training; the message names what differs.
        """
        ours, asked = flatten({key: getattr(self, key) for key in identity}), flatten(identity)
        differs = [
            f"{name} is {ours.get(name)} and not {asked.get(name)}"
            for name in sorted(ours.keys() | asked.keys())
            if ours.get(name) != asked.get(name)
        ]
        if differs:
            raise CheckpointError(f"the checkpoint is of another training: its {', '.join(differs)}.")

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        with Storage.of(path.parent).writing(path.name) as stream:
            self.write(stream)

    def write(self, stream: IO[bytes]) -> None:
        """Writes it to a stream."""
        torch.save(vars(self), stream)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Reads a file that `save` wrote; tensors come to the CPU.

        Raises:
            CheckpointError: The file is damaged, or is something else.
        """
        try:
            with path.open("rb") as file:
                return cls.read(file, str(path))
        except OSError as fault:
            raise CheckpointError(f"{path}: not a readable checkpoint ({fault.strerror}).") from fault

    @classmethod
    def read(cls, stream: IO[bytes], name: str) -> Checkpoint:
        """Reads what `write` wrote; tensors come to the CPU.

        Args:
            name: For people.

        Raises:
            CheckpointError: It is damaged, or is something else.
        """
        try:
            return cls(**torch.load(stream, map_location="cpu", weights_only=True))
        except Exception as fault:  # torch raises nearly everything on damaged files
            raise CheckpointError(
                f"{name}: not a readable checkpoint ({fault}). Delete it to start this trial anew."
            ) from fault
