"""What all tests share."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import browser as browser
from tests.commands import Desk

# A shell starts what runs in the background with Ctrl-C ignored, and children inherit that: the tests that
# press it would press in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of slow tests come first, lest one process works on them alone in the end."""
    tests = Counter(item.path for item in items)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path] / tests[item.path])


@pytest.fixture(scope="session", autouse=True)
def rays_own_folder() -> Iterator[None]:
    """Where searches of these tests have their Rays, apart from whatever else runs on this machine: what is
    left over there is theirs. Its name is short, for sockets' paths have at most 107 characters."""
    folder = tempfile.mkdtemp(prefix="t-", dir="/tmp")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_TMPDIR", folder)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def checked_here() -> Iterator[None]:
    """Exports are checked in this process: a fresh one takes seconds each time. `test_export_check.py` has it
    as it is."""
    from trainables import stranger

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trainables.export_check._ask_a_stranger", stranger.answers)
        yield


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder with pictures, to start commands from."""
    return Desk.at(tmp_path)
