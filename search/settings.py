"""The settings of a search: what `search.run` was asked for, written to `settings.json`."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from search.trials import METRICS, Metric
from trainables.data import default_cache_dir

Count = Annotated[int, Field(ge=1)]


def _amount(given: Any) -> Any:
    """`25M` and `300k` as numbers; anything else as it is."""
    if not isinstance(given, str):
        return given
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", given.strip())
    if match is None:
        raise ValueError("must be a number such as 300k, 2.5M or 25000000")
    return round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()])


class Settings(BaseModel):
    """Everything that a search is told. The defaults search the built-in demo."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    """The search's folder under `results/`."""
    data: str | None = None
    """Folder or manifest of pictures; None is the built-in demo."""
    space: str | None
    """A built-in space's name, or a file; None where one recipe is trained alone."""
    start_from: tuple[str, ...] = ()
    """Recipes that are tried first: built-in names, or files."""
    trials: Count = 16
    """How many recipes are tried."""
    max_epochs: Count = 12
    """Full length of a trial, in passes over the training part."""
    metric: str = "val_accuracy"
    seed: Annotated[int, Field(ge=0)] = 0
    classes: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """Takes only these classes."""
    min_per_class: Count = 10
    imports: tuple[str, ...] = ()
    """Modules that register networks of the user's own."""
    max_params: Annotated[Count | None, BeforeValidator(_amount)] = None
    """Larger networks are not tried, by their number of parameters."""
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    """Slower networks are not tried, by the milliseconds that one picture takes on this machine."""
    reduction: Annotated[int, Field(ge=2)] = 3
    """At each rung one trial in so many goes on."""
    concurrency: Count | None = None
    """Trials at a time; None: as many as fit."""
    workers_per_trial: Count = 1
    cpus_per_trial: Annotated[float, Field(gt=0)] | None = None
    """CPUs of each worker; None: an equal share."""
    gpus_per_trial: Annotated[float, Field(ge=0)] | None = None
    """GPUs of each worker; None: one where there is one."""
    timeout_min: Annotated[float, Field(gt=0)] = 30.0
    """A trial that reports no epoch for so many minutes is given up."""
    ray: str = "auto"
    cache_dir: str

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in METRICS:
            raise ValueError(f"must be one of {', '.join(METRICS)}")
        return name

    @field_validator("name")
    @classmethod
    def _a_folder_name(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError("must be a folder's name: letters, digits, _, - and ., without - or . in front")
        return name

    @property
    def scored_by(self) -> Metric:
        """The metric that ranks trials."""
        return METRICS[self.metric]

    def what_matters(self) -> dict[str, Any]:
        """The settings that decide on trials and scores: a resumed search must have the same.

        Data and space are compared by their contents, elsewhere.
        """
        names = (
            *("max_epochs", "metric", "seed", "classes", "min_per_class", "imports", "reduction"),
            *("max_params", "max_latency_ms"),
        )
        return {name: getattr(self, name) for name in names}


def from_options(given: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """What a command line gave, as `Settings` take it, over these defaults."""
    given = {**defaults, **given}
    given.setdefault("cache_dir", str(default_cache_dir()))
    if isinstance(given.get("classes"), str):
        given["classes"] = tuple(name.strip() for name in given["classes"].split(",") if name.strip())
    if given.get("data") is not None:
        given["data"] = str(Path(given["data"]).expanduser())
    # Trials run in other folders than this process.
    given["cache_dir"] = str(Path(given["cache_dir"]).expanduser().resolve())
    return given


def name_after(what: str) -> str:
    """A name for a folder, of its own: what it is about, in letters that a shell takes, and the time."""
    stem = re.sub(r"[^\w.-]+", "-", what).strip("-.")
    return f"{stem or 'pictures'}-{time.strftime('%Y%m%d-%H%M%S')}"
