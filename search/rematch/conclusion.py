"""What came of a rematch: the verdict over its runs' answers, and what its contenders cost."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from search.rematch.verdict import Verdict
from search.storage.folder import FolderError, SearchFolder


@dataclass(frozen=True)
class Costs:
    """Of a contender."""

    parameters: int
    latency_ms: float
    """Of one picture, on the machine that drives the search."""
    epoch_s: float
    """Mean over the epochs of its runs, with what ran beside them."""


@dataclass(frozen=True)
class Conclusion:
    """What `rematch.json` holds."""

    verdict: Verdict
    prefer: str
    """What decided among the tied: `Settings.prefer`."""
    costs: dict[int, Costs]
    """By trial."""
    left_out: dict[int, str]
    """Contenders that are not compared, by trial, and why."""


_CONCLUSION = TypeAdapter(Conclusion)


def concluded(folder: SearchFolder) -> Conclusion | None:
    """What `search.rematch.conclude` wrote; None where there has been no rematch.

    Raises:
        FolderError: The file is damaged.
    """
    if not folder.rematch_file.exists():
        return None
    try:
        return _CONCLUSION.validate_python(folder.read_json(folder.rematch_file))
    except ValueError as fault:
        raise FolderError(f"{folder.rematch_file} does not hold what a rematch came to: {fault}") from fault
