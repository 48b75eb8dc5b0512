"""A retrain on the machines of a Ray cluster: the Python API behind `python -m search.retrain --ray`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from search.console.chatter import chatter_to
from search.console.interrupts import stopped_by_signals
from search.model.keeping import STATES
from search.model.training import Heard
from search.storage.folder import FolderError, SearchFolder
from search.trials.trials import Outcome, Trial
from search.tune.cluster import Cluster, ClusterError, cluster_at
from search.tune.connection import Connection
from search.tune.driver import StopAll, Venue, carried, run
from search.tune.reach import require_reach
from search.tune.resources import Resources, share
from search.tune.single import Single
from spaces.recipe_files import TrialConfig
from trainables.checkpoint import Checkpoint, CheckpointError
from trainables.course import Course
from trainables.data import read_split
from trainables.storage import Storage
from trainables.weight_files import digest
from trainables.worker import Workplace

GPU, NODE = "a GPU of the cluster", "a node of the cluster"
"""What trains."""


@contextlib.contextmanager
def over_ray(
    folder: SearchFolder, *, address: str, gpus: str = "all", home: Storage | None = None
) -> Iterator[OverRay]:
    """Joins a cluster until the end of this block, in which what libraries print goes to the search's log.

    Args:
        folder: Of the search whose pictures are used.
        address: Of the cluster; `auto`: the one that runs here, or that RAY_ADDRESS names.
        gpus: How many; `all` those that there are, or those that its autoscaler may add where there is none.
            In a cluster without any, every node is a device.
        home: The search's folder in its storage, where it has one.

    Raises:
        ClusterError: No cluster answers, or it has not so many.
    """
    if cluster_at(address) is None:
        raise ClusterError(
            f"--ray {address}: no Ray cluster runs on this machine, and RAY_ADDRESS names none. Give its "
            "address (host:port), or leave --ray out to train on this machine alone."
        )
    settings = folder.settings().model_copy(update={"ray": address})
    with chatter_to(folder.log_file) as terminal, contextlib.closing(Connection(settings)) as connection:
        cluster = connection.cluster()
        console = Console(file=terminal.file, highlight=False, markup=False, soft_wrap=True)
        console.print(f"Ray: {cluster.description}")
        yield OverRay(folder, cluster, _devices(cluster, gpus), home, console)


class OverRay:
    """Trains on a cluster; a `search.model.training.Elsewhere`."""

    def __init__(
        self,
        folder: SearchFolder,
        cluster: Cluster,
        devices: list[str],
        home: Storage | None,
        console: Console,
    ) -> None:
        self.devices, self.console = devices, console
        self._folder, self._cluster, self._home = folder, cluster, home

    def __call__(
        self, config: TrialConfig, course: Course, state_file: Path, *, workers: int, heard: Heard
    ) -> None:
        """Trains until the file holds the state after the last epoch.

        The workers keep the state where all of them can: beside the file itself, or in the search's storage,
        from which it is brought here in the end, whatever the end. A training that loses its machines waits
        for others, and goes on from its state.

        Raises:
            ClusterError: There is too little for it.
            FolderError: It failed, hung, or was lost too often.
            StorageError: The state cannot be kept where all nodes see it.
            KeyboardInterrupt: It was interrupted, or no node was left for it.
        """
        resources = self._resources(workers)
        here = there = _State(Storage.of(state_file.parent), state_file.name)
        if self._home:
            there = _State(self._home / STATES, here.name.lstrip("."))
        if len(self._cluster.nodes) > 1:
            require_reach(there.folder, stored=self._home is not None)
        known = _same(here, there)
        trial = Trial(0, config.recipe.to_dict(), {}, config.seed, config.epochs or 0, origin="given")
        single = Single(trial, known=known, heard=heard, told=self.console.print)
        stop = StopAll()
        venue = Venue(
            self._place(config, course, there, workers),
            resources,
            most=1,
            to_come=self._cluster.to_come,
            told=self.console.print,
            counted=lambda nodes: None,
            silence_s=self._silence_s(course),
            stop=stop,
        )
        self.console.print(
            f"Training on {resources.asked(resources.worker)}. Messages of Ray go to {self._folder.log_file}."
        )
        try:
            with stopped_by_signals(stop.stop, self.console, "what has been trained is kept"):
                run(single, venue, tick=lambda: None)
        finally:
            _same(here, there)
        if single.record.outcome is None:
            raise KeyboardInterrupt
        if single.record.outcome is not Outcome.COMPLETE:
            raise FolderError(
                f"the training ended on the cluster: {single.record.error}. There is more in "
                f"{self._folder.log_file}. The same command goes on after the last epoch."
            )

    def _resources(self, workers: int) -> Resources:
        """What each of the workers gets: an equal share of its node."""
        asked: dict[str, Any] = {
            "workers_per_trial": workers,
            "gpus_per_trial": float(GPU in self.devices),
            "cpus_per_trial": None,
            "resources": {},
            "concurrency": 1,
        }
        return share(self._cluster, self._folder.settings().model_copy(update=asked))

    def _place(self, config: TrialConfig, course: Course, state: _State, workers: int) -> Workplace:
        settings, path = self._folder.settings(), config.recipe.model.weights
        weights = {path: digest(Path(path))} if path and Path(path).exists() else {}
        return Workplace(
            source=self._folder.read_json(self._folder.settings_file)["source"] if settings.data else None,
            split=read_split(self._folder.split_file),
            cache_dir=settings.cache_dir,
            cache_gb=settings.cache_gb,
            checkpoints=state.folder,
            state=state.name,
            course=course,
            imports=settings.imports,
            workers=workers,
            batch_norm=settings.batch_norm,
            weights=carried(weights, joined=True),
        )

    def _silence_s(self, course: Course) -> float:
        """How long an epoch may take: as long as one of the search, picture by picture."""
        parts = read_split(self._folder.split_file)["part"]
        growth = parts.isin(course.parts).sum() / (parts == "train").sum()
        return 60 * self._folder.settings().timeout_min * max(1.0, float(growth))


def _devices(cluster: Cluster, wanted: str) -> list[str]:
    """What trains, as many.

    Raises:
        ClusterError: There are not so many, and not so many may come.
    """
    there = sum(int(node.gpus) for node in cluster.nodes)
    to_come = sum(kind.most * int(kind.node.gpus) for kind in cluster.to_come)
    number = int(wanted) if wanted.isdecimal() else 0
    if wanted != "all" and not 1 <= number <= max(there, to_come):
        raise ClusterError(f"--gpus {wanted}: a number from 1 on, or all; {cluster}.")
    gpus = (there or to_come) if wanted == "all" else number
    nodes = sum(node.cpus >= 1 for node in cluster.nodes)
    if not gpus and not nodes:
        raise ClusterError(f"nothing can train: {cluster}.")
    return [GPU] * gpus or [NODE] * nodes


@dataclass(frozen=True)
class _State:
    """A file that holds the state of a training, or will."""

    folder: Storage
    name: str

    @property
    def epochs(self) -> int:
        """That have been trained; 0 where there is no state that can be read."""
        try:
            with self.folder.reading(self.name) as stream:
                return Checkpoint.read(stream, self.name).epoch
        except (OSError, CheckpointError):
            return 0


def _same(here: _State, there: _State) -> int:
    """Has both hold the state of the one that is further, and tells how far that is."""
    known, elsewhere = here.epochs, there.epochs
    if known != elsewhere:
        ahead, behind = (here, there) if known > elsewhere else (there, here)
        behind.folder.write(behind.name, ahead.folder.read(ahead.name))
    return max(known, elsewhere)
