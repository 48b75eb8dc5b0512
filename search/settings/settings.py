"""The settings of a search: what `search.run` was asked for, written to `settings.json`."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from search.policy.sampler_names import SAMPLERS
from search.settings.allowance import Allowance, duration_s
from search.settings.asks import Ask, asks
from search.settings.objectives import Objectives, weights
from search.trials.trials import METRICS, Metric
from trainables.cache_dir import default_cache_dir
from trainables.storage import Storage, storage_uri

Count = Annotated[int, Field(ge=1)]
DEFAULT_TRIALS = 16
COMMON_NAMES = ("train", "training", "images")
"""Names of folders that say nothing about the pictures in them."""


def _amount(given: Any) -> Any:
    """`25M` and `300k` as numbers; anything else as it is."""
    if not isinstance(given, str):
        return given
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", given.strip())
    found = round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()]) if match else 0
    if found < 1:
        raise ValueError("must be a number over 0, such as 300k, 2.5M or 25000000; without it all is allowed")
    return found


class Settings(BaseModel):
    """Everything that a search is told. The defaults search the built-in demo."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    name: str
    """The search's folder under `results/`."""
    data: str | None = None
    """Folder or manifest of pictures; None is the built-in demo."""
    space: str | None
    """A built-in space's name, or a file; None where one recipe is trained alone."""
    start_from: tuple[str, ...] = ()
    """Recipes that are tried early: built-in names, or files."""
    warm_start: tuple[str, ...] = ()
    """Folders of former searches that this one learns from."""
    trials: Count | None = None
    """How many recipes are tried; None: `DEFAULT_TRIALS` where nothing else ends the search."""
    epochs_total: Count | None = None
    """Passes over the training part, of all trials together."""
    time: str | None = None
    """Such as `4h`: of all sessions, with what is kept back for the retrain."""
    gpu_hours: Annotated[float, Field(gt=0)] | None = None
    """With what is kept back for the retrain."""
    cost: Annotated[float, Field(gt=0)] | None = None
    """In any currency, with what is kept back for the retrain."""
    price: Annotated[float | None, Field(gt=0, validate_default=True)] = None
    """Of a node an hour, in the same currency."""
    patience: Count | None = None
    """Trials in a row without a better score, after which no other begins."""
    max_epochs: Count = 12
    """Full length of a trial, in passes over the training part."""
    metric: str = "val_accuracy"
    objectives: Annotated[dict[str, float], BeforeValidator(weights)] = {}
    """What counts beside the metric: weights of costs by name, see `search.settings.objectives.COSTS`."""
    sampler: str = "forecast"
    """What suggests recipes: a name in `SAMPLERS`."""
    cost_model: Literal["measured", "static"] = "measured"
    """What trials are expected to cost: as epochs took so far, or by their networks' arithmetic alone."""
    seed: Annotated[int, Field(ge=0)] = 0
    classes: tuple[str, ...] | None = None
    """Takes only these classes."""
    min_per_class: Count = 10
    imports: tuple[str, ...] = ()
    """Modules that register networks of the user's own."""
    max_params: Annotated[Count | None, BeforeValidator(_amount)] = None
    """Larger networks are not tried, by their number of parameters."""
    max_latency_ms: float | None = None
    """Slower networks are not tried, by the milliseconds that one picture takes on this machine."""
    reduction: Annotated[int, Field(ge=2)] = 3
    """At each rung one trial in so many goes on."""
    audit: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Of the trials that would be stopped there, the share that runs on as controls; 0: none."""
    rematch: Annotated[int, Field(ge=0)] = 3
    """How many of the best trials are trained again and compared afresh; 0: none."""
    rematch_seeds: Annotated[int, Field(ge=2)] = 3
    """Runs of each of them."""
    prefer: Literal["accuracy", "cost", "latency"] = "accuracy"
    """What decides among those that the rematch cannot tell apart."""
    concurrency: Count | None = None
    """Trials at a time; None: as many as fit."""
    workers_per_trial: Count = 1
    batch_norm: Literal["sync", "local"] = "sync"
    """Over which pictures batch norm takes its statistics where a training has several workers, on GPUs: the
    whole batch's, as one worker would, or each worker's own."""
    cpus_per_trial: Annotated[float, Field(gt=0)] | None = None
    """CPUs of each worker; None: an equal share."""
    gpus_per_trial: Annotated[float, Field(ge=0)] | None = None
    """GPUs of each worker; None: one where there is one."""
    resources: Annotated[dict[str, Ask], BeforeValidator(asks)] = {}
    """What workers get in trials of some networks, by patterns of their names: the first that fits counts."""
    pack: Literal["auto", "off"] = "auto"
    """Whether trials share GPUs, as many as keep one busy, where not told what they get."""
    timeout_min: Annotated[float, Field(gt=0)] = 30.0
    """A trial that reports no epoch for so many minutes is given up."""
    storage: Annotated[str, AfterValidator(storage_uri)] | None = None
    """Where all that is needed to go on is kept too, and the states of trials: a URI, or an absolute path."""
    keep_checkpoints: Annotated[int, Field(ge=0)] = 1
    """How many of the best trials keep the states in which they ended."""
    tensorboard: bool = False
    """Whether the search is shown there, as for `mlflow` and `wandb`."""
    mlflow: bool = False
    wandb: bool = False
    ray: str = "auto"
    cache_dir: str
    cache_gb: Annotated[float, Field(gt=0)] = 100.0
    """Bound of all decoded pictures in `cache_dir`, in 10^9 bytes, on each node: enough for 375,000 pictures
    of 224 px with sides of 4:3, and a small part of most disks."""

    @field_validator("metric", "sampler")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        names = list(METRICS if info.field_name == "metric" else SAMPLERS)
        if name not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return name

    @field_validator("time")
    @classmethod
    def _a_duration(cls, given: str | None) -> str | None:
        if given is not None:
            duration_s(given)
        return given

    @field_validator("price")
    @classmethod
    def _with_a_cost(cls, price: float | None, info: ValidationInfo) -> float | None:
        if "cost" in info.data and (price is None) != (info.data["cost"] is None):
            raise ValueError("--cost AMOUNT and --price PER-NODE-HOUR must be given together")
        return price

    @field_validator("classes")
    @classmethod
    def _two_or_more(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and len(names) < 2:
            raise ValueError("must name at least two classes, with commas between them: A,B")
        return names

    @field_validator("max_latency_ms")
    @classmethod
    def _over_zero(cls, limit_ms: float | None) -> float | None:
        if limit_ms is not None and limit_ms <= 0:
            raise ValueError("must be milliseconds over 0, such as 20; without it all is allowed")
        return limit_ms

    @field_validator("name")
    @classmethod
    def _a_folder_name(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError("must be a folder's name: letters, digits, _, - and ., without - or . in front")
        return name

    @property
    def scored_by(self) -> Metric:
        """The metric that ranks trials: with the costs of the objectives in it."""
        return self.all_objectives.scored_by

    @property
    def all_objectives(self) -> Objectives:
        """The metric, and the costs that count beside it."""
        return Objectives(METRICS[self.metric], self.objectives)

    @property
    def allowance(self) -> Allowance:
        """What the search may use."""
        others = (self.epochs_total, self.time, self.gpu_hours, self.cost, self.patience)
        unlimited = self.trials is None and any(other is not None for other in others)
        return Allowance(
            trials=None if unlimited else self.trials or DEFAULT_TRIALS,
            total_passes=self.epochs_total,
            time_s=duration_s(self.time) if self.time else None,
            gpu_hours=self.gpu_hours,
            cost=self.cost,
            price=self.price or 0.0,
            patience=self.patience,
        )

    @property
    def trackers(self) -> tuple[str, ...]:
        """Where else the search is shown, by names in `search.tracking.trackers.KINDS`."""
        return tuple(name for name in ("tensorboard", "mlflow", "wandb") if getattr(self, name))

    @property
    def home(self) -> Storage | None:
        """The search's folder in its storage, where it has one."""
        return Storage(self.storage) / self.name if self.storage else None

    @property
    def alone(self) -> bool:
        """Whether one recipe is trained alone: there is no search then, and no space."""
        return self.space is None

    @property
    def resume_command(self) -> str:
        """What goes on with it."""
        return resume_command(self.name, alone=self.alone)

    def what_matters(self) -> dict[str, Any]:
        """The settings that decide on trials and scores: a resumed search must have the same.

        Data and space are compared by their contents, elsewhere.
        """
        names = (
            "max_epochs",
            "metric",
            "objectives",
            "seed",
            "classes",
            "min_per_class",
            "imports",
            "reduction",
            "audit",
            "sampler",
            "cost_model",
        )
        return {name: getattr(self, name) for name in names}


