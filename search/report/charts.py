"""The figures of a page, each with its place."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import plotly.graph_objects as go


class Chart(NamedTuple):
    """A figure's place on the page."""

    id: str
    title: str
    words: str
    """What it shows, for those who cannot see it."""
    height: int
    """In CSS pixels, kept free until the figure is drawn."""
    width: int = 0
    """In CSS pixels, the least that it can be read at."""


class Charts:
    """Collects figures while sections are made from facts."""

    def __init__(self) -> None:
        self._figures: dict[str, go.Figure] = {}

    def add(self, name: str, title: str, figure: go.Figure, width: int = 0) -> Chart:
        """Takes a figure under an id of its own; a template puts what comes back where it is to be drawn."""
        self._figures[name] = figure
        return Chart(name, title, figure.layout.meta, int(figure.layout.height), width)

    def figure(self, name: str) -> go.Figure:
        """One of the figures."""
        return self._figures[name]

    def plain(self) -> dict[str, Any]:
        """The figures by id, as plotly's JSON; NaN has become null."""
        return {name: json.loads(figure.to_json()) for name, figure in self._figures.items()}
