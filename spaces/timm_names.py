"""timm's classifiers, read from a table, so that a recipe can be checked without importing timm or torch.

The table is written by `python -m trainables.catalogue`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spaces.abilities import Abilities

TABLE = Path(__file__).parent / "catalogue" / "timm.csv"
FLAGS = ("fixed_size", "small_stem", "head_dense", "drop_path")
"""The abilities that are there or not."""


@dataclass(frozen=True)
class TimmModel:
    """What is known of one of timm's models."""

    name: str
    input_px: int
    """Side of the pictures that its default weights were trained on."""
    parameters: int
    """With a last layer for 1000 classes."""
    abilities: Abilities
    license: str
    """Of its default weights; empty where timm does not say."""
    tags: tuple[str, ...]
    """Names of its pretrained weights (`name.tag`), the default first; empty where timm has none."""

    @classmethod
    def from_row(cls, row: dict[str, str]) -> TimmModel:
        """Reads a line of the table."""
        abilities = set(row["abilities"].split())
        return cls(
            name=row["name"],
            input_px=int(row["input_px"]),
            parameters=int(row["parameters"]),
            abilities=Abilities(
                pools=tuple(row["pools"].split()), **{ability: ability in abilities for ability in FLAGS}
            ),
            license=row["license"],
            tags=tuple(row["tags"].split()),
        )

    def to_row(self) -> dict[str, str]:
        """The reverse of `from_row`."""
        return {
            "name": self.name,
            "input_px": str(self.input_px),
            "parameters": str(self.parameters),
            "abilities": " ".join(ability for ability in FLAGS if getattr(self.abilities, ability)),
            "pools": " ".join(self.abilities.pools),
            "license": self.license,
            "tags": " ".join(self.tags),
        }


@cache
def timm_models() -> dict[str, TimmModel]:
    """All of timm's models that can classify, by name, without tags."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        models = map(TimmModel.from_row, rows)
        return {model.name: model for model in models}
