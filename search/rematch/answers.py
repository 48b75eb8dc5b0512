"""What the runs of a rematch answered, and what would have been right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from search.rematch.runs import runs_of
from search.storage.folder import SearchFolder
from search.trials import records
from search.trials.trials import Outcome, TrialRecord
from trainables.answers import AnswersError, answers_file, load_answers
from trainables.data import groups_of

PART = "selection"
"""Of the pictures, which no search reads."""


def complete_runs(folder: SearchFolder, trial: int | None) -> list[TrialRecord]:
    """Those of the search's trial, by number; none where it is none of its trials."""
    runs = records.read(folder.rematch_records_file).all()
    found = runs_of(runs, trial) if trial is not None else []
    return [run for run in found if run.outcome is Outcome.COMPLETE]


def answers_of(folder: SearchFolder, runs: Sequence[TrialRecord], split: pd.DataFrame) -> list[np.ndarray]:
    """The log-probabilities of each run, float32 (N, C), in the order of the part.

    Raises:
        AnswersError: A file is missing or damaged, or is of other pictures or classes.
    """
    shape = int((split["part"] == PART).sum()), split["class"].nunique()
    return [_answers(folder, answers_file(folder.rematch, run.number), shape) for run in runs]


def _answers(folder: SearchFolder, file: Path, shape: tuple[int, int]) -> np.ndarray:
    try:
        found = load_answers(file)
        if found.shape != shape or not np.isfinite(found).all():
            raise AnswersError(f"{file} does not hold finite numbers of shape {shape}.")
    except AnswersError as fault:
        raise AnswersError(
            f"{fault} Bring the file back, or move {folder.rematch_records_file} away: as without a rematch."
        ) from fault
    return found


def truth(split: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of the part, int64 (N,) each, in its order; see `groups_of`."""
    part, classes = split[split["part"] == PART], sorted(split["class"].unique())
    labels = part["class"].map({name: place for place, name in enumerate(classes)}).to_numpy(np.int64)
    return labels, groups_of(split, PART)
