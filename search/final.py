"""The final training: a recipe on all parts but test, for its full length, exported and tested once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.model.ensemble import Candidate, candidate, write_ensemble
from search.model.training import DivergedError, Elsewhere, Heard, Told, fit, write_model
from search.results import config_of, winner_of
from search.storage.folder import FolderError, SearchFolder
from search.text import count
from search.trials.lengths import length_epochs
from search.trials.trials import TrialRecord
from spaces.recipe import Recipe
from spaces.recipe_files import TrialConfig, load_trial_config, with_absolute_weights
from trainables.calibration import FALSE_ALARM_RATE
from trainables.data import read_split
from trainables.export import ExportError
from trainables.models.create import import_networks
from trainables.models.dry_run import dry_run
from trainables.parallel import LEAST_PICTURES
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
    ensemble: Candidate | None = None
    """Where one was asked for; its members are trained if it is better than `trial` alone."""

    @property
    def joined(self) -> tuple[TrialRecord, ...]:
        """The members of the ensemble that is trained; empty where there is none."""
        return self.ensemble.members if self.ensemble and self.ensemble.kept else ()

    @property
    def configs(self) -> list[TrialConfig]:
        """What is trained, one after the other."""
        return [config_of(member) for member in self.joined] or [self.config]


def choose(
    folder: SearchFolder,
    *,
    trial: int | None = None,
    config: str | None = None,
    epochs: int | None = None,
    ensemble: bool = False,
) -> Choice:
    """The winner, or the trial or config file that is asked for, at `epochs` when given.

    A recipe that comes without a length gets the search's. At another length than its own the freeze
    epoch keeps its share, and what was decided on the way is not repeated.

    Args:
        ensemble: Joins to the winner those that are tied with it, where that is better.

    Raises:
        FolderError: The search has no such trial, or none with a score, or `epochs` is not positive; or there
            was no rematch to make an ensemble of, or `epochs` are other ones than its.
        AnswersError: What the rematch's runs answered is damaged.
        SpaceError: The config file is not valid.
        ModelError: Its network cannot be made, or not take pictures of its size.
        InputError: Its freeze epoch lies behind the end of the training.
    """
    if epochs is not None and epochs < 1:
        raise FolderError(f"--epochs must be at least 1; received {epochs}.")
    if ensemble and epochs is not None:
        raise FolderError(
            "--epochs: the rematch tells whether an ensemble is better for the lengths that its runs had. "
            "Leave --epochs out, or --ensemble."
        )
    settings, records = folder.settings(), folder.records()
    together = candidate(folder) if ensemble else None
    if settings.space is None and trial is None:
        trial = 0  # the only one; results/NAME/model is what search.train made of it
    record = None
    if config is not None:
        own_networks = import_networks(settings.imports)
        found = load_trial_config(config, extra_models=own_networks)
        found = found.model_copy(update={"recipe": with_absolute_weights(found.recipe)})
        dry_run(found.recipe, 2)  # every loss can do with two classes
        title, out = f"config {config}", f"model-{Path(config).stem}"
    else:
        if trial is None:
            record = winner_of(folder)
            if record is None:
                raise FolderError(f"{folder.path}: no trial has a score yet; there is nothing to retrain.")
        elif trial in records.trials:
            record = records.trials[trial]
        else:
            known = f"it has 0 to {max(records.trials)}" if records.trials else "it has none yet"
            raise FolderError(f"{folder.path} has no trial {trial}; {known}.")
        found = config_of(record)
        title = f"trial {record.number}" + (", the search's winner" if trial is None else "")
        if settings.alone:
            title = f"recipe {record.trial.source}"
        out = "model" if trial is None else f"model-trial-{trial}"
    length = epochs or found.epochs or _length_in(folder, found.recipe)
    own = found.epochs or length
    changes = {"recipe": found.recipe.rescaled(own, length), "epochs": length}
    if length != own:
        changes["lr_scales"] = None
    return Choice(found.model_copy(update=changes), title, record, out, together)


def length_of(config: TrialConfig) -> int:
    """The epochs of a training, which may repeat those of one that ended before its full length."""
    return len(config.lr_scales or ()) or config.epochs or 0


def _length_in(folder: SearchFolder, recipe: Recipe) -> int:
    """The length of the search's trials, in the recipe's epochs."""
    passes = folder.settings().max_epochs
    if recipe.steps_per_epoch is None:
        return passes
    pictures = int(read_split(folder.split_file)["part"].isin(TRAINED_ON).sum())
    return length_epochs(recipe, passes=passes, pictures=pictures)


def retrain(
    folder: SearchFolder,
    choice: Choice,
    *,
    out: Path | None = None,
    seed: int | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    onnx: bool = False,
    runtime: Runtime | None = None,
    devices: Sequence[str] = (),
    elsewhere: Elsewhere | None = None,
    heard: Heard = lambda metrics: None,
    told: Told = lambda line: None,
) -> Path:
    """Trains, exports, tests once, and writes the model's folder, whole or not at all.

    A retrain that was cut off goes on from its last epoch when it is started again.

    Args:
        out: The folder; by default in the search's folder, named by the choice.
        seed: Instead of the trial's own; in an ensemble, of every member's.
        false_alarm_rate: Share of pictures of known classes that the model may call unknown.
        onnx: Whether the model is exported to ONNX too, which takes the `onnx` extra.
        devices: That train together, with a process each; without them `runtime` says which one does.
        elsewhere: Trains on these devices, where they are not of this machine.
        heard: Hears each epoch's metrics.
        told: Hears what goes on beside them.

    Returns:
        The folder, with `metrics.json` in it.

    Raises:
        FolderError: The folder exists, the seed is negative, the false-alarm rate is no share, what the
            rematch left is damaged, or the training diverged: nothing was written.
        ExportError: What was exported does not say what the network says: nothing was written.
        DataError: The split's pictures are gone.
    """
    out = out or folder.path / choice.out
    if seed is not None and seed < 0:
        raise FolderError(f"--seed must be at least 0; received {seed}.")
    if not 0 <= false_alarm_rate < 1:
        raise FolderError(
            f"--false-alarm-rate must be at least 0 and less than 1; received {false_alarm_rate}."
        )
    fitted = []
    for place, config in enumerate(choice.configs):
        member = f"trial {choice.joined[place].number} ({config.recipe.model.name})" if choice.joined else ""
        if member:
            length = count(length_of(config), "epoch")
            told(f"Member {place + 1} of {len(choice.joined)}: {member}, {length}")
        if seed is not None:
            config = config.model_copy(update={"seed": seed})
        try:
            few = config.recipe.optim.batch_size // LEAST_PICTURES
            used = devices[: max(1, few)]
            if len(used) < len(devices):
                told(f"{count(len(used), 'device')} of {len(devices)}: its batches are too small for more.")
            fitted.append(
                fit(
                    folder,
                    config,
                    out,
                    parts=TRAINED_ON,
                    runtime=runtime,
                    devices=used,
                    elsewhere=elsewhere,
                    heard=heard,
                )
            )
        except DivergedError as fault:
            what = f"{member}: {fault}" if member else str(fault)
            other = "leave --ensemble out" if member else "retrain another trial with --trial"
            raise DivergedError(f"{what} No model was written. Try another --seed, or {other}.") from fault
    how: dict[str, Any] = {
        "false_alarm_rate": false_alarm_rate,
        "onnx": onnx,
        "runtime": runtime,
        "told": told,
    }
    try:
        if choice.ensemble and choice.joined:
            write_ensemble(folder, choice.ensemble, fitted, out, **how)
        else:
            write_model(
                folder,
                fitted[0],
                out,
                trial=choice.trial.number if choice.trial else None,
                search_score=folder.settings().all_objectives.values(choice.trial) if choice.trial else None,
                ensemble=choice.ensemble.facts() if choice.ensemble else None,
                **how,
            )
    except ExportError as fault:
        raise ExportError(
            f"{fault} No model was written. The training is not lost: the same command goes on with the "
            "export."
        ) from fault
    return out
