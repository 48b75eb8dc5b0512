"""Searches of all kinds, also those that went wrong, as pages have to show them."""

from __future__ import annotations

import copy
from dataclasses import replace

from search.trials.trials import METRICS, Outcome, TrialRecord
from tests.synthetic import EPOCHS, synthetic_search, synthetic_view


def _unfinished() -> list[TrialRecord]:
    records = copy.deepcopy(synthetic_search())
    for record in records[12:]:
        record.outcome, record.ended, record.error = None, None, None
    return records


def _without_reports() -> list[TrialRecord]:
    record = copy.deepcopy(synthetic_search(1)[0])
    record.outcome, record.ended, record.history = None, None, []
    return [record]


def _with_controls() -> list[TrialRecord]:
    records = copy.deepcopy(synthetic_search(24))
    for record in records[1::5]:
        record.control = 1.0 if record.history else None
    return records


def _alone_records(name: str) -> list[TrialRecord]:
    (record,) = copy.deepcopy(synthetic_search(1))
    if name == "diverged":
        record.outcome, record.error = Outcome.DIVERGED, "the loss was not finite"
    if name == "interrupted":
        record.outcome, record.ended, record.history = None, None, record.history[:1]
    return [record]


ODD = {
    "nothing started": synthetic_view([], settings={}, data={}, state="running"),
    "one trial": synthetic_view(synthetic_search(1)),
    "all failed": synthetic_view([synthetic_search()[6], synthetic_search()[12]], state="interrupted"),
    "still running": synthetic_view(_unfinished(), state="running"),
    "driver died before a report": synthetic_view(_without_reports(), state="cut off"),
    "with controls": synthetic_view(_with_controls(), settings={"max_epochs": EPOCHS, "reduction": 3}),
    "ranked by loss": synthetic_view(metric=METRICS["val_loss"]),
    "no settings": synthetic_view(settings={}, data={}),
    "only given trials": synthetic_view(
        [replace(record, trial=replace(record.trial, params={})) for record in synthetic_search()]
    ),
}
"""By what is odd about them."""

ALONE = {
    name: synthetic_view(_alone_records(name), settings={"data": "pictures", "space": None}, **fields)
    for name, fields in {
        "finished": {
            "model": {"trial": 0, "test": {"accuracy": 0.912, "macro_f1": 0.9, "log_loss": 0.31, "n": 600}},
            "test_readings": 2,
        },
        "interrupted": {"state": "interrupted"},
        "diverged": {},
    }.items()
}
"""Recipes trained alone, by how they ended."""
