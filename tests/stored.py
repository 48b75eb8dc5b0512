"""A search that is kept in a storage, which can be taken away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from search.storage.folder import SearchFolder
from search.trials.records import RecordFile
from search.trials.trials import Outcome
from tests.simulated import epoch, search_folder, trial
from trainables.storage import Storage


class Away(Storage):
    """A folder that cannot be reached as long as there is a file `away` beside it; notes what is written."""

    def _check(self) -> None:
        if Path(f"{self.root}.away").exists():
            raise OSError("no route to host")

    def read(self, name: str) -> bytes:
        self._check()
        return super().read(name)

    def files(self) -> dict[str, int]:
        self._check()
        return super().files()

    def delete(self, name: str) -> None:
        self._check()
        super().delete(name)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        self._check()
        with super().writing(name) as stream:
            yield stream
        self.log.append(f"{self.below}/{name}".lstrip("/"))

    def require_room(self, files: int) -> None:
        """Fails when so many files have been written."""
        if len(self.log) >= files:
            raise OSError("the machine has died")

    @property
    def log(self) -> list[str]:
        """What has been written, in order."""
        return LOG.setdefault(self.root, [])


LOG: dict[str, list[str]] = {}


def away(storage: Storage, gone: bool) -> None:
    """Takes a storage away, or brings it back."""
    note = Path(f"{storage.root}.away")
    note.touch() if gone else note.unlink()


def begun(path: Path, trials: int = 2) -> SearchFolder:
    """A search's folder with some trials that have ended."""
    folder = search_folder(path, trials=6)
    file = RecordFile(folder.records_file)
    file.session()
    file.close()
    go_on(folder, *range(trials))
    return folder


def go_on(folder: SearchFolder, *numbers: int) -> None:
    """Records further trials."""
    file = RecordFile(folder.records_file)
    for number in numbers:
        file.trial(trial(number))
        file.epoch(epoch(number, 1))
        file.end(number, Outcome.STOPPED)
    file.close()


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """A search with two trials, on this machine."""
    return begun(tmp_path / "results" / "mine")


@pytest.fixture
def home(tmp_path: Path) -> Storage:
    """Where it is kept."""
    return Away(str(tmp_path / "store")) / "mine"


def assert_keeps_files(storage: Storage) -> None:
    """What is written into an empty storage is read, listed and deleted, wherever it is."""
    assert storage.files() == {}
    below = storage / "deep" / "down"
    below.write("a b.json", b"{}")
    below.write("a b.json", b"[1]")
    assert (below.read("a b.json"), below.exists("a b.json"), below.exists("a")) == (b"[1]", True, False)
    assert storage.files() == {"deep/down/a b.json": 3}
    with below.reading("a b.json") as stream:
        stream.seek(1)
        assert stream.read() == b"1]"
    below.delete("a b.json")
    below.delete("a b.json")
    below.delete_empty()
    assert storage.files() == {}
    with pytest.raises(FileNotFoundError):
        below.read("a b.json")
