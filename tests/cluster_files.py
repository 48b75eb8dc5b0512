"""Reads the files that start clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent


def read(name: str) -> dict[str, Any]:
    """One of the files for `ray up`, by its path in the project."""
    return yaml.safe_load((ROOT / name).read_text())
