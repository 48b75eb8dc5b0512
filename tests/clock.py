"""The wall clock that jumps while a search runs; see `clock.c`."""

from __future__ import annotations

import subprocess
from pathlib import Path

HOUR_S = 3600


def clock(folder: Path, moment: Path, by_s: int) -> Path:
    """The library whose wall clock jumps as soon as there is a file `moment`."""
    library = folder / "clock.so"
    asked = ["-shared", "-fPIC", f'-DMOMENT="{moment}"', f"-DBY_S={by_s}", "-o", str(library)]
    subprocess.run(["cc", *asked, str(Path(__file__).with_suffix(".c"))], check=True)
    return library
