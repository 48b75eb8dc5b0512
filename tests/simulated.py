"""A search without Ray or training: simulated workers on an event heap drive a real engine.

A trial's scores are a formula of its recipe, so that every run of the same trial reports the same numbers.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from search.engine.budget import Budget
from search.engine.engine import Engine
from search.policy.asha import Decision
from search.policy.policy import make_policy
from search.settings.allowance import Allowance
from search.settings.settings import Settings
from search.storage.folder import SearchFolder
from search.trials.accounts import Accounts
from search.trials.records import RecordFile
from search.trials.trials import METRICS, Epoch, Outcome, Trial, TrialRecord
from spaces.recipe import Recipe
from spaces.space import Space
from spaces.space_files import load_space

SPACE = """
description: two networks, one with a width, one without batch norm
base:
  geometry: {size_px: 32}
parameters:
  model.name: {choice: [plain_cnn, mini_xception]}
  model.args.width: {choice: [8, 16, 32], when: {model.name: plain_cnn}}
  optim.lr:
    - {log: [1.0e-4, 1.0e-1], when: {model.name: plain_cnn}}
    - {log: [1.0e-5, 1.0e-2], when: {model.name: mini_xception}}
  augment.strength: {float: [0, 1]}
  freeze.epoch: {share: [0.0, 0.5]}
"""


ALLOWED = {field.name for field in fields(Allowance)}


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def space(folder: Path, text: str = SPACE) -> Space:
    """The space in a text."""
    file = folder / "space.yaml"
    file.write_text(text)
    return load_space(file)


def trial(
    number: int = 0, *, epochs: int = 9, params: dict[str, Any] | None = None, **sections: Any
) -> Trial:
    """A trial of a small recipe; sections replace the recipe's own."""
    recipe = Recipe.model_validate({"model": {"name": "plain_cnn"}, **sections})
    return Trial(number, recipe.to_dict(), params or {}, seed=1000 + number, epochs=epochs)


def epoch(number: int, epoch: int, score: float = 0.5, **metrics: float) -> Epoch:
    """An epoch's report, one pass each."""
    found = {"val_accuracy": score, "val_loss": 1 - score, "train_loss": 1.0, "lr_scale": 1.0, "epoch_s": 2.0}
    return Epoch(number, epoch, float(epoch), {**found, **metrics})


def record(
    made: Trial, scores: list[float], outcome: Outcome | None = Outcome.COMPLETE, **changes: Any
) -> TrialRecord:
    """What became of a trial that reported these scores."""
    history = [epoch(made.number, place, score) for place, score in enumerate(scores, start=1)]
    ended = None if outcome is None else 100.0
    return TrialRecord(
        made, **{"started": 0.0, "history": history, "outcome": outcome, "ended": ended, **changes}
    )


def write_records(path: Path, *entries: TrialRecord) -> None:
    """Records these trials in a file."""
    file = RecordFile(path)
    for entry in entries:
        file.trial(entry.trial)
        for reported in entry.history:
            file.epoch(reported)
        if entry.outcome is not None:
            file.end(entry.number, entry.outcome, entry.error, entry.traceback)
    file.close()


def engine(path: Path, searched: Space, **changes: Any) -> Engine:
    """An engine on the records in `path`, as `search.experiment` makes it."""
    asked: dict[str, Any] = {"trials": 12, "passes": 9, "pictures": 160, "seed": 0, "metric": "val_accuracy"}
    asked |= changes
    former = asked.pop("former", ())
    metric, fits = METRICS[asked.pop("metric")], asked.pop("fits", lambda recipe: True)
    allowance = Allowance(**{name: asked.pop(name) for name in ALLOWED & set(asked)})
    clock, gpus = asked.pop("clock", count(1.0).__next__), asked.pop("gpus", lambda made: 0.0)
    file = RecordFile(path, clock=clock)
    accounts = Accounts(file.records, metric, pictures=asked["pictures"], gpus=gpus, clock=clock)
    policy = make_policy(
        searched,
        metric,
        name=asked.pop("sampler", "forecast"),
        seed=asked["seed"],
        max_passes=asked["passes"],
        fits=lambda params: fits(searched.recipe(params, epochs=asked["passes"])),
        former=former,
    )
    return Engine(
        file,
        searched,
        policy,
        metric=metric,
        budget=Budget(accounts, allowance),
        **asked,
    )


