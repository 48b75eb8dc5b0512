"""timm's model names, read from a table, so that a name can be checked without importing timm or torch.

The table is written by `python -m trainables.catalogue`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).parent / "catalogue" / "timm.csv"


@dataclass(frozen=True)
class TimmModel:
    """What is known of one of timm's models."""

    name: str
    input_px: int
    """Side of the pictures that its default weights were trained on."""
    tags: tuple[str, ...]
    """Names of its pretrained weights (`name.tag`), the default first; empty where timm has none."""


@cache
def timm_models() -> dict[str, TimmModel]:
    """All of timm's models by name, without tags."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {
            row["name"]: TimmModel(row["name"], int(row["input_px"]), tuple(row["tags"].split()))
            for row in rows
        }
