"""Compares the contenders of a rematch by what their runs answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from search.rematch.answers import answers_of, truth
from search.rematch.conclusion import Conclusion, Costs
from search.rematch.runs import contenders, runs_of
from search.rematch.verdict import Contender, verdict
from search.storage.folder import SearchFolder
from search.text import count
from search.trials import records
from search.trials.trials import METRICS, Outcome, TrialRecord
from spaces.recipe import Recipe
from trainables.data import read_split
from trainables.models.size import latency_ms, parameters
from trainables.runtime import Runtime


def conclude(folder: SearchFolder) -> Conclusion | None:
    """Compares the contenders by the answers of their runs, and writes `rematch.json`.

    A contender one of whose runs diverged is not compared: what is retrained has to learn.

    Returns:
        None where there is nothing to compare.

    Raises:
        FolderError, AnswersError, DataError: A file of the folder is missing or damaged.
    """
    settings = folder.settings()
    best = contenders(folder.records().all(), settings.scored_by, settings.rematch)
    runs = records.read(folder.rematch_records_file).all()
    played = {one.number: runs_of(runs, one.number) for one in best}
    left_out = {number: reason for number, found in played.items() if (reason := _unfit(found))}
    compared = [one for one in best if one.number not in left_out]
    if not compared:
        return None
    split = read_split(folder.split_file)
    costs = {one.number: _costs(one, played[one.number], split) for one in compared}
    found = Conclusion(
        verdict(
            METRICS[settings.metric],
            [_contender(folder, one, played[one.number], split, costs[one.number]) for one in compared],
            *truth(split),
        ),
        settings.prefer,
        costs,
        left_out,
    )
    folder.write_json(folder.rematch_file, asdict(found))
    return found


def _unfit(runs: Sequence[TrialRecord]) -> str:
    """Why a contender is not compared; empty where it is."""
    diverged = sum(run.outcome is Outcome.DIVERGED for run in runs)
    if diverged:
        return f"diverged in {diverged} of {len(runs)} runs"
    if not any(run.outcome is Outcome.COMPLETE for run in runs):
        ended = [run for run in runs if run.outcome is not None]
        return f"{count(len(ended), 'run')} failed" if ended else "no time was left for it"
    return ""


def _contender(
    folder: SearchFolder, one: TrialRecord, runs: Sequence[TrialRecord], split: pd.DataFrame, costs: Costs
) -> Contender:
    settings = folder.settings()
    plain = METRICS[settings.metric]
    score, ranked_by = one.score(plain), one.score(settings.scored_by)
    assert score is not None
    assert ranked_by is not None
    return Contender(
        one.number,
        score,
        answers_of(folder, _complete(runs), split),
        constant=ranked_by - score,
        cost={"accuracy": None, "cost": costs.epoch_s, "latency": costs.latency_ms}[settings.prefer],
    )


def _complete(runs: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [run for run in runs if run.outcome is Outcome.COMPLETE]


def _costs(one: TrialRecord, runs: Sequence[TrialRecord], split: pd.DataFrame) -> Costs:
    recipe, classes = Recipe.model_validate(one.trial.recipe), split["class"].nunique()
    epochs_s = [epoch.metrics["epoch_s"] for run in _complete(runs) for epoch in run.history]
    return Costs(
        parameters(recipe, classes),
        latency_ms(recipe, classes, Runtime().resolved_device()),
        float(np.mean(epochs_s)),
    )
