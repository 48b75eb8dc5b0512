"""The calibration of a search's model, from what the rematch's runs of its trial say of the selection part.

None of these runs has learned from that part, and neither did the search look at it.
"""

from __future__ import annotations

import numpy as np

from search.folder import SearchFolder
from search.rematch.answers import answers_of, complete_runs, truth
from trainables.calibration import FALSE_ALARM_RATE, NOT_CALIBRATED, Calibration, NotCalibratedError, fitted
from trainables.data import read_split


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
        AnswersError: What a run left is damaged.
    """
    try:
        labels, runs = _runs(folder, trial, epochs)
        return fitted(labels, runs, false_alarm_rate=false_alarm_rate), None
    except NotCalibratedError as reason:
        return NOT_CALIBRATED, str(reason)


def _runs(folder: SearchFolder, trial: int | None, epochs: int | None) -> tuple[np.ndarray, list[np.ndarray]]:
    """The labels of the selection part, int64 (N,), and what each run says of it: (N, C) each."""
    runs = complete_runs(folder, trial)
    if not runs:
        raise NotCalibratedError(_nothing_to_fit_on(folder, trial))
    lengths = sorted({run.trial.epochs for run in runs})
    if epochs not in (None, *lengths):
        raise NotCalibratedError(
            f"it was trained for {epochs} epochs, and the rematch's runs of trial {trial} for "
            f"{', '.join(map(str, lengths))}"
        )
    split = read_split(folder.split_file)
    return truth(split)[0], answers_of(folder, runs, split)


def _nothing_to_fit_on(folder: SearchFolder, trial: int | None) -> str:
    if folder.settings().alone:
        return "search.train has no rematch, whose runs it would be fitted on"
    if trial is None:
        return "its recipe is none of the search's trials, and only these have a rematch"
    if not folder.rematch_records_file.exists():
        return "the search had no rematch, whose runs it would be fitted on"
    return f"the rematch has no complete run of trial {trial}"
