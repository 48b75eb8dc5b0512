"""Abilities: the settings of a recipe's network that are not for every network, and who takes which."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Abilities:
    """Which of those settings a network takes."""

    fixed_size: bool = False
    """It is made for one picture size (`geometry.size_px`), so pictures cannot grow during the training."""
    small_stem: bool = False
    """`model.stem: small`."""
    head_dense: bool = False
    """`model.head_dense`."""
    drop_path: bool = False
    """`model.drop_path_rate` over 0."""
    pools: tuple[str, ...] = ()
    """What `model.pool` may be."""
