"""timm's optimizers by name, read from a table, so that a recipe can be checked without importing timm.

The table is written by `python -m trainables.catalogue`, which makes each and takes steps with it. Those that
want other packages, a second derivative or a compiler are left out.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

TABLE = Path(__file__).parent / "catalogue" / "optimizers.csv"


@cache
def optimizers() -> dict[str, bool]:
    """All that a recipe may name, and whether each heeds `optim.momentum`."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["name"]: row["momentum"] == "yes" for row in rows}
