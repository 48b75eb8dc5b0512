"""One training, from a recipe to a tested and exported model: what retraining and training alone share."""

from __future__ import annotations

import csv
import glob
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from torch import nn

from search.images.explained import explained
from search.images.explained_files import write_explained
from search.model.calibrated import calibration_of
from search.model.model_card import write_card
from search.settings.settings import subject
from search.statistics.intervals import of_test
from search.storage.folder import EXPLAINED, METRICS_FILE, FolderError, SearchFolder
from search.storage.readings import note_reading
from search.trials.trials import kept_place
from spaces.recipe import Recipe
from spaces.recipe_files import TrialConfig
from trainables.calibration import FALSE_ALARM_RATE, Calibration, tempered
from trainables.checkpoint import Checkpoint, CheckpointError
from trainables.course import Course
from trainables.data import Dataset, Pictures, groups_of, load, read_split
from trainables.data.demo import demo_source
from trainables.evaluate import log_probabilities
from trainables.export import without_folders
from trainables.export_check import export_checked, some_squares
from trainables.loop import TrainData, train
from trainables.metrics import diverged
from trainables.models.create import import_networks
from trainables.parallel import Together, runtimes, train_together
from trainables.quality import quality
from trainables.runtime import Runtime
from trainables.weight_files import digest

PREDICTIONS_FILE = "test_predictions.csv"
STATE_SUFFIX, DIGITS = ".checkpoint.pt", 12
"""The file of a training's state ends so, after so many digits that tell it from other trainings."""

Heard = Callable[[dict[str, float]], None]
"""Hears each epoch's metrics; see `trainables.loop.train`."""
Told = Callable[[str], None]
"""Hears what is going on, in words."""


class Elsewhere(Protocol):
    """Trains in other processes than this one, such as on the machines of a cluster."""

    def __call__(
        self, config: TrialConfig, course: Course, state_file: Path, *, workers: int, heard: Heard
    ) -> None:
        """Trains until the file holds the state after the last epoch; from the state in it, if there is one.

        Args:
            workers: That share out each batch.
            heard: Hears each epoch's metrics.

        Raises:
            InputError: It did not come to its end; what it was then is in the file all the same.
            KeyboardInterrupt: It was interrupted; the same.
        """


class DivergedError(FolderError):
    """A training's loss was no longer a finite number."""


@dataclass(frozen=True)
class Fitted:
    """A network that has been trained, with what is needed to test and export it."""

    model: nn.Module
    config: TrialConfig
    data: Dataset
    parts: tuple[str, ...]
    """What it learned from."""
    history: list[dict[str, float]]
    """What each epoch reported."""

    @property
    def seconds(self) -> float:
        """Of all its epochs."""
        return sum(metrics["epoch_s"] for metrics in self.history)

    @property
    def kept(self) -> dict[str, float]:
        """What the epoch reported whose weights these are."""
        return self.history[kept_place(self.history, self.config.recipe.keep)]


