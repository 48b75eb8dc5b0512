"""The pictures: how many of each class are in each part, and what was left out."""

from __future__ import annotations

from typing import NamedTuple

from search.report.facts.view import SearchView

PARTS = ("train", "validation", "selection", "test")


class DataFacts(NamedTuple):
    """What was read from the folder of pictures."""

    source: str
    layout: str
    parts: list[str]
    """The parts that hold pictures, in their usual order."""
    counts: dict[str, dict[str, int]]
    """Pictures by class and part; the largest class first."""
    skipped: list[tuple[str, str]]
    """Files that could not be decoded, each with the reason."""
    left_out: list[tuple[str, int, str]]
    """Classes that were left out: name, pictures, reason."""
    ignored: int
    """Files and folders that were passed over because they are no labelled pictures."""
    ignored_examples: list[str]
    groups: int
    """Groups of several pictures, each wholly in one part."""
    grouped: int
    """Pictures in them."""
    copies: int
    """Pictures with the very pixels of an earlier one; they share its part."""

    @property
    def totals(self) -> dict[str, int]:
        """Pictures by part."""
        return {part: sum(row.get(part, 0) for row in self.counts.values()) for part in self.parts}


def data_facts(view: SearchView) -> DataFacts | None:
    """The facts of `view.data`, the report of `trainables.data.dataset.prepare`; None without counts.

    Any other key may lack.
    """
    data = view.data
    counts: dict[str, dict[str, int]] = data.get("counts", {})
    if not counts:
        return None
    ignored, groups = data.get("ignored", {}), data.get("groups", {})
    return DataFacts(
        source=str(view.settings.get("data") or "the built-in demo"),
        layout=str(data.get("layout", "")) if view.settings.get("data") else "",
        parts=[part for part in PARTS if any(row.get(part) for row in counts.values())],
        counts=dict(sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))),
        skipped=[(entry["file"], entry["reason"]) for entry in data.get("skipped", [])],
        left_out=[(entry["class"], entry["pictures"], entry["reason"]) for entry in data.get("left_out", [])],
        ignored=ignored.get("count", 0),
        ignored_examples=ignored.get("examples", []),
        groups=groups.get("count", 0),
        grouped=groups.get("pictures", 0),
        copies=data.get("duplicates", {}).get("copies", 0),
    )
