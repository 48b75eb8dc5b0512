"""One recipe trained alone on this machine, without Ray: the Python API behind `python -m search.train`.

It leaves the folder of a search of one given trial, so that all that reads a search reads it too, with the
trained model in it.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from rich.console import Console

from search.live_page import LivePage
from search.model.training import DivergedError, Heard, fit, write_model
from search.planning.pictures import ready_pictures
from search.results import Finished, winner, write_results
from search.settings.settings import Settings
from search.storage.folder import RESULTS, FolderError, SearchFolder, State
from search.storage.opening import write_data, write_settings
from search.text import count
from search.trials.records import RecordFile
from search.trials.trials import Epoch, Outcome, Trial
from spaces.recipe import Recipe
from spaces.recipe_files import TrialConfig, load_trial_config, with_absolute_weights
from trainables.data import SHARES, Prepared
from trainables.export import ExportError
from trainables.models.create import create_model, creation, import_networks
from trainables.models.dry_run import dry_run
from trainables.runtime import Runtime
from trainables.weight_files import digest

EPOCHS = 30
"""Length of a training where neither the recipe's file nor the user says."""


def load_config(
    recipe: str, *, imports: tuple[str, ...] = (), epochs: int | None = None, seed: int | None = None
) -> TrialConfig:
    """What a recipe's file asks for, at another length or from another seed where given.

    Args:
        recipe: A built-in recipe's name, or a recipe or trial file.
        imports: Modules that register networks of the user's own.
        epochs: At least 1.

    Raises:
        SpaceError: There is no such recipe, or something is wrong with it.
        ModelError: A module cannot be imported.
    """
    found = load_trial_config(recipe, extra_models=import_networks(imports))
    length = epochs or found.epochs or EPOCHS
    changes = {
        "recipe": with_absolute_weights(found.recipe.rescaled(found.epochs or length, length)),
        "epochs": length,
        "seed": found.seed if seed is None else seed,
        "lr_scales": None,  # nothing to repeat: the validation part is watched
    }
    return found.model_copy(update=changes)


def start(
    settings: Settings,
    config: TrialConfig,
    source: str,
    *,
    console: Console,
    onnx: bool = False,
    runtime: Runtime | None = None,
    heard: Heard = lambda metrics: None,
    results: Path = RESULTS,
) -> Finished:
    """Trains a recipe on the train part, watched on the validation part, and tests and exports it.

    Ctrl-C ends it with what there is; `resume` goes on.

    Args:
        settings: With `space` None, one trial, and the length and seed of `config`.
        config: Such as `load_config` returns.
        source: What people know the recipe by.
        onnx: Whether the model is exported to ONNX too, which takes the `onnx` extra.
        heard: Hears each epoch's metrics.

    Returns:
        `best` is None when the training diverged: there is no model then.

    Raises:
        FolderError: The name is taken.
        DataError: The pictures cannot be used.
        ModelError: The network cannot be made.
        ExportError: What was exported does not say what the network says: there is no model.
    """
    recipe = config.recipe
    # First, with any number of classes: its faults, and weights that cannot be had, should be told before
    # minutes go into the pictures.
    create_model(recipe, 2)
    dry_run(recipe, 2)
    pictures, prepared = ready_pictures(
        settings,
        size_px=recipe.geometry.size_px,
        console=console,
        shares=config.split.model_dump() if config.split else SHARES,
    )
    creation(recipe, len(prepared.classes))  # a loss for two classes refuses more
    for line in _remarks(prepared):
        console.print(line)
    parts, length = prepared.split["part"].value_counts(), count(config.epochs or 0, "epoch")
    console.print(
        f"Training {source} ({recipe.model.name}, {recipe.geometry.size_px} px) for {length} "
        f"on {parts['train']} pictures of {len(prepared.classes)} classes"
        f"{'' if settings.data else ' of the built-in demo'}, watched on {parts['validation']} others; "
        f"{parts['test']} more are read once, at the end. Folder: {results / settings.name}"
    )
    with SearchFolder.created(results / settings.name) as folder:
        write_data(folder, prepared)
        start_from = recipe.model.weights
        write_settings(
            folder,
            settings,
            pictures,
            prepared,
            weights={start_from: digest(Path(start_from))} if start_from else {},
            split=config.split.model_dump() if config.split else None,
        )
        with contextlib.closing(RecordFile(folder.records_file)) as file:
            assert config.epochs is not None
            file.session()
            file.trial(
                Trial(0, recipe.to_dict(), {}, config.seed, config.epochs, origin="given", source=source)
            )
            return _drive(folder, file, console, onnx, runtime, heard)


