"""A finished search of one trial, without the search: to train its winner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from search.storage.folder import SearchFolder
from spaces.recipe import Recipe
from tests.pictures import class_folders
from tests.simulated import record, search_folder, trial, write_records
from trainables.data import prepare, write_split


def searched(tmp_path: Path, recipe: Recipe, *, epochs: int = 2, **settings: Any) -> SearchFolder:
    """The search of one trial of this recipe, of so many epochs, in `tmp_path/results/mine`."""
    class_folders(tmp_path / "pictures", {"anna": 60, "bert": 60})
    cache = tmp_path / "cache"
    prepared = prepare(tmp_path / "pictures", size_px=16, cache_dir=cache)
    folder = search_folder(
        tmp_path / "results" / "mine",
        data=str(tmp_path / "pictures"),
        cache_dir=str(cache),
        max_epochs=epochs,
        **settings,
    )
    stored = folder.read_json(folder.settings_file) | {"source": str(tmp_path / "pictures")}
    folder.write_json(folder.settings_file, stored)
    write_split(prepared.split, folder.split_file)
    folder.write_json(folder.data_file, prepared.report)
    made = replace(trial(0, epochs=epochs), recipe=recipe.to_dict())
    write_records(folder.records_file, record(made, [0.5] + [0.8] * (epochs - 1)))
    return folder
