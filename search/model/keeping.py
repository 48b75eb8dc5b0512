"""A retrain kept in its search's storage: what it has trained so far, and the model that it comes to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from search.model.training import STATE_SUFFIX
from search.storage.folder import METRICS_FILE, SearchFolder
from search.storage.owner import NOTE
from trainables.saving import SHARE
from trainables.storage import Storage

STATES = "retrain"
"""In the storage: the states of trainings that are not done."""


class Keeping:
    """Copies the states of a retrain to the storage, as often as `Saver` those of trials, and its model.

    What fails is said, and the retrain goes on.

    Args:
        home: The search's folder in the storage.
        out: Where the model is going to be.
        model: Whether the model is kept there, too.
        told: Hears what is going on.
        clock: Seconds, from any start.
    """

    def __init__(
        self,
        folder: SearchFolder,
        home: Storage,
        out: Path,
        *,
        model: bool = True,
        told: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._home, self._out = folder, home, out
        self._model, self._told, self._clock = model, told, clock
        self._due = -math.inf

    @property
    def states(self) -> Storage:
        """Where the states are."""
        return self._home / STATES

    @staticmethod
    def name(path: Path) -> str:
        """What the state in this file is called there."""
        return path.name.removeprefix(".")

    def bring(self) -> None:
        """Brings here what another machine has trained of this model, where there is nothing of it here; and
        how often the test part has been read.

        Raises:
            OSError: The storage fails.
        """
        states, readings = self.states, self._folder.readings_file
        for name in states.files():
            path = self._out.with_name(f".{name}")
            if _is_of(path, self._out) and not path.exists():
                Storage.of(path.parent).write(path.name, states.read(name))
        if self._home.exists(readings.name):
            there = self._home.read(readings.name)
            if not readings.exists() or there.startswith(readings.read_bytes()):
                Storage.of(self._folder.path).write(readings.name, there)

    def tick(self) -> None:
        """Copies the states, unless they have been copied a moment ago."""
        if self._clock() < self._due:
            return
        started = self._clock()
        self._tried(self._copy_states)
        ended = self._clock()
        self._due = ended + (ended - started) / SHARE

    def finish(self) -> None:
        """Copies the model, its scores last, and deletes what was kept of its training."""
        if self._model:
            self._tried(self._copy_model)
        self._tried(self._delete_states)

    def _copy_states(self) -> None:
        for path in self._out.parent.iterdir():
            if _is_of(path, self._out):
                self.states.write(self.name(path), path.read_bytes())

    def _copy_model(self) -> None:
        model = self._home / self._out.name
        model.delete(METRICS_FILE)  # a model without it is none
        files = [path for path in self._out.rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: path.name == METRICS_FILE):
            model.write(path.relative_to(self._out).as_posix(), path.read_bytes())
        shown = [self._folder.readings_file]
        if not self._home.exists(NOTE):  # else its driver copies the page
            shown += [self._folder.page_file]
        for path in shown:
            self._home.write(path.name, path.read_bytes())

    def _delete_states(self) -> None:
        for name in self.states.files():
            if _is_of(self._out.with_name(f".{name}"), self._out):
                self.states.delete(name)

    def _tried(self, copy: Callable[[], None]) -> None:
        try:
            copy()
        except OSError as fault:
            self._told(f"The storage {self._home} fails: {fault}. What is here is whole all the same.")


def _is_of(path: Path, out: Path) -> bool:
    """Whether a file is the state of a training for this model."""
    return path.name.startswith(f".{out.name}.") and path.name.endswith(STATE_SUFFIX)