def _remarks(prepared: Prepared) -> list[str]:
    """What of the pictures is left out."""
    skipped, left_out = prepared.report["skipped"], prepared.report["left_out"]
    lines = [f"Left out: class {entry['class']} ({entry['reason']})." for entry in left_out]
    if skipped:
        more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        lines.append(f"Left out: {skipped[0]['file']}{more}, which cannot be decoded.")
    return lines


def resume(
    folder: SearchFolder,
    *,
    console: Console,
    onnx: bool = False,
    runtime: Runtime | None = None,
    heard: Heard = lambda metrics: None,
) -> Finished:
    """Goes on with a training that was cut off, from its last epoch; one that is finished stays as it is.

    Args:
        onnx: See `start`.

    Raises:
        FolderError: The folder is that of a search, or no training has started in it.
        DataError: The pictures are gone.
        ExportError: See `start`.
    """
    settings = folder.settings()
    if not settings.alone:
        raise FolderError(f"{folder.path} is a search. Go on with it by {settings.resume_command}.")
    with folder.held(), contextlib.closing(RecordFile(folder.records_file)) as file:
        if not file.records.trials:
            raise FolderError(f"{folder.path}: no training has started in it. Delete it and start anew.")
        record = file.records.trials[0]
        if folder.state is State.FINISHED:
            console.print(f"{folder.path} is already finished: nothing was trained or tested again.")
            return Finished(folder.path, State.FINISHED, winner([record], settings.scored_by))
        console.print(
            f"Going on with {folder.path} after epoch {record.epochs_done} of {record.trial.epochs}."
        )
        file.session()
        return _drive(folder, file, console, onnx, runtime, heard)


def _drive(
    folder: SearchFolder,
    file: RecordFile,
    console: Console,
    onnx: bool,
    runtime: Runtime | None,
    heard: Heard,
) -> Finished:
    """Trains the folder's trial to its end, from wherever it is."""
    record, runtime = file.records.trials[0], runtime or Runtime()
    trial, metric = record.trial, folder.settings().scored_by
    recipe = Recipe.model_validate(trial.recipe)
    config = TrialConfig(recipe=recipe, epochs=trial.epochs, seed=trial.seed)
    node, device = socket.gethostname(), str(runtime.resolved_device())

    page = LivePage(folder)

    def report(metrics: dict[str, float]) -> None:
        file.epoch(Epoch(0, int(metrics["epoch"]), metrics["passes"], metrics, node, device))
        heard(metrics)
        page.tick()

    def end(outcome: Outcome, error: str | None = None) -> None:
        if record.outcome is None:
            file.end(0, outcome, error)

    folder.manifest_file.unlink(missing_ok=True)
    state = State.FINISHED
    try:
        with page:
            if not folder.model.exists() and record.outcome is not Outcome.DIVERGED:
                fitted = fit(
                    folder,
                    config,
                    folder.model,
                    parts=("train",),
                    watched="validation",
                    runtime=runtime,
                    heard=report,
                )
                end(Outcome.COMPLETE)
                score = {metric.name: record.score(metric)}
                write_model(
                    folder,
                    fitted,
                    folder.model,
                    trial=0,
                    onnx=onnx,
                    runtime=runtime,
                    told=console.print,
                    search_score=score,
                )
    except DivergedError as fault:
        end(Outcome.DIVERGED, str(fault))
    except ExportError as fault:
        raise ExportError(
            f"{fault} No model was written. The training is not lost; go on with the export by "
            f"{folder.settings().resume_command}{' --onnx' * onnx}."
        ) from fault
    except KeyboardInterrupt:
        state = State.INTERRUPTED
    return Finished(folder.path, state, write_results(folder, state))
