"""The calibration of a search's model, from what the rematch's runs of its trial say of the selection part.

None of these runs has learned from that part, and neither did the search look at it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.rematch.answers import answers_of, complete_runs, truth
from search.rematch.ensemble import averaged
from search.storage.folder import SearchFolder
from search.text import count
from trainables.calibration import FALSE_ALARM_RATE, NOT_CALIBRATED, Calibration, NotCalibratedError, fitted
from trainables.data import read_split


def calibration_of(
    folder: SearchFolder,
    trial: int | None,
    *,
    epochs: int | None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> tuple[Calibration, str | None]:
    """Fitted on the runs of this trial that are complete; or `NOT_CALIBRATED`, and in words why not.

    Args:
        trial: The search's trial; None for a recipe that is none of its trials.
        epochs: Length of the training that is to be calibrated. Where its runs have another one, they say
            nothing of it: the longer a network is trained, the surer it gets.
        false_alarm_rate: See `trainables.calibration.Calibration`.

    Raises:
        AnswersError: What a run left is damaged.
    """
    try:
        labels, said = _answers(folder, trial, epochs)
        return fitted(labels, said, false_alarm_rate=false_alarm_rate), None
    except NotCalibratedError as reason:
        return NOT_CALIBRATED, str(reason)


def calibration_of_ensemble(
    folder: SearchFolder, trials: Sequence[int], *, false_alarm_rate: float = FALSE_ALARM_RATE
) -> tuple[Calibration, str | None]:
    """The same for an ensemble of these trials, each of which has a complete run: fitted on what ensembles of
    their runs say, see `search.rematch.ensemble.averaged`.

    Raises:
        AnswersError: What a run left is damaged.
    """
    split = read_split(folder.split_file)
    said = averaged([answers_of(folder, complete_runs(folder, trial), split) for trial in trials])
    try:
        return fitted(truth(split)[0], said, false_alarm_rate=false_alarm_rate), None
    except NotCalibratedError as reason:
        return NOT_CALIBRATED, str(reason)


def _answers(
    folder: SearchFolder, trial: int | None, epochs: int | None
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The labels of the selection part, int64 (N,), and each run's log-probabilities of it, (N, C)."""
    if trial is None:
        raise NotCalibratedError("its recipe is none of the search's trials, and only these have a rematch")
    runs = complete_runs(folder, trial)
    if not runs:
        raise NotCalibratedError(
            f"the rematch has no complete run of trial {trial}"
            if folder.rematch.exists()
            else "there was no rematch, whose runs it would be fitted on"
        )
    length = runs[0].trial.epochs
    if length != epochs:
        raise NotCalibratedError(
            f"it was trained for {count(epochs or 0, 'epoch')}, and its runs in the rematch for {length}"
        )
    split = read_split(folder.split_file)
    return truth(split)[0], answers_of(folder, runs, split)
