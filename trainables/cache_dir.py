"""Where decoded pictures are kept, unless told; apart from what reads them, so that asking is quick."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """`$CLASSIFIER_SEARCH_CACHE`, or `~/.cache/classifier-search`."""
    given = os.environ.get("CLASSIFIER_SEARCH_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "classifier-search"
