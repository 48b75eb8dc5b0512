"""The trackers there are: by name, from a command line's options to something that takes runs."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from search.storage.folder import SearchFolder
from search.tracking.runs import Run
from spaces.errors import InputError


class TrackingError(InputError):
    """A tracker cannot be had."""


class Tracker(Protocol):
    """Shows a search in one tool. Whatever a method raises, the search goes on.

    It is made for one process that follows one search, and is told every run anew when the next one begins:
    so it finds out by itself what its tool has already.
    """

    look: str
    """How to see the runs, for people: a command or an address."""

    def write(self, run: Run) -> None:
        """Brings the tool's run level with this one: adds what it lacks, and nothing twice."""

    def close(self) -> None:
        """Lets go of what is open; nothing is written any more."""


@dataclass(frozen=True)
class Kind:
    """A tracker that can be asked for."""

    title: str
    place: str
    """Where its runs go, in words."""
    library: str
    """The module that it needs."""
    adapter: str
    """The module of ours that makes it, by `open_tracker(folder, identity)`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What its library reads when it is imported, where the user has not set it otherwise."""


KINDS = {
    "tensorboard": Kind(
        "TensorBoard", "in results/NAME/tensorboard", "tensorboard", "search.tracking.to_tensorboard"
    ),
    "mlflow": Kind(
        "MLflow",
        "at MLFLOW_TRACKING_URI, else in results/mlflow",
        "mlflow",
        "search.tracking.to_mlflow",
        {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a server that is gone is tried again later, by `follow`
        },
    ),
    "wandb": Kind(
        "Weights & Biases",
        "on its server; without a login in results/NAME/wandb, for wandb sync",
        "wandb",
        "search.tracking.to_wandb",
        {"WANDB_ERROR_REPORTING": "false"},
    ),
}
"""By the name of the option, which is also that of the extra that installs the library."""


def check_installed(names: Iterable[str]) -> None:
    """Makes sure that the libraries of these trackers are there, without importing them.

    Raises:
        TrackingError: One is not; the message says how to install it.
    """
    for name in names:
        found = importlib.util.find_spec(KINDS[name].library)
        if found is None or found.origin is None:  # a folder of that name, such as wandb's own, is no library
            raise TrackingError(
                f"--{name}: {KINDS[name].title} is not installed here. Install it, or leave the option out: "
                f"pip install -c constraints.txt -e '.[{name}]'"
            )


def open_tracker(name: str, folder: SearchFolder, identity: str) -> Tracker:
    """Imports the tracker's library and begins.

    Args:
        identity: Of the search; see `search.tracking.runs.identity`.
    """
    for variable, value in KINDS[name].environment.items():
        os.environ.setdefault(variable, value)
    tracker: Tracker = importlib.import_module(KINDS[name].adapter).open_tracker(folder, identity)
    return tracker
