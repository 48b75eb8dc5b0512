"""Folders of searches that never ran, complete enough to be compared."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from search.rematch.conclusion import Conclusion, Costs
from search.rematch.verdict import Contender, verdict
from search.storage.folder import SearchFolder, State
from search.trials.trials import METRICS, Outcome, Trial, TrialRecord, ranked
from tests.predictions import runs
from tests.simulated import write_records
from tests.synthetic import EPOCHS, synthetic_search
from tests.tracked import events, told_folder
from trainables.answers import answers_file, save_answers
from trainables.data import write_split

CLASSES = ("anna", "bert", "carla")
SELECTION = 240
"""Pictures of that part, if nothing else is asked for."""


def pictures_split(
    classes: Sequence[str] = CLASSES, seed: int = 0, selection: int = SELECTION
) -> pd.DataFrame:
    """A split of pictures without groups; another seed divides the same pictures otherwise."""
    parts = np.repeat(
        ["train", "validation", "selection", "test"], [2 * selection, selection, selection, selection]
    )
    files = [f"{classes[i % len(classes)]}/{i:05}.png" for i in range(len(parts))]
    shuffled = np.random.default_rng(seed).permutation(parts)
    names = [file.rsplit("/", 1)[0] for file in files]
    table = pd.DataFrame({"file": files, "class": names, "group": "", "part": shuffled})
    return table.sort_values("file", ignore_index=True)


def made(
    path: Path,
    *,
    records: list[TrialRecord] | None = None,
    seed: int = 0,
    split: pd.DataFrame | None = None,
    fingerprint: str = "abc",
    state: State | None = State.FINISHED,
    ability: float | None = None,
    metric: str = "val_accuracy",
    readings: int = 0,
    **asked: Any,
) -> SearchFolder:
    """A search's folder.

    Args:
        seed: Of its trials, and of what its rematch's runs say.
        split: `pictures_split()`, if none is given.
        state: None: its driver is gone, and left no manifest.
        ability: How good its best two trials are in their rematch; None: there is none.
        readings: Of the test part, with a model that was tested.
        asked: Settings.
    """
    records = synthetic_search(seed=seed) if records is None else records
    split = pictures_split() if split is None else split
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = {
        "space": "scratch",
        "trials": max(1, len(records)),
        "max_epochs": EPOCHS,
        "metric": metric,
        **asked,
    }
    folder = told_folder(path, events(records), **asked)
    stored = folder.read_json(folder.settings_file)
    folder.write_json(folder.settings_file, stored | {"data_fingerprint": fingerprint})
    counts = split.groupby(["class", "part"]).size().unstack(fill_value=0).to_dict("index")
    folder.write_json(
        folder.data_file, {"fingerprint": fingerprint, "layout": "a folder a class", "counts": counts}
    )
    folder.write_json(folder.environment_file, {"cpus": 2, "gpus": [], "git_commit": "0123456789abcdef"})
    write_split(split, folder.split_file)
    if ability is not None:
        _play(folder, split, records, ability, seed)
    if readings:
        _test(folder, split, records, readings)
    if state is not None:
        folder.page_file.write_text("<p>a page</p>")
        folder.write_json(folder.manifest_file, {"state": str(state), "ended_by": "trials"})
    return folder


def selection_labels(split: pd.DataFrame) -> np.ndarray:
    """Of its selection part, int64."""
    classes = sorted(split["class"].unique())
    part = split[split["part"] == "selection"]["class"]
    return part.map({name: place for place, name in enumerate(classes)}).to_numpy(np.int64)


def winner_answers(split: pd.DataFrame, seed: int, ability: float, place: int = 0) -> list[np.ndarray]:
    """What the three runs of a contender say."""
    labels, classes = selection_labels(split), split["class"].nunique()
    return runs(labels, classes, 1000 * seed + place, ability - 0.3 * place, seeds=3)


def _play(
    folder: SearchFolder, split: pd.DataFrame, records: list[TrialRecord], ability: float, seed: int
) -> None:
    settings = folder.settings()
    best = ranked(records, settings.scored_by)[:2]
    contenders, entries, number = [], [], 0
    for place, one in enumerate(best):
        said = winner_answers(split, seed, ability, place)
        for answers in said:
            trial = Trial(
                number, one.trial.recipe, {}, number, EPOCHS, origin="rematch", source=str(one.number)
            )
            entries.append(TrialRecord(trial, 0.0, copy.deepcopy(one.history), Outcome.COMPLETE, 1.0))
            entries[-1].history = [replace(epoch, trial=number) for epoch in one.history]
            save_answers(answers_file(folder.rematch, number), answers)
            number += 1
        contenders.append(Contender(one.number, one.score(METRICS[settings.metric]) or 0.0, said))
    write_records(folder.rematch_records_file, *entries)
    costs = {one.number: Costs(357_034 + place, 3.5 + place, 2.0) for place, one in enumerate(best)}
    found = verdict(METRICS[settings.metric], contenders, selection_labels(split))
    folder.write_json(folder.rematch_file, asdict(Conclusion(found, "accuracy", costs, {})))


def _test(folder: SearchFolder, split: pd.DataFrame, records: list[TrialRecord], readings: int) -> None:
    folder.model.mkdir()
    best = ranked(records, folder.settings().scored_by)[0].number
    test = {"accuracy": 0.9, "accuracy_95": [0.85, 0.94], "macro_f1": 0.89, "log_loss": 0.3, "n": 240}
    folder.write_json(folder.model / "metrics.json", {"trial": best, "test": test})
    folder.readings_file.write_text("".join(json.dumps({"time": 0}) + "\n" for _ in range(readings)))
