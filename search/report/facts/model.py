"""What the test part says of the retrained model: who is taken for whom, and how sure it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from search import text
from search.report.facts.ensemble import ensemble
from search.report.facts.view import SearchView

MOST_PAIRS = 10


class Pair(NamedTuple):
    """Pictures of one class that are taken for another."""

    truth: str
    answer: str
    pictures: int
    share: float
    """Of the pictures of their class."""


class ClassScore(NamedTuple):
    """How good the model is at one class. None is what is not defined."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    pictures: int


class Bin(NamedTuple):
    """Pictures of which the model is about equally sure."""

    confidence: float
    accuracy: float
    pictures: int


class Model(NamedTuple):
    """A tested model."""

    classes: list[str]
    counts: list[list[int]]
    """Pictures by true class (rows) and answer."""
    shares: list[list[float]]
    """The same of the pictures of each true class; a class without pictures has zeros."""
    pairs: list[Pair]
    """The classes that are taken for others the most, by pictures; at most `MOST_PAIRS`."""
    scores: list[ClassScore]
    """The hardest class first, by F1."""
    bins: list[Bin]
    """By confidence; empty where an older model did not note them."""
    sentences: list[str]


def model(view: SearchView) -> Model | None:
    """The model in `model/`; None where there is none."""
    if not view.model or "confusion_matrix" not in view.model["test"]:
        return None
    test = view.model["test"]
    classes, counts = test["classes"], test["confusion_matrix"]
    scores = [
        ClassScore(one["class"], one["precision"], one["recall"], one["f1"], one["support"])
        for one in test.get("per_class", [])
    ]
    return Model(
        classes,
        counts,
        [[n / max(1, sum(row)) for n in row] for row in counts],
        _pairs(classes, counts),
        sorted(scores, key=lambda one: -1.0 if one.f1 is None else one.f1),
        [Bin(one["confidence"], one["accuracy"], one["count"]) for one in test.get("reliability", [])],
        [*_ensemble(view.model), *(said for said in (_top_k(test), _calibrated(view.model)) if said)],
    )


def _ensemble(found: dict[str, Any]) -> list[str]:
    return ensemble(found["ensemble"]) if found.get("ensemble") else []


def _pairs(classes: list[str], counts: list[list[int]]) -> list[Pair]:
    found = [
        Pair(classes[truth], classes[answer], n, n / sum(row))
        for truth, row in enumerate(counts)
        for answer, n in enumerate(row)
        if n and truth != answer
    ]
    return sorted(found, key=lambda pair: (-pair.pictures, -pair.share))[:MOST_PAIRS]


def _top_k(test: dict[str, Any]) -> str:
    among = [
        f"{text.score(share, 'accuracy')} among the {k} most probable"
        for k, share in test.get("top_k", {}).items()
        if k != "1"
    ]
    if not among:
        return ""
    first = text.score(test["accuracy"], "accuracy")
    return f"The right class is the most probable for {first}, {', '.join(among)}."


def _calibrated(found: dict[str, Any]) -> str:
    test, calibration = found["test"], found.get("calibration")
    if calibration is None:
        reason = found.get("not_calibrated")
        return f"Its probabilities are not calibrated: {reason}." if reason else ""
    off, before = (text.score(known["ece"], "accuracy") for known in (test, found["test_uncalibrated"]))
    said = (
        "Its probabilities are calibrated by what the rematch's runs said (temperature "
        f"{text.number(calibration['temperature'])}): on average they are off by {off}, and would be by "
        f"{before} without."
    )
    if calibration["unknown_below"] is not None:
        said += (
            f" A picture whose best class is less probable than "
            f"{text.score(calibration['unknown_below'], 'accuracy')} is called unknown: "
            f"{test['called_unknown']:,} of these {test['n']:,} were."
        )
    return said
