"""The calibration of a search's model, from what the rematch's runs of its trial say of the selection part.

None of these runs has learned from that part, and neither did the search look at it.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from search import records
from search.folder import FolderError, SearchFolder
from search.trials import Outcome
from trainables.calibration import FALSE_ALARM_RATE, NOT_CALIBRATED, Calibration, NotCalibratedError, fitted
from trainables.data import read_split

RECORDS = "rematch.jsonl"
RUNS = "rematch"
ORIGIN = "rematch"


def calibration_of(
    folder: SearchFolder,
    trial: int | None,
    *,
    epochs: int | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> tuple[Calibration, str | None]:
    """Fitted on the runs of this trial that are complete; or `NOT_CALIBRATED`, and in words why not.

    Args:
        trial: The search's trial; None for a recipe that is none of its trials.
        epochs: Length of the training that is to be calibrated, where it may be another one than the runs':
            the longer a network is trained, the surer it gets.
        false_alarm_rate: See `trainables.calibration.Calibration`.

    Raises:
        FolderError: What a run left is damaged.
    """
    try:
        labels, runs = _runs(folder, trial, epochs)
        return fitted(labels, runs, false_alarm_rate=false_alarm_rate), None
    except NotCalibratedError as reason:
        return NOT_CALIBRATED, str(reason)


def _runs(folder: SearchFolder, trial: int | None, epochs: int | None) -> tuple[np.ndarray, list[np.ndarray]]:
    """The labels of the selection part, int64 (N,), and what each run says of it: (N, C) each."""
    runs = [
        record.trial
        for record in records.read(folder.path / RECORDS).all()
        if record.trial.origin == ORIGIN
        and record.trial.source == str(trial)
        and record.outcome is Outcome.COMPLETE
    ]
    if not runs:
        raise NotCalibratedError(_nothing_to_fit_on(folder, trial))
    lengths = sorted({run.epochs for run in runs})
    if epochs not in (None, *lengths):
        raise NotCalibratedError(
            f"it was trained for {epochs} epochs, and the rematch's runs of trial {trial} for "
            f"{', '.join(map(str, lengths))}"
        )
    split = read_split(folder.split_file)
    labels = _selection_labels(split)
    shape = len(labels), split["class"].nunique()
    return labels, [_said(folder.path / RUNS / f"run-{run.number}.npz", shape) for run in runs]


def _nothing_to_fit_on(folder: SearchFolder, trial: int | None) -> str:
    if folder.settings().alone:
        return "search.train has no rematch, whose runs it would be fitted on"
    if trial is None:
        return "its recipe is none of the search's trials, and only these have a rematch"
    if not (folder.path / RECORDS).exists():
        return "the search had no rematch, whose runs it would be fitted on"
    return f"the rematch has no complete run of trial {trial}"


def _selection_labels(split: pd.DataFrame) -> np.ndarray:
    """Of the selection part, in the order of `Dataset.part`: int64 (N,)."""
    classes = sorted(split["class"].unique())
    place = {name: number for number, name in enumerate(classes)}
    return split.loc[split["part"] == "selection", "class"].map(place).to_numpy(np.int64)


def _said(file: Path, shape: tuple[int, int]) -> np.ndarray:
    """The log-probabilities that a run left."""
    try:
        with np.load(file) as arrays:  # refuses pickles
            found: np.ndarray = arrays["log_probabilities"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as fault:
        raise _damaged(file, f"{type(fault).__name__}: {fault}") from fault
    if found.shape != shape or not np.isfinite(found).all():
        raise _damaged(file, f"wanted are finite numbers of shape {shape}, and it has {found.shape}")
    return found


def _damaged(file: Path, reason: str) -> FolderError:
    return FolderError(
        f"{file} does not hold what a run of the rematch said ({reason}). Bring the file back, or move "
        f"{file.parent.with_name(RECORDS)} away: then the model is not calibrated."
    )
