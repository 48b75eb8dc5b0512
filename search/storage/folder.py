"""A search's folder under results/: its files, its state, and who may write to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from search.settings.allowance import EndedBy
from search.settings.settings import Settings
from search.storage import foreign
from search.trials import records
from search.trials.records import Records
from spaces.errors import InputError

RESULTS = Path("results")
CHECKPOINTS = "checkpoints"
"""In a search's folder, and in that of its rematch: the states of trainings."""
EXPLAINED = "explained"
"""In a model's folder: where the network looks."""
METRICS_FILE = "metrics.json"
"""In a model's folder: what it scored, and how it was trained."""


class FolderError(InputError):
    """A results folder cannot be used as asked."""


class State(StrEnum):
    """What a search's folder tells of it."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    """Stopped by its user, with a leaderboard of what there is."""
    CUT_OFF = "cut off"
    """Its driver died: the records are there, and `--resume` goes on from them."""


class SearchFolder:
    """Names the files of one search. `results/README.md` says what each is for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings_file = path / "settings.json"
        self.environment_file = path / "environment.json"
        self.data_file = path / "data.json"
        self.space_file = path / "space.yaml"
        self.split_file = path / "split.csv"
        self.former_file = path / "former_searches.json"
        self.networks_file = path / "networks.json"
        self.records_file = path / records.FILE
        self.rematch_records_file = path / "rematch.jsonl"
        self.rematch_file = path / "rematch.json"
        self.rematch = path / "rematch"
        self.study_file = path / "study.db"
        self.page_file = path / "leaderboard.html"
        self.best_file = path / "best_config.yaml"
        self.log_file = path / "driver.log"
        self.checkpoints = path / CHECKPOINTS
        self.model = path / "model"
        self.readings_file = path / "test_readings.jsonl"
        self.manifest_file = path / "manifest.json"
        self._lock = FileLock(path / ".driver.lock")

    @classmethod
    def create(cls, path: Path) -> SearchFolder:
        """A new, empty folder.

        Raises:
            FolderError: There is one of this name, or none can be made there.
        """
        folder = cls(path)
        try:
            path.mkdir(parents=True)
        except FileExistsError as fault:
            if folder.only_begun:
                return folder
            raise FolderError(
                f"{path} exists already. Go on with that search by adding --resume, or choose another "
                "--name; nothing was changed."
            ) from fault
        except OSError as fault:
            raise FolderError(f"{path} cannot be made: {fault.strerror}.") from fault
        return folder

    @property
    def only_begun(self) -> bool:
        """Whether a driver died before the folder held enough to go on from."""
        return (self.path / ".driver.lock").exists() and not self.settings_file.exists()

    @classmethod
    def open(cls, path: Path) -> SearchFolder:
        """An existing search.

        Raises:
            FolderError: There is none; the message lists the searches next to it. Or a link leads out of it.
        """
        folder = cls(path)
        if not folder.settings_file.is_file():
            there = ", ".join(other.path.name for other in searches(path.parent)) or "none"
            raise FolderError(f"{path} is not a search's folder. Searches in {path.parent}: {there}.")
        if out := foreign.links_out(path):
            raise FolderError(
                f"{path}: {', '.join(str(link.relative_to(path)) for link in out)} must not be a link that "
                "leads out of the folder: a search reads and writes there. Put the files themselves there."
            )
        return folder

    @classmethod
    @contextlib.contextmanager
    def created(cls, path: Path) -> Iterator[SearchFolder]:
        """A new folder, held until the end of the `with` block; it goes again where no trial has started.

        Raises:
            FolderError: As `create` does.
        """
        folder = cls.create(path)
        with folder.held():
            if folder.settings_file.exists():
                cls.create(path)  # refuses: another process was here first
            try:
                yield folder
            except BaseException:
                if not folder.records_file.exists():  # nothing was tried: the name stays free
                    shutil.rmtree(folder.path)
                raise

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps every other process from driving this search.

        Raises:
            FolderError: Another process drives it.
        """
        try:
            self._lock.acquire(timeout=1)  # `state` of another process may hold it for a moment
        except Timeout as fault:
            raise FolderError(f"{self.path}: another process is running this search.") from fault
        try:
            yield
        finally:
            self._lock.release()

    def sweep(self) -> None:
        """Deletes what a killed driver has left half-written. The folder must be held."""
        for partial in self.path.glob(".*.partial"):
            if partial.is_file():
                partial.unlink(missing_ok=True)

    @property
    def ended_by(self) -> EndedBy | None:
        """Why the search begins no further trial; None as long as its manifest does not say."""
        noted = self.read_json(self.manifest_file).get("ended_by") if self.manifest_file.exists() else None
        return EndedBy(noted) if noted else None

    @property
    def state(self) -> State:
        """What the search is doing, by its manifest and by who holds the folder.

        Raises:
            FolderError: The manifest is damaged.
        """
        if self.manifest_file.exists():
            manifest = self.read_json(self.manifest_file)
            try:
                return State(manifest["state"])
            except (KeyError, TypeError, ValueError) as fault:
                raise FolderError(f"{self.manifest_file} is not a search's manifest: {fault}") from fault
        probe = FileLock(self.path / ".driver.lock")
        try:
            with probe.acquire(timeout=0):
                return State.CUT_OFF
        except Timeout:
            return State.RUNNING

    def settings(self) -> Settings:
        """What the search was asked for.

        Raises:
            FolderError: The file is missing or damaged, or names modules that the folder brings.
        """
        stored = self.read_json(self.settings_file)
        try:
            settings = Settings.model_validate(stored["settings"])
            brought = foreign.modules_in(self.path, settings.imports)
        except (KeyError, TypeError, ValueError) as fault:
            raise FolderError(f"{self.settings_file} does not hold a search's settings: {fault}") from fault
        if brought:
            raise FolderError(
                f"{self.settings_file} asks to import {', '.join(brought)}, which lies in the folder itself, "
                "and nothing from there is executed. If it is yours, move it elsewhere."
            )
        return settings

    def records(self) -> Records:
        """What has happened so far."""
        return records.read(self.records_file)

    @staticmethod
    def read_json(path: Path) -> Any:
        """The contents of one of the folder's JSON files.

        Raises:
            FolderError: It is missing or damaged.
        """
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as fault:
            raise FolderError(f"{path} cannot be read: {fault}") from fault

    @staticmethod
    def write_json(path: Path, value: Any) -> None:
        """Writes one of the folder's JSON files, whole or not at all."""
        write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """What is made of a search's files in this block fails because of these files: they are damaged, or of
    somebody who wrote something else into them.

    Raises:
        FolderError: In place of whatever is raised, but for an `InputError` or an `OSError`.
    """
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as fault:  # a value of another kind makes nearly every error
        raise FolderError(
            f"{path}: a file of it is damaged ({type(fault).__name__}: {fault}). Bring it back from a copy."
        ) from fault


def orphaned(driver: int | None) -> bool:
    """Whether this process was started by a driver that has died."""
    return driver is not None and os.getppid() != driver


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def searches(results: Path = RESULTS) -> list[SearchFolder]:
    """The searches in a results folder, by name."""
    if not results.is_dir():
        return []
    folders = (SearchFolder(path) for path in sorted(results.iterdir()) if path.is_dir())
    return [folder for folder in folders if folder.settings_file.is_file()]
