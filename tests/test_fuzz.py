"""No input makes a reader do anything but take it or say what is wrong: 500 a reader, and all that ever did.

`make fuzz` asks for more; see `tests/fuzz_long.py`.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spaces.errors import InputError
from tests import fuzzing
from tests.damage import damaged
from tests.fuzz_readers import READERS
from tests.fuzzing import FaultError, Ground, Input, Reader, corpus, keep

INPUTS = 500


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # what Pillow says of 500 broken pictures
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_reader_takes_whatever_it_is_given_or_says_what_is_wrong(reader: Reader, tmp_path: Path) -> None:
    ground = Ground(tmp_path, reader)
    for file, seeds in ground.seeds.items():
        assert ground.ask((file, seeds[0])), f"{file} as it should be is refused"
    for kept in corpus(reader):
        ground.ask(kept)
    failed: list[Input] = []

    @settings(
        max_examples=INPUTS,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def ask(random: Random) -> None:
        tried = damaged(random, ground)
        try:
            ground.ask(tried)
        except BaseException:
            failed.append(tried)
            raise

    try:
        ask()
    except BaseException as fault:
        if failed:  # the last one is the smallest
            fault.add_note(f"the input is kept as {keep(reader, failed[-1])}")
        raise


class Malicious:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("true",)


def _writes_beside(folder: Path) -> None:
    (folder.parent / "outside" / "found").write_text("x")


def _leads_out(folder: Path) -> None:
    os.chdir(folder)
    with open("../escaped", "w") as file:
        file.write("x")


def _hides_it(folder: Path) -> None:
    try:
        _writes_beside(folder)
    except Exception as fault:
        raise InputError("cannot be read") from fault
    raise InputError("cannot be read")


def _calculates(folder: Path) -> None:
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def _takes_all_memory(folder: Path) -> None:
    bytearray(64 * 1024**3)


MISDEEDS: dict[str, Callable[[Path], object]] = {
    "outside of its folder: open": _writes_beside,
    r"outside of its folder: open .*/escaped": _leads_out,
    "outside of its folder": _hides_it,
    "os.mkdir": lambda folder: (folder / ".." / "made").mkdir(),
    "os.remove": lambda folder: (folder.parent / "outside" / "sentinel").unlink(),
    "os.rename": lambda folder: (folder.parent / "outside").rename(folder / "taken"),
    r"pickle\.find_class|os\.system": lambda folder: pickle.loads(pickle.dumps(Malicious())),
    r"subprocess\.Popen": lambda folder: subprocess.run([sys.executable, "-c", ""], check=True),
    r"socket\.(getaddrinfo|connect)": lambda folder: socket.create_connection(("127.0.0.1", 1), timeout=1),
    "of CPU time": _calculates,
    "a file outside of the folder was made": lambda folder: None,
}


@pytest.mark.parametrize("told", MISDEEDS)
def test_what_a_reader_must_never_do_is_noticed(
    told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzzing, "MOST_CPU_S", 0.2)
    monkeypatch.chdir(tmp_path)
    read = MISDEEDS[told]
    reader = Reader("no-such-reader", {"file": "text"}, read, lambda folder: (folder / "file").touch())
    ground = Ground(tmp_path / "ground", reader)
    if "was made" in told:  # by what Python's hooks do not hear of
        (tmp_path / "ground" / "outside" / "found").touch()
    with pytest.raises(FaultError, match=told):
        ground.ask(("file", b""))


def test_what_takes_too_much_memory_fails_and_takes_none(tmp_path: Path) -> None:
    prepare = lambda folder: (folder / "file").touch()  # noqa: E731
    ground = Ground(tmp_path, Reader("no-such-reader", {"file": "text"}, _takes_all_memory, prepare))
    with pytest.raises(MemoryError):
        ground.ask(("file", b""))


def test_a_refusal_in_words_is_no_fault(tmp_path: Path) -> None:
    def read(folder: Path) -> None:
        if (folder / "file").read_text():
            raise InputError("must be empty")

    ground = Ground(
        tmp_path, Reader("no-such-reader", {"file": "text"}, read, lambda folder: (folder / "file").touch())
    )
    assert ground.ask(("file", b""))
    assert not ground.ask(("file", b"x"))
    assert ground.ask(("file", b""))
