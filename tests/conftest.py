"""What all tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import browser as browser
from tests.commands import Desk

# A shell starts what runs in the background with Ctrl-C ignored, and children inherit that: the tests that
# press it would press in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
