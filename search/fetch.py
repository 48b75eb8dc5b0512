"""`python -m search.fetch NAME --storage URI`: a search's folder, brought here from its storage."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from search.console.command import guarded
from search.console.command_line import CommandLine
from search.storage.folder import CHECKPOINTS, RESULTS, FolderError, SearchFolder
from search.storage.owner import NOTE
from search.trials.records import FILE as RECORDS
from trainables.storage import Storage, StorageError, storage_uri


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = CommandLine(
        prog="python -m search.fetch",
        description="Brings the folder of a search to results/NAME: what there is while it runs, and all of "
        "it when it has ended. Then every other command works on it. What is here is brought up to date.",
    )
    parser.add_argument("name", metavar="NAME", help="python -m search.list --storage URI shows them")
    parser.add_argument("--storage", metavar="URI", required=True, help="as search.run had it")
    given = parser.parse_args(arguments)

    def command() -> int:
        home = Storage(storage_uri(given.storage)) / given.name
        folder = SearchFolder(RESULTS / given.name)
        print(fetch(folder, home))
        print(f"Leaderboard:  {folder.page_file}")
        return 0

    return guarded(command)


def fetch(folder: SearchFolder, home: Storage) -> str:
    """Brings a search's folder level with its storage, where that is not behind it.

    Records only grow. So the newer ones begin with the older ones, byte by byte.

    Args:
        folder: May be missing.
        home: The search's folder in the storage.

    Returns:
        What was done, in words.

    Raises:
        StorageError: There is no such search, or the storage cannot be read.
        FolderError: Both have gone on, each by itself; or a process runs the search in the folder.
    """
    try:
        there = home.files()
        if RECORDS not in there:
            if folder.settings_file.exists():
                return f"{home} has nothing of this search yet; {folder.path} goes there."
            raise StorageError(f"{home} is not a search's folder. The searches there: {_others(home)}.")
        folder.path.mkdir(parents=True, exist_ok=True)
        with folder.held():
            behind, ahead = _compared(folder, home)
            if behind and ahead:
                raise FolderError(
                    f"{folder.path} and {home} have both gone on with this search, each by itself. To go on "
                    f"with what is in the storage, move {folder.path} away; else delete what is there."
                )
            return _bring(folder, home, there, missing=ahead)
    except OSError as fault:
        raise StorageError(f"{home} cannot be read: {fault}.") from fault


def require_unused(home: Storage) -> None:
    """Makes sure that a new search can be kept in a storage.

    Raises:
        StorageError: It cannot be written to, or has a search of this name.
    """
    storage = Storage(home.root)
    if storage.is_local and Path(storage.root) == RESULTS.resolve():
        raise StorageError(f"--storage {home.root}: searches are there already. Name another folder.")
    storage.require_writable()
    try:
        taken = home.exists(RECORDS)
    except OSError as fault:
        raise StorageError(f"{home} cannot be read: {fault}.") from fault
    if taken:
        raise StorageError(
            f"{home} is a search already. Go on with it with --resume, or choose another --name. Searches "
            f"there: {_others(home)}."
        )


def bring_answers(folder: SearchFolder, home: Storage) -> None:
    """Brings what the runs of a rematch answered, as far as it is not here.

    Raises:
        OSError: The storage fails.
    """
    answers, here = home / folder.rematch.name, Storage.of(folder.rematch)
    for name in set(answers.files()) - set(here.files()):
        if _wanted(f"{folder.rematch.name}/{name}"):
            here.write(name, answers.read(name))


def bring_table(path: Path, home: Storage) -> SearchFolder:
    """Copies what `search.list` shows of a search to a new folder.

    Raises:
        OSError: The storage fails.
    """
    folder = SearchFolder(path)
    told = (folder.settings_file, folder.records_file, folder.rematch_file, folder.manifest_file)
    path.mkdir()
    there = home.files()
    for file in told:
        if file.name in there:
            file.write_bytes(home.read(file.name))
    return folder


def _bring(folder: SearchFolder, home: Storage, there: dict[str, int], *, missing: bool) -> str:
    """Copies all that is wanted.

    Args:
        missing: Only what is not here: the folder is ahead of the storage.
    """
    here, ends = Storage.of(folder.path), (folder.rematch_file, folder.manifest_file)
    has = here.files()
    last = [path.name for path in ends]
    if not missing:
        for path in ends:
            if path.name not in there:  # the search has gone on since
                path.unlink(missing_ok=True)
    for name in sorted(filter(_wanted, there), key=lambda name: (name in last, name)):
        kept = missing or name.startswith(f"{folder.rematch.name}/")
        if (kept and name in has) or (missing and name in last):
            continue
        if name == folder.readings_file.name and has.get(name, 0) > there[name]:
            continue  # the test part has been read here since
        here.write(name, home.read(name))
    if missing:
        return f"{folder.path} is ahead of {home}, and goes on from here."
    return f"{folder.path} is as {home}."


def _compared(folder: SearchFolder, home: Storage) -> tuple[bool, bool]:
    """Whether the folder's records are behind the storage's, and whether they are ahead."""
    behind = ahead = False
    for file in (folder.records_file, folder.rematch_records_file):
        ours, theirs = _whole_lines(file.read_bytes() if file.exists() else b""), b""
        if home.exists(file.name):
            theirs = _whole_lines(home.read(file.name))
        behind |= not ours.startswith(theirs)
        ahead |= not theirs.startswith(ours)
    return behind, ahead


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _wanted(name: str) -> bool:
    """Whether a file is of use elsewhere: not states of trainings, nor notes of who writes there."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") for part in parts)  # `..`, too, which a bucket may hold
    return not hidden and not name.startswith("/") and CHECKPOINTS not in parts and name != NOTE


def _others(home: Storage) -> str:
    names = sorted(searches_in(Storage(home.root)))
    return ", ".join(names) or "none"


def searches_in(storage: Storage) -> Iterator[str]:
    """The names of the searches in a storage.

    Raises:
        OSError: The storage fails.
    """
    for name in storage.files():
        path = PurePosixPath(name)
        if path.name == "settings.json" and len(path.parts) == 2 and not name.startswith("."):
            yield path.parts[0]


if __name__ == "__main__":
    sys.exit(main())
