"""The names on a command line, checked before torch is imported: that takes seconds, and a typing error
should be told at once."""

from __future__ import annotations

from pathlib import Path

from search.settings.settings import Settings
from search.storage.folder import FolderError, SearchFolder
from spaces.recipe_files import RECIPES
from spaces.space_files import BUILT_IN
from spaces.yaml_files import find_yaml, read_yaml


def check_names(settings: Settings) -> None:
    """Makes sure that recipes, former searches, space, pictures and classes of these names are there.

    Raises:
        FolderError: There is no such former search; see `former_folders`.
        SpaceError: There is no such recipe or space, or its file is not YAML.
        DataError: There are no labelled pictures, or none of such a class.
    """
    for name in settings.start_from:
        check_recipe_name(name)
    former_folders(settings)
    check_sources(settings)


def check_sources(settings: Settings) -> None:
    """Makes sure that space, pictures and classes of these names are there: what a resume needs, too.

    Raises:
        SpaceError, DataError: As `check_names` does.
    """
    if settings.space is not None:
        read_yaml(find_yaml(settings.space, BUILT_IN, "space"))
    if settings.data is not None:
        from trainables.data import read_listing  # only now: pandas takes its time to import

        read_listing(Path(settings.data), classes=settings.classes)


def check_recipe_name(name: str) -> None:
    """Makes sure that there is a recipe of this name, or a file; what it holds is checked later.

    Raises:
        SpaceError: There is none, or it is not YAML.
    """
    read_yaml(find_yaml(name, RECIPES, "recipe"))


def former_folders(settings: Settings) -> list[SearchFolder]:
    """The folders of `--warm-start`.

    Raises:
        FolderError: One is not there, is not that of a search, or is named twice.
    """
    found: list[SearchFolder] = []
    for name in settings.warm_start:
        path = Path(name).expanduser()
        try:
            folder = SearchFolder.open(path)
            alone = folder.settings().alone
        except FolderError as fault:
            raise FolderError(f"--warm-start {name}: {fault}") from fault
        if alone:
            raise FolderError(
                f"--warm-start {name} is the training of one recipe, not a search. To try its recipe first: "
                f"--start-from {folder.best_file}."
            )
        if any(path.resolve() == other.path.resolve() for other in found):
            raise FolderError(f"--warm-start names {name} twice. Leave one out.")
        found.append(folder)
    return found