def fit(
    folder: SearchFolder,
    config: TrialConfig,
    out: Path,
    *,
    parts: Sequence[str],
    watched: str | None = None,
    runtime: Runtime | None = None,
    devices: Sequence[str] = (),
    elsewhere: Elsewhere | None = None,
    heard: Heard = lambda metrics: None,
) -> Fitted:
    """Trains on the pictures of a search. One that was cut off goes on from its last epoch.

    Args:
        folder: Of the search, whose split and pictures are used.
        config: With a length.
        out: Where the model is going to be; the state of the training is kept beside it.
        parts: What it learns from.
        watched: The part that steers it; None: nothing is held back, and `config.lr_scales` are repeated.
        devices: Where there are several, they share out each batch, and each has a process of its own.
        elsewhere: Trains instead of this process, on as many devices.

    Raises:
        FolderError: `out` exists, or the weights to start from are other ones than the search had; or what
            `elsewhere` raises.
        DivergedError: The loss was no longer finite.
        DataError: The split's pictures are gone.
        ModelError: The network cannot be made.
    """
    if out.exists():
        raise FolderError(f"{out} exists already. Choose another folder with --out, or move it away.")
    assert config.epochs is not None
    settings = folder.settings()
    import_networks(settings.imports)
    cache_dir = Path(settings.cache_dir)
    stored = folder.read_json(folder.settings_file)
    source = stored["source"]
    opened = partial(
        load,
        Path(source) if settings.data else demo_source(cache_dir),
        read_split(folder.split_file),
        size_px=config.recipe.geometry.size_px,
        cache_dir=cache_dir,
        cache_gb=settings.cache_gb,
    )
    data = opened()
    out.parent.mkdir(parents=True, exist_ok=True)
    state_file = _state_file(out, config)
    resume = _resume_from(state_file)
    if resume is None:
        _require_same_weights(config.recipe, stored.get("weights", {}))
    history = list(resume.history) if resume else []
    runtime = replace(runtime or Runtime(), batch_norm=settings.batch_norm)
    course = Course(tuple(parts), watched, None if watched else config.lr_scales)
    length = len(course.replay or ()) or config.epochs
    over = resume is not None and (resume.epoch >= length or diverged(resume.metrics))
    if elsewhere and not over:
        elsewhere(config, course, state_file, workers=len(devices), heard=heard)
        resume = Checkpoint.load(state_file)  # there is nothing left to train but to take the network out
        history = list(resume.history)
    if len(devices) > 1 and not elsewhere:

        def trained(metrics: dict[str, float]) -> None:
            heard(metrics)
            history.append(metrics)

        training = Together(
            config.recipe,
            partial(_opened, opened, course),
            runtimes(runtime, devices),
            settings.imports,
            state_file,
            resume is not None,
            config.seed,
            config.epochs,
            course.replay,
        )
        model = train_together(training, trained)
    else:

        def report(metrics: dict[str, float], checkpoint: Checkpoint) -> None:
            heard(metrics)  # first: an epoch that is trained again is known, an untold one is lost
            checkpoint.save(state_file)
            history.append(metrics)

        model = train(
            config.recipe,
            course.of(data),
            report,
            runtime=runtime,
            seed=config.seed,
            epochs=config.epochs,
            resume=resume,
            replay=course.replay,
        )
    if diverged(history[-1]):
        state_file.unlink(missing_ok=True)
        raise DivergedError("the training diverged: its loss was no longer a finite number.")
    return Fitted(model, config, data, tuple(parts), history)


def _opened(opened: Callable[[], Dataset], course: Course) -> TrainData:
    return course.of(opened())


def write_model(
    folder: SearchFolder,
    fitted: Fitted,
    out: Path,
    *,
    trial: int | None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    onnx: bool = False,
    runtime: Runtime | None = None,
    told: Told = lambda line: None,
    **facts: Any,
) -> None:
    """Calibrates the model, exports it and checks the files, reads the test part, counts that, and writes the
    model's folder, whole or not at all.

    Args:
        trial: The search's, where it is one: the rematch's runs of it calibrate the model.
        false_alarm_rate: Share of pictures of known classes that may be called unknown.
        onnx: Whether there is a `model.onnx` too, which takes the `onnx` extra.
        facts: For `metrics.json`, beside the scores.

    Raises:
        FolderError: What the rematch left is damaged.
        ExportError: The files do not say what the network says. Nothing was read in both cases, and the
            training is not lost: `fit` has it again at once.
    """
    config = fitted.config
    write_folder(
        folder,
        fitted.model,
        config.recipe,
        fitted.data,
        out,
        calibrated=calibration_of(folder, trial, epochs=config.epochs, false_alarm_rate=false_alarm_rate),
        parts=fitted.parts,
        onnx=onnx,
        runtime=runtime,
        told=told,
        trained={"epochs": int(fitted.kept["epoch"]), "train_loss": fitted.kept["train_loss"]},
        trial=trial,
        **facts,
        seed=config.seed,
        seconds=round(fitted.seconds, 1),
    )
    forget(out)


