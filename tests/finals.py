"""What comes after a search: a rematch, a tested model, and where it looks; none of it ever ran."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from search.rematch.conclusion import Conclusion, Costs
from search.rematch.verdict import Contender, verdict
from search.report.facts import SearchView
from search.trials.trials import METRICS, ranked
from tests.synthetic import HOSTILE, synthetic_search, synthetic_view
from trainables.quality import quality

PICTURES = 300
LABELS = np.random.default_rng(0).integers(3, size=PICTURES)
HARDNESS = np.random.default_rng(1).random(PICTURES)
CLASSES = ["anna", "bert", HOSTILE, "never"]


def runs(accuracy: float, trial: int, count: int = 3) -> list[np.ndarray]:
    """Answers that are right about so often."""
    found = []
    for seed in range(count):
        noise = np.random.default_rng([trial, seed]).normal(scale=0.15, size=PICTURES)
        said = np.where(HARDNESS + noise < accuracy, LABELS, (LABELS + 1) % 3)
        found.append(np.log(np.where(np.eye(3)[said] == 1, 0.9, 0.05)).astype(np.float32))
    return found


def played(
    *truths: float, prefer: str = "accuracy", view: SearchView | None = None, **changes: Any
) -> SearchView:
    """A search whose best trials had a rematch in which they are worth so much; the first costs the most."""
    view = view or synthetic_view()
    best = ranked(view.records, view.metric)[: len(truths)]
    costs = {
        record.number: Costs(1000 * (9 - place), 9.0 - place, 9.0 - place)
        for place, record in enumerate(best)
    }
    contenders = [
        Contender(
            record.number,
            record.score(view.metric) or 0.0,
            runs(truth, record.number),
            cost=None if prefer == "accuracy" else costs[record.number].epoch_s,
        )
        for record, truth in zip(best, truths, strict=True)
    ]
    found = verdict(METRICS["val_accuracy"], contenders, LABELS)
    return replace(view, rematch=Conclusion(found, prefer, costs, **{"left_out": {}, **changes}))


def predictions(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of three classes out of four, and log-probabilities that are mostly right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=400)
    logits = rng.gumbel(size=(400, 4)) + 2.5 * np.eye(4)[labels]
    return labels, (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def model_metrics(**changes: Any) -> dict[str, Any]:
    """The `metrics.json` of a model."""
    return {
        "test": quality(*predictions(), CLASSES, unknown_below=0.4) | {"accuracy_95": [0.5, 0.9]},
        "trial": 1,
        "calibration": {"temperature": 1.5, "unknown_below": 0.4},
        "not_calibrated": None,
        "test_uncalibrated": {"log_loss": 0.7, "ece": 0.09},
    } | changes


def looked_into() -> tuple[dict[str, Any], dict[str, bytes]]:
    """An `explained.json`, and the pictures that it names."""
    images: dict[str, bytes] = {}

    def picture(seed: int) -> str:
        out = io.BytesIO()
        noise = np.random.default_rng(seed).integers(256, size=(8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((96, 96)).save(out, "WEBP")
        images[f"{seed}.webp"] = out.getvalue()
        return f"{seed}.webp"

    def example(seed: int, kind: str) -> dict[str, Any]:
        of = [CLASSES[seed % 3]] + ([CLASSES[(seed + 1) % 3]] if kind == "wrong" else [])
        return {
            "kind": kind,
            "path": f"{of[-1]}/{seed}.png",
            "class": of[-1],
            "predicted": of[0],
            "probability": 0.9,
            "probability_of_class": 0.9 if kind == "right" else 0.05,
            "file": picture(seed),
            "heats": [
                {"class": name, "file": picture(100 * seed + place), "blank": place == 1}
                for place, name in enumerate(of, start=1)
            ],
        }

    layer = {
        "layer": "conv1",
        "shape": [16, 3, 3, 3],
        "drawn": 16,
        "of": 16,
        "words": "The kernels of conv1.",
    }
    found = {
        "examples": [example(seed, "right" if seed < 4 else "wrong") for seed in range(1, 8)],
        "grad_cam": {"layer": "conv9", "shape": [16, 7, 7], "words": "Grad-CAM at conv9, 7 x 7."},
        "kernels": [{**layer, "which": "first", "file": picture(50)}],
        "feature_maps": {**layer, "channels": [1, 2], "words": "What conv9 sees.", "file": picture(51)},
        "missing": ["The network has no 1 x 1 convolution."],
    }
    return found, images


def whole_view(trials: int = 40, **changes: Any) -> SearchView:
    """A search with all that a page can show: stops and controls, mishaps, costs, a rematch, and a tested
    model that was looked into. Some of its names are hostile."""
    records = synthetic_search(trials)
    for record in records:
        for epoch in record.history:
            epoch.metrics.update(train_s=0.9 * epoch.metrics["epoch_s"], data_wait_s=0.1)
        if record.number % 10 == 8 and record.history:
            record.control = 1.0
    explained, images = looked_into()
    view = synthetic_view(
        records,
        name=f"all of it {HOSTILE}",
        model=model_metrics(),
        explained=explained,
        images=images,
        test_readings=1,
    )
    view = replace(view, settings=view.settings | {"reduction": 3})
    return replace(played(0.8, 0.78, 0.6, view=view), **changes)
