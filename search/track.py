"""`python -m search.track results/NAME --mlflow`: shows a search in TensorBoard, MLflow or W&B."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from search.console.command import NOTHING_FOUND, guarded
from search.console.command_line import CommandLine
from search.storage.folder import SearchFolder
from search.tracking.follow import follow
from search.tracking.trackers import KINDS, check_installed
from trainables.secrets import without_secrets

DESCRIPTION = """\
Shows a search in TensorBoard, MLflow or Weights & Biases: one run for the search, one below it for each
trial. A search that runs is followed to its end; one that has ended is sent whole. What is there already
is not sent again.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = CommandLine(prog="python -m search.track", description=DESCRIPTION)
    top.add_argument("folder", metavar="results/NAME", help="a search, or what search.train left")
    where = top.add_mutually_exclusive_group(required=True)
    for name, kind in KINDS.items():
        where.add_argument(
            f"--{name}", dest="name", action="store_const", const=name, help=f"in {kind.title}: {kind.place}"
        )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Its exit status: 0, 1 where something could not be sent, 2 for faulty input."""
    given = parser().parse_args(arguments)
    return guarded(lambda: _track(SearchFolder.open(Path(given.folder)), given.name))


def _track(folder: SearchFolder, name: str) -> int:
    check_installed([name])
    out = sys.stdout

    def say(sentence: str) -> None:
        with contextlib.suppress(OSError):  # whoever listened may have been killed
            print(sentence, file=out, flush=True)

    # What libraries print is not for people, and could name an address with a password in it.
    chatter = _Scrubbed(sys.stderr)
    with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
        return 0 if follow(folder, name, say) else NOTHING_FOUND


class _Scrubbed(io.TextIOBase):
    """A stream that lets no secrets through."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(without_secrets(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


if __name__ == "__main__":
    os.nice(10)  # trainings come first
    sys.exit(main())
