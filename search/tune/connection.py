"""Ray, joined or started in the background while a search is still being planned."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging

import ray

from search.settings.settings import Settings
from search.storage.scratch import scratch
from search.tune.cluster import Cluster, connect


class Connection:
    """Connects to Ray from now on until `close`, which must be called in any case."""

    def __init__(self, settings: Settings) -> None:
        logging.getLogger("ray").setLevel(logging.ERROR)  # it would say that this is not the main thread
        # Linux ends Ray's processes together with the thread that started them: it lives until `close`.
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._left = contextlib.ExitStack()
        self._cluster = self._thread.submit(
            connect,
            settings.ray,
            worker_groups=settings.workers_per_trial > 1,
            folder=self._left.enter_context(scratch()),
        )

    def cluster(self) -> Cluster:
        """Waits until it is connected.

        Raises:
            ClusterError: The address does not answer.
        """
        return self._cluster.result()

    def close(self) -> None:
        """Leaves Ray, and ends it where it was started here."""
        concurrent.futures.wait([self._cluster])
        ray.shutdown()
        self._left.close()
        self._thread.shutdown()
