"""What is written to a folder before its first trial: enough to go on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.settings.settings import Settings
from search.storage.environment import environment
from search.storage.folder import SearchFolder
from trainables.data import Prepared, write_split


def write_data(folder: SearchFolder, prepared: Prepared) -> None:
    """The split, what was found among the pictures, and what all of it runs on."""
    write_split(prepared.split, folder.split_file)
    folder.write_json(folder.data_file, prepared.report)
    folder.write_json(folder.environment_file, environment())


def write_settings(
    folder: SearchFolder, settings: Settings, source: Path, prepared: Prepared, **more: Any
) -> None:
    """`settings.json`: what was asked for, and what else a resume compares or takes over."""
    folder.write_json(
        folder.settings_file,
        {
            "settings": settings.model_dump(mode="json"),
            "source": str(source),
            "data_fingerprint": prepared.report["fingerprint"],
            **more,
        },
    )