def from_options(given: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """What a command line gave, as `Settings` take it, over these defaults."""
    given = {**defaults, **given}
    given.setdefault("cache_dir", str(default_cache_dir()))
    if given.get("storage"):
        given["storage"] = storage_uri(given["storage"])  # here: a ValidationError would repeat a password
    if isinstance(given.get("classes"), str):
        given["classes"] = class_names(given["classes"])
    if given.get("data") is not None:
        given["data"] = str(Path(given["data"]).expanduser())
    # Trials run in other folders than this process.
    given["cache_dir"] = str(Path(given["cache_dir"]).expanduser().resolve())
    return given


def resume_command(name: str, *, alone: bool) -> str:
    """What goes on with the search of this name, or with the training of one recipe alone."""
    return f"python -m search.{'train' if alone else 'run'} --name {name} --resume"


def class_names(given: str) -> tuple[str, ...]:
    """The names in what `--classes` was given."""
    return tuple(name.strip() for name in given.split(",") if name.strip())


def subject(data: str) -> str:
    """What pictures are best known by: the name of their folder or manifest, or where that is one such as
    `train`, which many have, of the folder around it."""
    path = Path(data).expanduser().resolve()
    return (path.parent if path.name.lower() in COMMON_NAMES else path).name


def name_after(what: str) -> str:
    """A name for a folder, of its own: what it is about, in letters that a shell takes, and the time."""
    stem = re.sub(r"[^\w.-]+", "-", what).strip("-.")
    return f"{stem or 'pictures'}-{time.strftime('%Y%m%d-%H%M%S')}"
