"""Tune pickles its parts again and again, for a restore that the records make needless."""

from __future__ import annotations

from typing import Any


class Unsaved:
    """Mix in first: pickles as an empty object, without what is driven and the files that it holds open."""

    def __getstate__(self) -> dict[str, Any]:
        return {}
