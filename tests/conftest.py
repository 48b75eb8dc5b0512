"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder with pictures, to start commands from."""
    return Desk.at(tmp_path)
