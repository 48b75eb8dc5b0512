"""Our search without the built-in recipes that it tries first, which are outside of the space: for
`real_search.py`."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace

from rich.console import Console

from search import experiment
from search.planning.plan import make_plan
from search.settings.settings import Settings
from search.tune.connection import Connection


def search(settings: Settings) -> None:
    """Searches until Ctrl-C, and leaves the records in the folder that the settings name."""
    with contextlib.closing(Connection(settings)) as connection:
        plan = make_plan(settings, Console())
        experiment.start(replace(plan, starts=()), connection)


if __name__ == "__main__":
    search(Settings.model_validate_json(sys.argv[1]))
