"""The final training: a recipe on all parts but test, for its full length, exported and tested once."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from search.folder import FolderError, SearchFolder
from search.results import config_of, winner
from search.trials import TrialRecord
from spaces.recipe_files import TrialConfig, load_trial_config
from trainables.checkpoint import Checkpoint, CheckpointError
from trainables.data import Dataset, load, read_split
from trainables.data.demo import demo_source
from trainables.evaluate import evaluate
from trainables.export import export
from trainables.loop import TrainData, train
from trainables.models.create import import_networks
from trainables.runtime import Runtime

TRAINED_ON = ("train", "validation", "selection")


@dataclass(frozen=True)
class Choice:
    """What a retrain trains, and under which name."""

    config: TrialConfig
    title: str
    """For people: where the recipe is from."""
    trial: TrialRecord | None
    """The search's trial, where it is one."""
    out: str
    """Name of the model's folder in the search's folder."""


def choose(
    folder: SearchFolder, *, trial: int | None = None, config: str | None = None, epochs: int | None = None
) -> Choice:
    """The winner, or the trial or config file that is asked for, at `epochs` when given.

    A recipe that comes without a length gets the search's. At another length than its own the freeze
    epoch keeps its share, and what was decided on the way is not repeated.

    Raises:
        FolderError: The search has no such trial, or none with a score, or `epochs` is not positive.
        SpaceError: The config file is not valid.
    """
    if epochs is not None and epochs < 1:
        raise FolderError(f"--epochs must be at least 1; received {epochs}.")
    settings, records = folder.settings(), folder.records()
    record = None
    if config is not None:
        own_networks = import_networks(settings.imports)
        found = load_trial_config(config, extra_models=own_networks)
        title, out = f"config {config}", f"model-{Path(config).stem}"
    else:
        if trial is None:
            record = winner(records.all(), settings.scored_by)
            if record is None:
                raise FolderError(f"{folder.path}: no trial has a score yet; there is nothing to retrain.")
        elif trial in records.trials:
            record = records.trials[trial]
        else:
            known = f"it has 0 to {max(records.trials)}" if records.trials else "it has none yet"
            raise FolderError(f"{folder.path} has no trial {trial}; {known}.")
        found = config_of(record)
        title = f"trial {record.number}" + (", the search's winner" if trial is None else "")
        out = "model" if trial is None else f"model-trial-{trial}"
    length = epochs or found.epochs or settings.max_epochs
    if found.epochs is not None and length != found.epochs:
        recipe = found.recipe.rescaled(found.epochs, length)
        found = found.model_copy(update={"recipe": recipe, "lr_scales": None})
    return Choice(found.model_copy(update={"epochs": length}), title, record, out)


def retrain(
    folder: SearchFolder,
    choice: Choice,
    *,
    out: Path | None = None,
    seed: int | None = None,
    runtime: Runtime | None = None,
    heard: Callable[[dict[str, float]], None] = lambda metrics: None,
) -> Path:
    """Trains, tests once, and writes the model's folder, whole or not at all.

    A retrain that was cut off goes on from its last epoch when it is started again.

    Args:
        out: The folder; by default in the search's folder, named by the choice.
        seed: Instead of the trial's own.
        heard: Hears each epoch's metrics.

    Returns:
        The folder, with `metrics.json` in it.

    Raises:
        FolderError: The folder exists, the seed is negative, or the training diverged: nothing was written.
        DataError: The split's pictures are gone.
    """
    out = out or folder.path / choice.out
    if out.exists():
        raise FolderError(f"{out} exists already. Choose another folder with --out, or move it away.")
    stored = folder.read_json(folder.settings_file)
    settings, config = folder.settings(), choice.config
    seed = config.seed if seed is None else seed
    if seed < 0:
        raise FolderError(f"--seed must be at least 0; received {seed}.")
    epochs = config.epochs or settings.max_epochs
    import_networks(settings.imports)
    data = load(
        Path(stored["source"]) if settings.data else demo_source(Path(settings.cache_dir)),
        read_split(folder.split_file),
        size_px=config.recipe.geometry.size_px,
        cache_dir=Path(settings.cache_dir),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    resume_file = out.with_name(f".{out.name}.checkpoint.pt")
    resume = _resume_from(resume_file, config, seed, epochs)
    trained: dict[str, float] = dict(resume.metrics) if resume else {}

    def report(metrics: dict[str, float], checkpoint: Checkpoint) -> None:
        checkpoint.save(resume_file)
        trained.update(metrics)
        heard(metrics)

    started = time.perf_counter()
    model = train(
        config.recipe,
        TrainData(data.part(*TRAINED_ON)),
        report,
        runtime=runtime,
        seed=seed,
        epochs=epochs,
        resume=resume,
        replay=config.lr_scales,
    )
    if not math.isfinite(trained["train_loss"]):
        resume_file.unlink(missing_ok=True)
        raise FolderError(
            "the training diverged: its loss was no longer a finite number. No model was written. Try "
            "another --seed, or retrain another trial with --trial."
        )
    facts = {
        "trained_on": {
            "parts": list(TRAINED_ON),
            "pictures": len(data.part(*TRAINED_ON)),
            "epochs": int(trained["epoch"]),
            "train_loss": trained["train_loss"],
        },
        "search": settings.name,
        "trial": choice.trial.number if choice.trial else None,
        "search_score": _search_score(choice, folder),
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 1),
        "recipe": config.recipe.to_dict(),
    }
    _write(folder, out, model, data, config, facts, runtime)
    resume_file.unlink(missing_ok=True)
    return out


def _write(
    folder: SearchFolder,
    out: Path,
    model: nn.Module,
    data: Dataset,
    config: TrialConfig,
    facts: dict[str, Any],
    runtime: Runtime | None,
) -> None:
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        test = evaluate(model, config.recipe, data.part("test"), runtime=runtime)
        readings = _count_reading(folder, out, test)
        export(model.cpu(), config.recipe, data.classes, partial, imports=folder.settings().imports)
        folder.write_json(partial / "metrics.json", {"test": test, "test_readings": readings, **facts})
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _count_reading(folder: SearchFolder, out: Path, test: dict[str, Any]) -> int:
    """Notes that the test part was read, and says how often that has happened."""
    line = {"time": time.time(), "model": out.name, "accuracy": test["accuracy"]}
    with folder.readings_file.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return len(folder.readings_file.read_text(encoding="utf-8").splitlines())


def _resume_from(path: Path, config: TrialConfig, seed: int, epochs: int) -> Checkpoint | None:
    if not path.exists():
        return None
    try:
        checkpoint = Checkpoint.load(path)
        checkpoint.require(recipe=config.recipe.to_dict(), seed=seed, epochs=epochs)
    except CheckpointError:
        return None  # of another retrain under this name: it starts anew
    return checkpoint


def _search_score(choice: Choice, folder: SearchFolder) -> dict[str, float] | None:
    metric = folder.settings().scored_by
    score = choice.trial.score(metric) if choice.trial else None
    return None if score is None else {metric.name: score}