def scores(made: Trial, number: int) -> dict[str, float]:
    """What this trial reports at this epoch; the highest learning rates diverge, some later than others."""
    rate = math.log10(made.recipe["optim"]["lr"])
    quality = 0.9 - 0.1 * (rate + 2.8) ** 2 - 0.1 * made.recipe["augment"]["strength"]
    noise = np.random.default_rng([made.seed, number]).normal(0, 0.02)
    accuracy = float(np.clip(quality * (1 - math.exp(-number / 3)) + noise, 0.05, 1))
    loss = math.nan if rate > -1.7 and number > made.number % 2 else 1 - accuracy
    found = {"train_loss": loss, "val_loss": loss, "val_accuracy": accuracy, "val_macro_f1": accuracy}
    return {**found, "lr_scale": 1.0, "epoch_s": 2.0, "images_per_s": 80.0}


@dataclass
class Workers:
    """Processes that train, and checkpoints that outlive them.

    Args:
        number: Trials at a time.
        crash: What it returns for a trial before an epoch is the trial's end instead of that epoch.
    """

    number: int = 3
    crash: Callable[[Trial, int], Outcome | None] = lambda made, number: None
    checkpoints: dict[int, int] = field(default_factory=dict)
    """By trial, the last epoch that was saved, which may never have been reported."""

    def run(self, driven: Engine) -> Iterator[None]:
        """Drives an engine to its end; yields after everything that happens, to be abandoned there."""
        order, heap = count(), []  # type: ignore[var-annotated]

        def start(now: float) -> bool:
            made = driven.ask()
            if made is not None:
                # The checkpoint's epoch is reported once more: that report may have been lost.
                first = self.checkpoints.get(made.number, 1)
                heapq.heappush(heap, (now + self._epoch_s(made), next(order), made, first))
            return made is not None

        for _ in range(self.number):
            start(0.0)
            yield
        while heap:
            now, _, made, number = heapq.heappop(heap)
            outcome = self.crash(made, number)
            if outcome is None:
                self.checkpoints[made.number] = number
                yield  # the checkpoint is written, and the report is not yet there
                passes = number * 9 / made.epochs
                decision = driven.report(Epoch(made.number, number, passes, scores(made, number)))
                outcome = Outcome.COMPLETE if number == made.epochs else None
            else:
                decision = Decision.CONTINUE
            yield
            if decision is Decision.CONTINUE and outcome is None:
                heapq.heappush(heap, (now + self._epoch_s(made), next(order), made, number + 1))
                continue
            if outcome is not None:
                driven.end(made.number, outcome)
                yield
            start(now)
            yield

    @staticmethod
    def _epoch_s(made: Trial) -> float:
        return {"plain_cnn": 1.0, "mini_xception": 2.7}[made.recipe["model"]["name"]]


def finish(driven: Engine, workers: Workers | None = None) -> Engine:
    """Drives an engine to its end."""
    for _ in (workers or Workers()).run(driven):
        pass
    return driven


def finish_interrupted(made: Callable[[], Engine], *, seed: int) -> Engine:
    """Drives an engine to its end, one trial at a time, which is cut off again and again and made anew."""
    rng, workers, driven = np.random.default_rng(seed), Workers(1), made()
    while not driven.finished:
        for _ in islice(workers.run(driven), int(rng.integers(1, 40))):
            pass
        driven = made()
    return driven


def story(records: list[TrialRecord]) -> list[tuple[Any, ...]]:
    """What became of the trials, without times; text, so that NaN equals NaN."""
    return [
        (
            entry.trial,
            entry.outcome,
            entry.error,
            repr([(e.epoch, e.passes, e.metrics) for e in entry.history]),
        )
        for entry in records
    ]


def search_folder(path: Path, **changes: Any) -> SearchFolder:
    """A folder as `search.experiment` starts one, of a search that has recorded nothing yet."""
    asked = {"name": path.name, "space": "demo", "cache_dir": str(path.parent / "cache"), **changes}
    folder = SearchFolder.create(path)
    folder.write_json(
        folder.settings_file,
        {
            "settings": Settings.model_validate(asked).model_dump(mode="json"),
            "source": str(path.parent / "pictures"),
            "space": {"base": {}, "parameters": {}},
            "data_fingerprint": "abc",
        },
    )
    folder.write_json(folder.data_file, {"fingerprint": "abc", "layout": "one folder a class"})
    return folder
