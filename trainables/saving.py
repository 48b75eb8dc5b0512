"""How often the state of a training is saved: seldom where that takes long, but the last in any case."""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from trainables.storage import Storage

if TYPE_CHECKING:
    from trainables.checkpoint import Checkpoint

SHARE = 0.05
"""Of a training's time, at most, that saving takes."""

_log = logging.getLogger(__name__)


class Saver:
    """Saves a training's states in one file, each in place of the one before.

    Where the storage fails, the training goes on, and its next state is saved later: it needs its state only
    when it is cut off.

    Args:
        clock: Seconds, from any start.
    """

    def __init__(self, storage: Storage, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._name, self._clock = storage, name, clock
        self._due = -math.inf
        self._unsaved: Checkpoint | None = None
        self.fault: str | None = None
        """Why the last state that was to be saved is not, for people."""

    def offer(self, checkpoint: Checkpoint) -> None:
        """Saves a state, unless one has been saved a moment ago."""
        self._unsaved = checkpoint
        if self._clock() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Saves the last state that was offered, where it has not been saved."""
        if self._unsaved is None:
            return
        started = self._clock()
        try:
            with self._storage.writing(self._name) as stream:
                self._unsaved.write(stream)
            self._unsaved, self.fault = None, None
        except (OSError, RuntimeError) as fault:  # torch raises the latter where a disk is full
            self.fault = f"{self._storage} on {socket.gethostname()}: {str(fault).splitlines()[0]}"
            _log.warning("%s cannot be saved in %s: %s", self._name, self._storage, fault)
        ended = self._clock()
        self._due = ended + (ended - started) / SHARE

    def require_saved(self) -> None:
        """Makes sure that the last state that was offered is saved.

        Raises:
            OSError: It cannot be.
        """
        self.flush()
        if self.fault:
            raise OSError(self.fault)