def write_folder(
    folder: SearchFolder,
    model: nn.Module,
    recipe: Recipe,
    data: Dataset,
    out: Path,
    *,
    calibrated: tuple[Calibration, str | None],
    parts: Sequence[str],
    trained: Mapping[str, Any],
    onnx: bool = False,
    runtime: Runtime | None = None,
    told: Told = lambda line: None,
    **facts: Any,
) -> None:
    """Exports a model and checks the files, reads the test part, counts that, and writes the model's folder,
    whole or not at all.

    Args:
        recipe: Of the network.
        data: In the network's size.
        calibrated: The calibration, or why there is none; see `search.model.calibrated`.
        parts: What it learned from.
        trained: For `trained_on` in `metrics.json`, beside these.
        facts: For `metrics.json`, beside the scores.

    Raises:
        ExportError: See `write_model`.
    """
    settings, (calibration, reason) = folder.settings(), calibrated
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        asked_about = next(part for name in ("selection", *parts) if len(part := data.part(name)))
        told("Exporting, and checking the files in a fresh process ...")
        export_checked(
            model,
            recipe,
            data.classes,
            partial,
            squares=some_squares(asked_about, recipe.geometry),
            calibration=calibration,
            imports=settings.imports,
            onnx=onnx,
        )
        pictures = data.part("test")
        raw = log_probabilities(model, recipe, pictures, runtime=runtime)
        said = tempered(raw, calibration.temperature)
        test = quality(pictures.labels, said, data.classes, unknown_below=calibration.unknown_below)
        groups = groups_of(read_split(folder.split_file), "test")
        metrics = {
            "test": test | of_test(pictures.labels, said, groups),
            "calibration": None if reason else calibration.model_dump(),
            "not_calibrated": reason,
            "test_uncalibrated": None if reason else _error(quality(pictures.labels, raw, data.classes)),
            "test_readings": note_reading(folder, out.name, test["accuracy"]),
            "trained_on": {"parts": list(parts), "pictures": len(data.part(*parts)), **trained},
            "data": subject(settings.data) if settings.data else None,
            "search": settings.name,
            "ensemble": None,
            **facts,
            "recipe": without_folders(recipe).to_dict(),
        }
        _write_predictions(pictures, said, partial / PREDICTIONS_FILE)
        looked = explained(model, recipe, pictures, said, runtime=runtime)
        write_explained(looked, partial / EXPLAINED)
        folder.write_json(partial / METRICS_FILE, metrics)
        write_card(partial, settings.imports)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def forget(out: Path) -> None:
    """Deletes the states of trainings once a model has been written: those of its own, and of others that
    were given up for it, such as of another seed."""
    for path in out.parent.glob(f".{glob.escape(out.name)}.{'[0-9a-f]' * DIGITS}{STATE_SUFFIX}"):
        path.unlink(missing_ok=True)


def _error(test: dict[str, Any]) -> dict[str, float]:
    """What of a quality a temperature changes."""
    return {name: test[name] for name in ("log_loss", "ece")}


def _write_predictions(pictures: Pictures, log_probabilities: np.ndarray, path: Path) -> None:
    """What the model says of each picture of a part, in its order."""
    rows, best = np.arange(len(pictures)), log_probabilities.argmax(axis=1)
    names = np.array(pictures.classes, dtype=object)
    pd.DataFrame(
        {
            "path": pictures.files,
            "class": names[pictures.labels],
            "predicted": names[best],
            "probability": np.exp(log_probabilities[rows, best]),
            "probability_of_class": np.exp(log_probabilities[rows, pictures.labels]),
        }
    ).to_csv(path, index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


def _require_same_weights(recipe: Recipe, before: Mapping[str, str]) -> None:
    """Makes sure that a training starts from the weights that its search had.

    Args:
        before: The SHA-256 of the files of weights that the search noted, by path.

    Raises:
        FolderError: The file is another one now.
    """
    path = recipe.model.weights
    if path is not None and path in before and digest(Path(path)) != before[path]:
        raise FolderError(
            f"{path} does not hold the weights any more that the search started from: its score would not be "
            "this training's. Bring the file back, or start anew."
        )


def _state_file(out: Path, config: TrialConfig) -> Path:
    """Where the state of this very training is kept: of another seed, or other recorded drops, elsewhere."""
    digest = hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:DIGITS]
    return out.with_name(f".{out.name}.{digest}{STATE_SUFFIX}")


def _resume_from(path: Path) -> Checkpoint | None:
    """The state of the training; None where there is none, or a damaged one: it then starts anew."""
    try:
        return Checkpoint.load(path) if path.exists() else None
    except CheckpointError:
        return None
