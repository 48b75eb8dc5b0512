"""Spaces of networks that are slow, or go wrong on purpose: see `tests/networks/odd_networks.py`."""

from __future__ import annotations

from pathlib import Path

SLOW = """
description: slow trials
base:
  geometry: {size_px: 16}
  optim: {batch_size: 24}
  model: {name: odd_net, args: {delay_s: 0.15}}
parameters:
  optim.lr: {log: [1.0e-3, 1.0e-2]}
"""

FAULTY = """
description: one network that behaves and one that does not
base:
  geometry: {size_px: 16}
  optim: {batch_size: 24}
  model: {name: odd_net, args: {flag: FLAG, at_step: AT_STEP}}
parameters:
  model.args.fault: {choice: [none, FAULT]}
  optim.lr: {log: [1.0e-3, 1.0e-2]}
"""


def faulty(fault: str, *, at_step: int = 1, flag: Path = Path("unused")) -> str:
    return FAULTY.replace("FLAG", str(flag)).replace("AT_STEP", str(at_step)).replace("FAULT", fault)
