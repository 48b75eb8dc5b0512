"""Who drives a search that is kept in a storage: a note there, rewritten every few seconds."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from uuid import uuid4

from trainables.storage import Storage, StorageError

NOTE = "driver.json"
BEAT_S, GONE_S = 5.0, 20.0
"""A driver rewrites its note so often; one whose note has not changed for so long is gone."""

Note = dict[str, object]


class Owner:
    """This process as the driver of a search, from `claim` to `release`.

    Nobody's clock is compared with another's: a note that changes is of a driver that lives.

    Args:
        home: The search's folder in the storage.
        told: Hears what is going on.
    """

    def __init__(
        self, home: Storage, told: Callable[[str], None], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._home, self._told, self._sleep = home, told, sleep
        self._token, self._beats = uuid4().hex, 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def claim(self) -> None:
        """Makes this process the driver. Where another one may live, it waits for a sign of that.

        Raises:
            StorageError: Another process drives the search.
            OSError: The storage fails.
        """
        before = self._note()
        if before:
            self._told(
                f"{before.get('host')} has driven this search and left no word. Waiting {GONE_S:g} s to see "
                "whether it still does ..."
            )
            for _ in range(round(GONE_S)):
                self._sleep(1.0)
                now = self._note()
                if not now:
                    break
                if now != before:
                    raise StorageError(
                        f"{self._home}: {now.get('host')} (process {now.get('process')}) runs this search."
                    )
        self.beat()
        self._thread = threading.Thread(target=self._beat_on, daemon=True)
        self._thread.start()

    def is_ours(self) -> bool:
        """Whether no other process has taken the search over.

        Raises:
            OSError: The storage fails.
        """
        return self._note().get("token", self._token) == self._token

    def beat(self) -> None:
        """Says that the driver lives.

        Raises:
            OSError: The storage fails.
        """
        self._beats += 1
        note = {
            "token": self._token,
            "beats": self._beats,
            "host": socket.gethostname(),
            "process": os.getpid(),
        }
        self._home.write(NOTE, json.dumps(note).encode())

    def release(self) -> None:
        """Lets the search go. Another process may drive it at once."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self.is_ours():
            self._home.delete(NOTE)

    def _beat_on(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                if self.is_ours():
                    self.beat()
            except OSError:
                continue  # who copies the search tells that the storage fails

    def _note(self) -> Note:
        return _note_in(self._home)


def drivers(homes: Sequence[Storage], *, sleep: Callable[[float], None] = time.sleep) -> dict[Storage, str]:
    """The hosts that drive these searches now: those whose notes change while this waits.

    Raises:
        OSError: The storage fails.
    """
    before = {home: note for home in homes if (note := _note_in(home))}
    if before:
        sleep(2 * BEAT_S)
    return {home: str(note.get("host")) for home, note in before.items() if _note_in(home) not in (note, {})}


def _note_in(home: Storage) -> Note:
    """What the note of a search's folder says; empty where there is none."""
    try:
        found = json.loads(home.read(NOTE))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@contextlib.contextmanager
def owned(home: Storage, told: Callable[[str], None]) -> Iterator[Owner]:
    """This process as the driver of a search within this block; see `Owner.claim`.

    Raises:
        StorageError: Another process drives it, or the storage fails.
    """
    owner = Owner(home, told)
    try:
        owner.claim()
    except OSError as fault:
        raise StorageError(f"{home} cannot be used: {fault}.") from fault
    try:
        yield owner
    finally:
        with contextlib.suppress(OSError):
            owner.release()
