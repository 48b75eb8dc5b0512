"""Exact budgets, whatever the order of events: properties over random ones."""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from search.engine.budget import Budget
from search.engine.engine import Engine
from search.policy.asha import Asha, Decision
from search.policy.policy import Policy
from search.policy.rungs import Rungs
from search.settings.allowance import Allowance, EndedBy
from search.trials.accounts import Accounts
from search.trials.records import RecordFile
from search.trials.trials import METRICS, Epoch, Outcome, Trial, TrialRecord
from spaces.space import Space
from tests.simulated import space

SHARES = """
description: epochs of half a pass, a pass, and two and a half
base:
  model: {name: plain_cnn}
  optim: {batch_size: 16}
parameters:
  steps_per_epoch: {choice: [5, 10, 25]}
"""
PICTURES = 160


class InTurn:
    """A sampler that tries the choices one after the other."""

    def ask(self, number: int) -> dict[str, Any]:
        return {"steps_per_epoch": (5, 10, 25)[number % 3]}

    def restore(self, record: TrialRecord) -> None:
        pass

    def tell(self, record: TrialRecord) -> None:
        pass


def driver(path: Path, searched: Space, total: int) -> Engine:
    clock, metric = count(1.0).__next__, METRICS["val_accuracy"]
    file = RecordFile(path, clock=clock)
    return Engine(
        file,
        searched,
        Policy(InTurn(), Asha(Rungs(6))),  # type: ignore[arg-type]
        metric=metric,
        budget=Budget(
            Accounts(file.records, metric, pictures=PICTURES, clock=clock), Allowance(total_passes=total)
        ),
        passes=6,
        pictures=PICTURES,
        seed=0,
    )


def an_epoch(made: Trial) -> float:
    return int(made.recipe["steps_per_epoch"]) / 10


@settings(max_examples=60, deadline=None)
@given(
    total=st.integers(1, 60),
    events=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 7)), max_size=150),
    crashes=st.booleans(),
)
def test_epochs_in_all_are_never_passed_and_nothing_that_fits_is_left(
    total: int, events: list[tuple[int, int]], crashes: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        searched, path = space(Path(folder), SHARES), Path(folder) / "records.jsonl"
        driven, training = driver(path, searched, total), dict[int, Trial]()

        def holds() -> None:
            begun = sum(an_epoch(made) for made in training.values())
            assert sum(entry.passes for entry in driven.records) + begun <= total + 1e-6

        def train(made: Trial, score: float) -> None:
            number = driven.records[made.number].epochs_done + 1
            found = {"val_accuracy": score, "val_loss": 1.0, "epoch_s": 1.0}
            decision = driven.report(Epoch(made.number, number, number * an_epoch(made), found))
            if decision is Decision.STOP or number == made.epochs:
                driven.end(made.number, Outcome.COMPLETE)
                del training[made.number]

        def ask() -> bool:
            made = driven.ask()
            if made is not None:
                training[made.number] = made
            return made is not None

        for place, kind in events:
            running = list(training.values())
            if kind < 2 and len(running) < 5:
                ask()
            elif kind == 7:
                driven, training = driver(path, searched, total), {}
            elif kind == 6 and crashes and running:
                lost = running[place % len(running)]
                driven.end(lost.number, Outcome.FAILED, "lost")
                del training[lost.number]
            elif running:
                train(running[place % len(running)], place / 100)
            holds()
        while training or ask():
            train(next(iter(training.values())), 0.5)
            holds()
        assert driven.finished
        if driven.ended_by is EndedBy.EPOCHS and not crashes:
            # What is left is too little for the next epoch of the longest kind.
            assert sum(entry.passes for entry in driven.records) > total - 2.5
