"""Where the retrained model looks: its pictures, ready for a page that holds them itself."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from search import text
from search.report.facts.view import SearchView


class Picture(NamedTuple):
    """A picture with what stands below it."""

    source: str
    """A `data:` address."""
    words: str


class Example(NamedTuple):
    """A picture of the test part, and what speaks for which class."""

    path: str
    label: str
    answer: str
    words: str
    pictures: list[Picture]
    """The picture itself, then a heat map for each class."""


class Explained(NamedTuple):
    """What a page shows of a network."""

    mistakes: list[Example]
    """The surest first."""
    hits: list[Example]
    grad_cam: str
    """How the heat maps were made, in words."""
    layers: list[Picture]
    """Kernels and feature maps."""
    missing: list[str]
    """What is not there, and why."""


def explained(view: SearchView) -> Explained | None:
    """The pictures of the model in `model/`; None where there are none."""
    if not view.explained:
        return None
    examples = [(entry["kind"], _example(view, entry)) for entry in view.explained["examples"]]
    layers = [*view.explained["kernels"], view.explained["feature_maps"]]
    return Explained(
        [example for kind, example in examples if kind == "wrong"],
        [example for kind, example in examples if kind == "right"],
        (view.explained["grad_cam"] or {}).get("words", ""),
        [_picture(view, entry["file"], entry["words"]) for entry in layers if entry],
        view.explained["missing"],
    )


def _example(view: SearchView, entry: dict[str, Any]) -> Example:
    sure = text.score(entry["probability"], "accuracy")
    words = f"{entry['class']}, sure by {sure}"
    if entry["kind"] == "wrong":
        own = text.score(entry["probability_of_class"], "accuracy")
        words = f"{entry['class']}, taken for {entry['predicted']} ({sure}; the right class {own})"
    heats = []
    for heat in entry["heats"]:
        speaks = "nothing speaks" if heat["blank"] else "what speaks"
        heats.append(_picture(view, heat["file"], f"{speaks} for {heat['class']}"))
    shown = [_picture(view, entry["file"], f"the picture {entry['path']}"), *heats]
    return Example(entry["path"], entry["class"], entry["predicted"], words, shown)


def _picture(view: SearchView, file: str, words: str) -> Picture:
    return Picture(f"data:image/webp;base64,{base64.b64encode(view.images[file]).decode()}", words)
