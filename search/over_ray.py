"""A retrain on the machines of a Ray cluster: the Python API behind `python -m search.retrain --ray`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from search.console.chatter import chatter_to
from search.console.interrupts import stopped_by_signals
from search.model.keeping import Keeping
from search.model.training import Heard
from search.storage.folder import FolderError, SearchFolder
from search.text import count
from search.trials.trials import Outcome, Trial
from search.tune.cluster import Cluster, ClusterError, cluster_at
from search.tune.connection import Connection
from search.tune.driver import StopAll, Venue, carried, run
from search.tune.nodes import nodes_alive
from search.tune.reach import require_reach
from search.tune.resources import Resources
from search.tune.room import TO_COME_S
from search.tune.single import Single
from spaces.recipe_files import TrialConfig
from trainables.checkpoint import Checkpoint, CheckpointError
from trainables.course import Course
from trainables.data import read_split
from trainables.storage import Storage, StorageError
from trainables.weight_files import digest
from trainables.workplace import Slot, Workplace

GPU, NODE = "a GPU of the cluster", "a node of the cluster"
"""What trains."""


@contextlib.contextmanager
def over_ray(
    folder: SearchFolder, *, address: str, gpus: str = "all", keeping: Keeping | None = None
) -> Iterator[OverRay]:
    """Joins a cluster until the end of this block, in which what libraries print goes to the search's log.

    Args:
        folder: Of the search whose pictures are used.
        address: Of the cluster; `auto`: the one that runs here, or that RAY_ADDRESS names.
        gpus: How many; `all`: those that there are, or as many as its autoscaler may have if that is more. In
            a cluster without any, every node is a device.
        keeping: Keeps the retrain in the search's storage, where it has one.

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
        yield OverRay(folder, cluster, devices_of(cluster, gpus), keeping, console)


class OverRay:
    """Trains on a cluster; a `search.model.training.Elsewhere`."""

    def __init__(
        self,
        folder: SearchFolder,
        cluster: Cluster,
        devices: list[str],
        keeping: Keeping | None,
        console: Console,
    ) -> None:
        self.devices, self.console = devices, console
        self._folder, self._cluster, self._keeping = folder, cluster, keeping

    def __call__(
        self, config: TrialConfig, course: Course, state_file: Path, *, workers: int, heard: Heard
    ) -> None:
        """Trains until the file holds the state after the last epoch.

        The workers keep the state where all of them can: beside the file itself, or in the search's storage,
        from which it is brought here in the end, whatever the end. A training that loses machines waits for
        others, for a while, and goes on from its state with those that there are.

        Raises:
            ClusterError: There is too little for it, or nothing any more.
            FolderError: It failed, hung, or was lost too often.
            StorageError: The state cannot be kept where all nodes see it.
            KeyboardInterrupt: It was interrupted.
        """
        here = there = _State(Storage.of(state_file.parent), state_file.name)
        if self._keeping:
            there = _State(self._keeping.states, self._keeping.name(state_file))
        if len(self._cluster.nodes) > 1:
            require_reach(there.folder, stored=self._keeping is not None)
        try:
            known = _level(here, there)
        except OSError as fault:
            raise StorageError(f"{there.folder} cannot be used: {fault}.") from fault
        trial = Trial(0, config.recipe.to_dict(), {}, config.seed, config.epochs or 0, origin="given")
        single = Single(trial, known=known, heard=heard, told=self.console.print)
        try:
            while not self._ended(single, self._place(config, course, there, workers)):
                workers = self._fewer(workers)
        finally:
            try:
                _level(here, there)
            except OSError as fault:
                self.console.print(f"{there.folder} fails: {fault}. What has been trained is there alone.")
        if single.record.outcome is not Outcome.COMPLETE:
            raise FolderError(
                f"the training ended on the cluster: {single.record.error}. There is more in "
                f"{self._folder.log_file}. The same command goes on after the last epoch."
            )

    def _ended(self, single: Single, place: Workplace) -> bool:
        """Trains until it ends, in whatever way, or there is no room for so many workers any more."""
        resources = resources_of(self._cluster, place.workers, on_gpus=GPU in self.devices)
        stop = StopAll()
        venue = Venue(
            place,
            resources,
            most=1,
            to_come=self._cluster.to_come,
            told=self.console.print,
            counted=lambda nodes: None,
            silence_s=self._silence_s(place.course),
            stop=stop,
            then="it goes on with fewer workers, if there is a node for one",
            to_come_s=TO_COME_S,
        )
        self.console.print(
            f"Training on {resources.asked(resources.worker)}. Messages of Ray go to {self._folder.log_file}."
        )
        with stopped_by_signals(stop.stop, self.console, "what has been trained is kept") as interrupted:
            run(single, venue, tick=lambda: None)
        if interrupted.is_set():
            raise KeyboardInterrupt
        return single.record.outcome is not None

    def _fewer(self, workers: int) -> int:
        """As many workers as there is room for now, without an autoscaler."""
        self._cluster = replace(self._cluster, nodes=nodes_alive(), to_come=())
        left = len(devices_of(self._cluster, "all"))
        if left >= workers:
            raise ClusterError(
                f"{count(workers, 'worker')} found no room, and {self._cluster}. Is the cluster in use? The "
                "same command goes on after the last epoch."
            )
        return left

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


def devices_of(cluster: Cluster, wanted: str) -> list[str]:
    """What trains, as many.

    Args:
        wanted: How many GPUs, or `all`.

    Raises:
        ClusterError: There are not so many, and not so many may come.
    """
    there = sum(node.room(1, 1) for node in cluster.nodes)
    to_come = sum(kind.most * kind.node.room(1, 1) for kind in cluster.to_come)
    number = int(wanted) if wanted.isdecimal() else 0
    if wanted != "all" and not 1 <= number <= max(there, to_come):
        raise ClusterError(f"--gpus {wanted}: a number from 1 on, or all; {cluster}.")
    gpus = max(there, to_come) if wanted == "all" else number
    nodes = sum(node.room(1, 0) > 0 for node in cluster.nodes)
    if not gpus and not nodes:
        raise ClusterError(f"nothing can train: {cluster}.")
    return [GPU] * gpus or [NODE] * nodes


def resources_of(cluster: Cluster, workers: int, *, on_gpus: bool) -> Resources:
    """What the workers get: a GPU each, or a node, and as many CPUs as the one that has least can give."""
    nodes = [kind.node for kind in cluster.kinds if kind.node.room(1, on_gpus)]
    cpus = min(int(node.cpus) // (node.room(1, 1) if on_gpus else 1) for node in nodes)
    return Resources(1, Slot(float(cpus), float(on_gpus)), workers)


@dataclass(frozen=True)
class _State:
    """A file that holds the state of a training, or will."""

    folder: Storage
    name: str

    @property
    def epochs(self) -> int:
        """That have been trained; 0 where there is no state, or a damaged one."""
        try:
            with self.folder.reading(self.name) as stream:
                return Checkpoint.read(stream, self.name).epoch
        except (FileNotFoundError, CheckpointError):
            return 0


def _level(here: _State, there: _State) -> int:
    """Has both hold the state of the one that is further, and tells how far that is.

    Raises:
        OSError: One of them cannot be read or written.
    """
    known, elsewhere = here.epochs, there.epochs
    if known != elsewhere:
        ahead, behind = (here, there) if known > elsewhere else (there, here)
        behind.folder.write(behind.name, ahead.folder.read(ahead.name))
    return max(known, elsewhere)
