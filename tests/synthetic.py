"""A search that never ran: records like those of a real one, conditional settings and mishaps included."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from search.report.facts import SearchView
from search.trials.trials import METRICS, Epoch, Outcome, Trial, TrialRecord
from spaces.recipe import Recipe

START = 1_750_000_000.0
EPOCHS = 9
HOSTILE = "<script>alert(1)</script>"
FAMILIES = ("plain_cnn", "resnet10t", "mini_xception", "vgg4_cnn")
_MISHAPS = {
    4: (Outcome.DIVERGED, "the training loss was nan at epoch 2"),
    6: (Outcome.FAILED, f"ValueError: no such layer: {HOSTILE}</pre><img src=x onerror=alert(2)>"),
    9: (Outcome.TIMED_OUT, "no report for 120 s"),
    12: (Outcome.OUT_OF_MEMORY, "CUDA out of memory: tried to take 2.1 GiB"),
}


def synthetic_search(trials: int = 16, seed: int = 0) -> list[TrialRecord]:
    """Records of a search over four families, two trials at a time.

    Trial 0 is a given recipe, without parameters; numbers 4, 6, 9 and 12 of every sixteen diverge, fail,
    time out and run out of memory; about half of the others are stopped at 1 or 3 passes.
    """
    rng = np.random.default_rng(seed)
    clocks = [START, START + 1.0]
    records = []
    for number in range(trials):
        worker = int(np.argmin(clocks))
        record = _trial(number, clocks[worker], seed, rng)
        assert record.ended is not None
        clocks[worker] = record.ended + 0.2
        records.append(record)
    return records


def synthetic_view(records: list[TrialRecord] | None = None, **changes: Any) -> SearchView:
    """A finished search of these records, or of sixteen; any field can be given another value."""
    records = synthetic_search() if records is None else records
    ends = [record.ended for record in records if record.ended is not None]
    fields: dict[str, Any] = {
        "name": "simpsons",
        "metric": METRICS["val_accuracy"],
        "records": records,
        "settings": {
            "data": "pictures/simpsons",
            "space": "scratch",
            "trials": len(records),
            "max_epochs": EPOCHS,
            "seed": 0,
            "concurrency": 2,
        },
        "state": "finished",
        "elapsed_s": max(ends, default=START) - START,
        "data": synthetic_data(),
    }
    return SearchView(**(fields | changes))


def synthetic_data() -> dict[str, Any]:
    """The report of a messy folder: uneven classes, one with a hostile name, and files that were skipped."""
    names = ("bart", "homer", "krusty", "lisa", "marge", "milhouse", "moe", "burns", "skinner", HOSTILE)
    sizes = (1342, 2246, 1206, 1354, 1291, 1079, 1452, 1193, 1194, 61)
    return {
        "layout": "a folder a class",
        "counts": {
            name: {
                "train": round(0.7 * n),
                "validation": round(0.1 * n),
                "selection": round(0.1 * n),
                "test": n - round(0.7 * n) - 2 * round(0.1 * n),
            }
            for name, n in zip(names, sizes, strict=True)
        },
        "skipped": [
            {"file": "homer/pic_0131.jpg", "reason": "truncated"},
            {"file": f"moe/{HOSTILE}.png", "reason": "not a picture"},
        ],
        "left_out": [
            {"class": "disco_stu", "pictures": 7, "reason": "fewer than 10 pictures"},
            {"class": "otto", "pictures": 4, "reason": "fewer than 10 pictures"},
        ],
        "ignored": {"count": 1, "examples": ["notes.txt (not a picture)"]},
        "groups": {"count": 41, "pictures": 97},
        "duplicates": {"copies": 23, "sets": [], "in_two_classes": 0, "dropped": []},
    }


def _trial(number: int, started: float, seed: int, rng: np.random.Generator) -> TrialRecord:
    params = _params(rng)
    origin = "given" if number == 0 else "sampled"
    recipe = _recipe(params if number else {"model.name": "plain_cnn", "optim.lr": 1e-3})
    trial = Trial(number, recipe, params if number else {}, seed=seed + number, epochs=EPOCHS, origin=origin)
    record = TrialRecord(trial, started)
    outcome, error = _MISHAPS.get(number % 16, (None, None))
    quality = _quality(recipe)
    if outcome is None:
        cutoff = rng.normal(0.8, 0.06)
        outcome = Outcome.COMPLETE if number == 0 or quality > cutoff else Outcome.STOPPED
    length = {
        Outcome.COMPLETE: EPOCHS,
        Outcome.STOPPED: 1 if quality < 0.72 else 3,
        Outcome.DIVERGED: 2,
        Outcome.FAILED: 0,
        Outcome.TIMED_OUT: 4,
        Outcome.OUT_OF_MEMORY: 0,
    }[outcome]
    moment = started
    epoch_s = {"plain_cnn": 6.0, "resnet10t": 14.0, "mini_xception": 11.0, "vgg4_cnn": 19.0}[
        recipe["model"]["name"]
    ]
    for epoch in range(1, length + 1):
        seconds = float(epoch_s * rng.uniform(0.95, 1.1))
        moment += seconds
        broken = outcome is Outcome.DIVERGED and epoch == length
        metrics = _metrics(quality, epoch, rng) | {"epoch_s": seconds, "images_per_s": 8400 / seconds}
        if broken:
            metrics |= {"train_loss": math.nan, "val_loss": math.nan, "val_accuracy": 0.1}
        record.history.append(Epoch(number, epoch, float(epoch), metrics, "10.0.0.1", "cpu", moment))
    record.outcome, record.ended, record.error = outcome, moment + 0.5, error
    if outcome is Outcome.FAILED:
        record.traceback = f'Traceback (most recent call last):\n  File "train.py", line 7, in fit\n{error}\n'
    return record


def _params(rng: np.random.Generator) -> dict[str, Any]:
    family = str(rng.choice(FAMILIES))
    params: dict[str, Any] = {"model.name": family}
    if family == "plain_cnn":
        params["model.args.width"] = int(rng.choice([16, 32, 64]))
        params["optim.lr"] = float(10 ** rng.uniform(-4, -2))
    elif family == "resnet10t":
        params["freeze.epoch"] = int(rng.integers(0, 4))
        params["optim.lr@1"] = float(10 ** rng.uniform(-5, -3))
    else:
        params["optim.lr"] = float(10 ** rng.uniform(-4, -2))
    params["optim.weight_decay"] = float(10 ** rng.uniform(-4, -1))
    params["optim.batch_size"] = int(rng.choice([32, 64, 128]))
    params["schedule.name"] = str(rng.choice(["cosine", "plateau"]))
    params["augment.strength"] = float(rng.uniform(0, 1))
    params["loss.label_smoothing"] = float(rng.uniform(0, 0.1))
    params["ema.decay"] = None if rng.random() < 0.5 else 0.999
    return params


def _recipe(params: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in params.items():
        *parents, last = key.split("@")[0].split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return Recipe.model_validate(nested).to_dict()


def _quality(recipe: dict[str, Any]) -> float:
    """Full-length accuracy: the learning rate matters most, then the family, then augmentation."""
    base = {"plain_cnn": 0.88, "resnet10t": 0.93, "mini_xception": 0.9, "vgg4_cnn": 0.86}
    name, rate = recipe["model"]["name"], recipe["optim"]["lr"]
    best = -3.8 if name == "resnet10t" else -2.8
    off = (math.log10(rate) - best) ** 2
    return base[name] - 0.16 * off - 0.06 * (recipe["augment"]["strength"] - 0.6) ** 2


def _metrics(quality: float, epoch: int, rng: np.random.Generator) -> dict[str, float]:
    reached = quality * (1 - 0.55 * math.exp(-epoch / 2.2)) + float(rng.normal(0, 0.006))
    accuracy = min(0.99, max(0.1, reached))
    trained = min(0.995, accuracy + 0.006 * epoch - 0.03)
    return {
        "train_loss": -1.5 * math.log(trained),
        "train_accuracy": trained,
        "val_loss": -1.6 * math.log(accuracy) + 0.05,
        "val_accuracy": accuracy,
        "val_macro_f1": accuracy - 0.012,
        "lr_scale": 1.0,
    }
